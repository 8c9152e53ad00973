"""Answers: a pure function of model and request, plausible and cheap, conforming to the schema if there is one.

Nothing here knows of time, batch or position: a redo of the same request is answered with the same bytes.
"""

from __future__ import annotations

from itertools import product
from typing import Final

import msgspec

from batchdrop_local.emulators.gemini import media
from batchdrop_local.emulators.gemini.requests import (
    ABSENT,
    Config,
    Request,
    either,
    number,
    plain,
)
from batchdrop_local.emulators.gemini.schemas import compiled
from batchdrop_local.emulators.gemini.usage import IMAGE_TOKENS, Prompt, tokens, usage

_encode: Final = msgspec.json.encode
_OPENINGS: Final = (
    "Thank you for writing to us. ",
    "Good news: this can be solved quickly. ",
    "We are sorry for this. ",
)
_MIDDLES: Final = (
    "We have checked your case and taken the next step. ",
    "Your request has been passed to the team in charge. ",
    "Please follow the link we have just sent, then try once more. ",
    "A colleague has looked at it and found the cause. ",
)
_CLOSINGS: Final = (
    "You will hear from us within two working days.",
    "We will confirm by e-mail.",
    "Is there more we can do?",
)
TEXTS: Final = tuple(
    "".join(parts) for parts in product(_OPENINGS, _MIDDLES, _CLOSINGS)
)
_READY: Final = tuple((_encode(text), tokens(text)) for text in TEXTS)
PROSE: Final = "Sure! Here is the JSON you asked for: {"


def is_plain(config: Config) -> bool:
    """Tell whether plain text without thoughts is wanted."""
    return (
        config.thinkingConfig is ABSENT
        and config.thinking_config is ABSENT
        and config.responseSchema is ABSENT
        and config.responseJsonSchema is ABSENT
        and config.response_schema is ABSENT
        and config.response_json_schema is ABSENT
        and not (config.responseMimeType or config.response_mime_type)
        and not (config.responseModalities or config.response_modalities)
    )


def plain_text(value: int) -> tuple[bytes, int]:
    """Return a text as JSON, and its tokens."""
    return _READY[value % len(_READY)]


def text_of(config: Config, value: int, text: str) -> str:
    """Return the text of the answer: conforming to the schema, else JSON, else prose."""
    schema = either(config.responseJsonSchema, config.response_json_schema)
    schema = schema or either(config.responseSchema, config.response_schema)
    if schema is not None:
        return _encode(compiled(schema)(text, value)).decode()
    mime = config.responseMimeType or config.response_mime_type
    prose = TEXTS[value % len(TEXTS)]
    return _encode({"answer": prose}).decode() if mime == "application/json" else prose


def wants_image(config: Config, model: str) -> bool:
    """Tell whether the answer is an image."""
    modalities = config.responseModalities or config.response_modalities
    return (
        "-image" in model
        if modalities is None
        else any(str(item).upper() == "IMAGE" for item in modalities)
    )


def thoughts(config: Config, value: int) -> tuple[int, bool]:
    """Return how many tokens are thought, and whether the thoughts are shown; none unless thinkingConfig is there."""
    wanted = plain(either(config.thinkingConfig, config.thinking_config))
    if not wanted:
        return 0, False
    budget = int(wanted.get("thinkingBudget", wanted.get("thinking_budget", -1)))
    count = 20 + value % 200
    shown = bool(wanted.get("includeThoughts", wanted.get("include_thoughts", False)))
    return (count if budget < 0 else min(count, budget)), shown


def limit_of(config: Config) -> int | None:
    """Return maxOutputTokens."""
    return number(
        config.maxOutputTokens
        if config.maxOutputTokens is not None
        else config.max_output_tokens
    )


def written(
    config: Config, value: int, prompt: Prompt, text: str, cut_below: int = 0
) -> tuple[bytes, bytes, bytes]:
    """Return content, finish reason and usage of a text; thoughts count towards maxOutputTokens, as documented.

    Args:
        config: The generation settings.
        value: The request's hash.
        prompt: The prompt's tokens.
        text: The whole answer.
        cut_below: Cut the text in any case unless maxOutputTokens is at least this.
    """
    thought, shown = thoughts(config, value)
    limit, count, reason = limit_of(config), tokens(text), b"STOP"
    if cut_below and (limit is None or limit < cut_below):
        text, count, reason = (
            text[: len(text) // 2],
            tokens(text[: len(text) // 2]),
            b"MAX_TOKENS",
        )
    if limit is not None and count + thought > limit:
        thought = min(thought, limit)
        count, reason = limit - thought, b"MAX_TOKENS"
        text = text[: count * 4]
    parts = b'{"text":%b}' % _encode(text) if text else b""
    if shown and thought:
        parts = b'{"text":"Let me think.","thought":true}' + (
            b"," + parts if parts else b""
        )
    content = b'{"parts":[%b],"role":"model"}' % parts if parts else b'{"role":"model"}'
    return content, reason, usage(prompt, count, thought)


def drawn(
    config: Config, value: int, prompt: Prompt, image_kib: int
) -> tuple[bytes, bytes, bytes]:
    """Return content, finish reason and usage of an image, with a caption where text is wanted too."""
    data = media.image_of(config, value, image_kib)
    modalities = [
        str(item).upper()
        for item in config.responseModalities or config.response_modalities or []
    ]
    caption = b'{"text":"Here is your image."},' if "TEXT" in modalities else b""
    content = (
        b'{"parts":[%b{"inlineData":{"mimeType":"image/png","data":"%b"}}],"role":"model"}'
        % (caption, data)
    )
    return content, b"STOP", usage(prompt, IMAGE_TOKENS, 0, b"IMAGE")


def embedded(request: Request, value: int, prompt: Prompt) -> bytes:
    """Return the response to an EmbedContentRequest; tokenCount is a string (wire facts, section 5.2)."""
    dimensions = (
        request.outputDimensionality
        or request.output_dimensionality
        or media.DEFAULT_DIMENSIONS
    )
    vector = media.vectors(dimensions)[value % media.VECTORS]
    return b'{"tokenCount":"%d","embedding":{"values":%b}}' % (prompt.total, vector)
