"""The fast path: the usual requests, in one typed decode.

It accepts a part of what `walk` accepts and never more; a line it does not take is looked at again, slowly. Decoding
into structs finds wrong types, unknown fields and text that is not UTF-8. A repeated name would be swallowed, so what
was decoded is written again, as short as can be: if the line is no longer than that, nothing is missing; else both must
hold as many quotation marks, because each swallowed name takes two with it. What the lines of an upload have in common
(settings, schema, safety) stays JSON, is checked by `walk` itself once for each spelling, and remembered.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from batchdrop.core.provider.batch import BatchKind
from batchdrop.dialects.line import Accepted

CHARS_PER_TOKEN: Final = 4
MEDIA_TOKENS: Final = 1290
"""A generous estimate for one image, PDF page or clip; only for planning capacity, never for a bill."""
CACHEABLE_BYTES: Final = 64 * 1024

_ABSENT: Final = msgspec.Raw(b"null")
_Mime = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$", max_length=100)
]


class _Blob(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    mimeType: _Mime
    data: str


class _FileData(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    fileUri: Annotated[
        str, msgspec.Meta(pattern=r"^(https|gs)://[^\s]+$", max_length=2048)
    ]
    mimeType: _Mime | None = None


class _Part(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    text: str | None = None
    inlineData: _Blob | None = None
    fileData: _FileData | None = None


class _Content(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    parts: Annotated[list[_Part], msgspec.Meta(min_length=1)]
    role: Literal["user", "model"] | None = None


class _Generate(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    contents: Annotated[list[_Content], msgspec.Meta(min_length=1)]
    systemInstruction: _Content | None = None
    generationConfig: msgspec.Raw = _ABSENT
    safetySettings: msgspec.Raw = _ABSENT


class _Embed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    content: _Content
    outputDimensionality: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class _GenerateLine(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    request: _Generate
    key: str | int | None = None


class _EmbedLine(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    request: _Embed
    key: str | int | None = None


_Line = _GenerateLine | _EmbedLine
_decode_generate: Final = msgspec.json.Decoder(_GenerateLine).decode
_decode_embed: Final = msgspec.json.Decoder(_EmbedLine).decode
_encode: Final = msgspec.json.Encoder().encode
_GENERATE: Final = BatchKind.GENERATE
_EMBED: Final = BatchKind.EMBED


def check(raw: bytes, field_is_valid: Callable[[str, bytes], bool]) -> Accepted | None:
    """Return what the line asks for, or None when the slow path must look at it.

    Args:
        raw: One line, without its newline.
        field_is_valid: Tells whether a field kept as JSON is valid; asked once for each spelling of it.
    """
    try:
        line = _decode_generate(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _check_embed(raw)
    request = line.request
    config, safety = request.generationConfig, request.safetySettings
    if config is not _ABSENT and not _valid_field(
        "generationConfig", config, field_is_valid
    ):
        return None
    if safety is not _ABSENT and not _valid_field(
        "safetySettings", safety, field_is_valid
    ):
        return None
    contents = request.contents
    if request.systemInstruction is not None:
        contents = [request.systemInstruction, *contents]
    return _checked(_GENERATE, raw, line, contents)


def _check_embed(raw: bytes) -> Accepted | None:
    try:
        line = _decode_embed(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _checked(_EMBED, raw, line, [line.request.content])


def _checked(
    kind: BatchKind, raw: bytes, line: _Line, contents: list[_Content]
) -> Accepted | None:
    written = _encode(line)
    shortest = len(written) == len(raw)
    if not shortest and not _as_many_names(raw, written):
        return None
    characters, media = _counted(contents)
    if characters < 0:
        return None
    key = _encode(line.key)
    tokens = characters // CHARS_PER_TOKEN + media * MEDIA_TOKENS + 1
    return Accepted(
        kind, key, tokens, media > 0, _request_bytes(raw, key) if shortest else None
    )


def _as_many_names(raw: bytes, written: bytes) -> bool:
    """True when no name was swallowed; false also for some lines that are fine."""
    return written.count(b'"') == raw.count(b'"') and not (
        b"0022" in raw and b"u0022" in raw
    )


def _request_bytes(raw: bytes, key: bytes) -> int:
    """Return how much of a line is its request, given that no shorter spelling of the line exists."""
    around = (
        len(b'{"request":}')
        if key == b"null"
        else len(b'{"request":,"key":}') + len(key)
    )
    return len(raw) - around


def _counted(contents: list[_Content]) -> tuple[int, int]:
    """Return characters and other things; characters < 0: a part is not one thing, or its bytes are not base64."""
    characters = media = 0
    for content in contents:
        for part in content.parts:
            blob, file = part.inlineData, part.fileData
            if part.text is not None:
                if blob is not None or file is not None:
                    return -1, 0
                characters += len(part.text)
            elif (blob is None) == (file is None) or (
                blob is not None and not is_base64(blob.data)
            ):
                return -1, 0
            else:
                media += 1
    return characters, media


def is_base64(text: str) -> bool:
    """Tell whether a text is standard or URL-safe base64 of at least one byte."""
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    try:
        return bool(
            binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        )
    except (binascii.Error, ValueError):
        return False


def _valid_field(
    name: str, raw: msgspec.Raw, field_is_valid: Callable[[str, bytes], bool]
) -> bool:
    data = bytes(raw)
    if len(data) > CACHEABLE_BYTES:
        return field_is_valid(name, data)
    return _remembered(field_is_valid, name, data)


@lru_cache(maxsize=256)
def _remembered(
    field_is_valid: Callable[[str, bytes], bool], name: str, data: bytes
) -> Any:
    return field_is_valid(name, data)
