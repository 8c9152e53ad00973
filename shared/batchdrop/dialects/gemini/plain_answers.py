"""Plain answers: one candidate that stopped by itself, one part of text, tokens of text only.

    {"candidates":[{"content":{"parts":[{"text":…}],"role":…},"finishReason":"STOP","index":0}],
     "usageMetadata":{…},"modelVersion":…,"responseId":…}          fields in any order

One typed decode that knows every field reads such a response; what it read is written again. No name stood in it twice
if that takes as many quotation marks, and no mark was spelt as an escape: then all readers read it alike. As many
bytes prove it sooner, because nothing here is written longer than it was read. Anything else is for `answer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from batchdrop.core.money.usage import LONG_PROMPT
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.plain import Plain
from batchdrop.dialects.gemini.answer import not_as_asked

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Word = str | UnsetType
_STOP: Final = "STOP"
_STOP_JSON: Final = b'"STOP"'


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
    finish_reason: str
    index: int | UnsetType = UNSET
    avg_logprobs: float | UnsetType = UNSET


class _Response(_Known, frozen=True):
    candidates: tuple[_Candidate]
    usage_metadata: msgspec.Raw
    model_version: str
    response_id: _Word = UNSET
    create_time: _Word = UNSET


class _Detail(_Known, frozen=True):
    modality: str
    token_count: _Count


class _Usage(_Known, frozen=True):
    prompt_token_count: _Count = 0
    candidates_token_count: _Count = 0
    thoughts_token_count: _Count = 0
    total_token_count: _Count = 0
    prompt_tokens_details: tuple[_Detail] | UnsetType = UNSET
    candidates_tokens_details: tuple[_Detail] | UnsetType = UNSET
    service_tier: _Word = UNSET
    traffic_type: _Word = UNSET


_decode: Final = msgspec.json.Decoder(_Response).decode
_decode_usage: Final = msgspec.json.Decoder(_Usage).decode
_encode: Final = msgspec.json.Encoder().encode


def plain(
    bodies: Sequence[bytes | None], lines: Sequence[InputLine]
) -> list[Plain | None]:
    """Return the plain answer in each body; see `dialects.dialect.PlainAnswers`."""
    return list(map(_plain, bodies, lines))


def _plain(body: bytes | None, line: InputLine) -> Plain | None:
    if body is None:
        return None
    try:
        response = _decode(body)
        written = bytes(response.usage_metadata)
        usage = _decode_usage(written)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    (candidate,) = response.candidates
    (part,) = candidate.content.parts
    text = bytes(part.text)
    if (
        candidate.finish_reason != _STOP
        or not _is_text(text)
        or not _is_of_text(usage)
        or not _is_alike(written, usage)
        or not (_is_as_long(body, response) or _is_alike(body, response))
        or (line.wants_json and not_as_asked(text, line.schema))
    ):
        return None
    return Plain(
        body,
        text,
        _STOP_JSON,
        written,
        _encode(response.model_version),
        usage.prompt_token_count,
        usage.candidates_token_count,
        usage.thoughts_token_count,
    )


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


def _is_of_text(usage: _Usage) -> bool:
    """Tell whether all tokens are of text, at the rates of a prompt that is not long."""
    prompt, output = usage.prompt_tokens_details, usage.candidates_tokens_details
    return (
        usage.prompt_token_count <= LONG_PROMPT
        and (prompt is UNSET or _all(prompt, usage.prompt_token_count))
        and (output is UNSET or _all(output, usage.candidates_token_count))
    )


def _all(details: tuple[_Detail], total: int) -> bool:
    (detail,) = details
    return detail.modality == "TEXT" and detail.token_count <= total


def _is_as_long(body: bytes, response: _Response) -> bool:
    """Tell whether what was read takes as many bytes; another number than 0 could be written longer than it was."""
    (candidate,) = response.candidates
    return (
        not candidate.index
        and candidate.avg_logprobs is UNSET
        and len(_encode(response)) == len(body)
    )


def _is_alike(raw: bytes, read: _Response | _Usage) -> bool:
    """Tell whether what was read takes as many quotation marks, none of which was spelt as an escape."""
    return b"u0022" not in raw and _encode(read).count(b'"') == raw.count(b'"')
