"""Rendering: what a recipe asks about a record becomes a request; and requests as they go out.

    generation  contents: [attachments…, prompt], systemInstruction, generationConfig with the answers' schema
    embedding   content: the prompt, outputDimensionality

A pure function of recipe and draft, so that the same upload makes the same lines. Whatever is rendered passes
`check_request`. Answers are asked for by `responseJsonSchema`, which takes JSON Schema as it is; labels are an
enumeration in it. So all structured answers are JSON and checked in one way (`text/x.enum` would need another one).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from batchdrop.core.recipe.draft import Draft
from batchdrop.core.recipe.recipe import Embed, Recipe
from batchdrop.dialects.dialect import Beginning
from batchdrop.dialects.gemini.attachments import with_files
from batchdrop.dialects.gemini.request import raw_request, raw_requests
from batchdrop.dialects.line import Accepted

_encode = msgspec.json.encode


def renderer(recipe: Recipe) -> Callable[[Draft], bytes]:
    """Return what writes a recipe's drafts as requests; what is the same for all is written once."""
    if recipe.embed is not None:
        return _embedding(recipe.embed)
    settings = _settings(recipe)

    def generation(draft: Draft) -> bytes:
        parts = [_FILE % (each.uri, each.mime_type) for each in draft.attachments]
        if draft.prompt is not None:
            parts.append(_TEXT % draft.prompt)
        contents = b'"contents":[{"role":"user","parts":[%b]}]' % b",".join(parts)
        system = b"" if draft.system is None else _SYSTEM % draft.system
        return b"{%b%b%b}" % (contents, system, settings)

    return generation


_TEXT: Final = b'{"text":%b}'
_FILE: Final = b'{"fileData":{"fileUri":%b,"mimeType":%b}}'
_SYSTEM: Final = b',"systemInstruction":{"parts":[{"text":%b}]}'


def _embedding(embed: Embed) -> Callable[[Draft], bytes]:
    size = b',"outputDimensionality":%d' % embed.dimensions if embed.dimensions else b""
    return lambda draft: b'{"content":{"parts":[{"text":%b}]}%b}' % (draft.prompt, size)


def _settings(recipe: Recipe) -> bytes:
    """Return the generation settings as a member after a comma, nothing when there are none."""
    config = recipe.generation.model_dump(mode="json", by_alias=True, exclude_none=True)
    schema = recipe.answer_schema()
    if schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return b',"generationConfig":' + _encode(config) if config else b""


# ------------------------------------------------------------------------------------------- lines as they go out
_decode = msgspec.json.decode
LONGER_FACTOR: Final = 2


def body_of(
    raw: bytes,
    *,
    longer: bool = False,
    beginning: Beginning | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return the request of an accepted input line as it goes out.

    Args:
        raw: The input line.
        longer: Give the answer twice the room.
        beginning: What a cache holds is left out.
        files: The provider's files by the objects they were made of.
    """
    request = bytes(raw_request(raw))
    if beginning is not None:
        request = beginning.spared(request)
    if files:
        request = with_files(request, files)
    return with_longer_output(request) if longer else request


def bodies_of(lines: bytes, number: int) -> list[tuple[int, bytes]]:
    """Return number and request of accepted input lines as they are, the first of which has that number."""
    return [
        (number, bytes(request))
        for number, request in enumerate(raw_requests(lines), number)
    ]


def body_bytes(raw: bytes, found: Accepted) -> int:
    """Return how long `body_of` makes an accepted input line, without making it."""
    return (
        memoryview(raw_request(raw)).nbytes
        if found.request_bytes is None
        else found.request_bytes
    )


def with_longer_output(request: bytes) -> bytes:
    """Return the request with twice the output limit it had; without a limit, unchanged."""
    body: dict[str, Any] = _decode(request)
    name = "generationConfig" if "generationConfig" in body else "generation_config"
    config: dict[str, Any] = body.get(name) or {}
    field = "maxOutputTokens" if "maxOutputTokens" in config else "max_output_tokens"
    if field not in config:
        return request
    config[field] = int(config[field]) * LONGER_FACTOR
    return _encode(body)
