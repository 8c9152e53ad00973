"""Plain answers: one candidate that stopped by itself, one part of text, tokens of text only.

    {"candidates":[{"content":{"parts":[{"text":…}],"role":…},"finishReason":"STOP","index":0}],
     "usageMetadata":{…},"modelVersion":…,"responseId":…}          fields in any order

One typed decode that knows every field reads such a response; what it read is written again. No name stood in it twice
if that takes as many quotation marks, and no mark was spelt as an escape: then all readers read it alike. As many
bytes prove it sooner, because nothing here is written longer than it was read. Anything else is for `answer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from batchdrop.core.money.usage import LONG_PROMPT
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.plain import Plain
from batchdrop.dialects.gemini.answer import not_as_asked

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Prompt = Annotated[int, msgspec.Meta(ge=0, le=LONG_PROMPT)]
_Word = str | UnsetType
_STOP: Final = b'"STOP"'


class _Known(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A part of a response that has no field but these."""


class _Part(_Known, frozen=True):
    text: msgspec.Raw
    thought_signature: _Word = UNSET


class _Content(_Known, frozen=True):
    parts: tuple[_Part]
    role: _Word = UNSET


class _Candidate(_Known, frozen=True):
    content: _Content
    finish_reason: Literal["STOP"]
    index: Literal[0] | UnsetType = UNSET
    avg_logprobs: float | UnsetType = UNSET


class _Response(_Known, frozen=True):
    candidates: tuple[_Candidate]
    usage_metadata: msgspec.Raw
    model_version: str
    response_id: _Word = UNSET
    create_time: _Word = UNSET


class _Detail(_Known, frozen=True):
    modality: Literal["TEXT"]
    token_count: _Count


class _Usage(_Known, frozen=True):
    prompt_token_count: _Prompt = 0
    candidates_token_count: _Count = 0
    thoughts_token_count: _Count = 0
    total_token_count: _Count = 0
    prompt_tokens_details: tuple[_Detail] | UnsetType = UNSET
    candidates_tokens_details: tuple[_Detail] | UnsetType = UNSET
    service_tier: _Word = UNSET
    traffic_type: _Word = UNSET


_decode: Final = msgspec.json.Decoder(_Response).decode
_usage: Final = msgspec.json.Decoder(_Usage)
_encoder: Final = msgspec.json.Encoder()
_encode: Final = _encoder.encode
_encode_lines: Final = _encoder.encode_lines


def plain(
    bodies: Sequence[bytes | None], lines: Sequence[InputLine]
) -> list[Plain | None]:
    """Return the plain answer in each body; see `dialects.dialect.PlainAnswers`."""
    found: list[Plain | None] = [None] * len(bodies)
    usual = [
        (place, body, response)
        for place, body in enumerate(bodies)
        if body is not None and (response := _read(body)) is not None
    ]
    written = [bytes(response.usage_metadata) for _, _, response in usual]
    for (place, body, response), raw, usage in zip(
        usual, written, _usages(written), strict=True
    ):
        if usage is not None:
            found[place] = _plain(body, response, raw, usage, lines[place])
    return found


def _read(body: bytes) -> _Response | None:
    """Return a response that was written soundly, None when it is not of the usual shape."""
    try:
        response = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    written = _encode(response)
    if len(written) == len(body) and response.candidates[0].avg_logprobs is UNSET:
        return response
    return response if _is_alike(body, written) else None


def _usages(raws: list[bytes]) -> list[_Usage | None]:
    """Return what the metadata count, None for any that are not sound or count more than text."""
    lines = b"\n".join(raws)
    try:
        usages = _usage.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        usages = []
    if len(usages) == len(raws) and _is_alike(lines, _encode_lines(usages)):
        return list(usages)
    return [None] if len(raws) == 1 else [_usages([raw])[0] for raw in raws]


def _is_alike(raw: bytes, written: bytes) -> bool:
    """Tell whether what was read takes as many quotation marks, none of which was spelt as an escape."""
    return written.count(b'"') == raw.count(b'"') and b"u0022" not in raw


def _plain(
    body: bytes, response: _Response, raw: bytes, usage: _Usage, line: InputLine
) -> Plain | None:
    text = bytes(response.candidates[0].content.parts[0].text)
    prompt, output = usage.prompt_token_count, usage.candidates_token_count
    if (
        not _is_text(text)
        or not _counts_less(usage.prompt_tokens_details, prompt)
        or not _counts_less(usage.candidates_tokens_details, output)
        or (line.wants_json and not_as_asked(text, line.schema))
    ):
        return None
    model, thoughts = _encode(response.model_version), usage.thoughts_token_count
    return Plain(body, text, _STOP, raw, model, prompt, output, thoughts)


def _is_text(raw: bytes) -> bool:
    """Tell whether a value that nobody decoded is a text, not an empty one, in UTF-8."""
    if raw[:1] != b'"' or raw == b'""':
        return False
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _counts_less(details: tuple[_Detail] | UnsetType, total: int) -> bool:
    """Tell whether details, if there are any, leave the total what it is."""
    return details is UNSET or details[0].token_count <= total
