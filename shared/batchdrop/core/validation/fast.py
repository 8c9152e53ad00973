"""The fast path: the usual requests, in one typed decode.

It accepts a part of what `walk` accepts and never more; a line it does not take is looked at again, slowly. Decoding
into structs finds wrong types and unknown fields. A repeated name would be swallowed, so what was decoded is
written again and must hold as many quotation marks as the line did: each swallowed name takes two with it.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from batchdrop.ports import BatchKind

CHARS_PER_TOKEN: Final = 4
MEDIA_TOKENS: Final = 1290
"""A generous estimate for one image, PDF page or clip; only for planning capacity, never for a bill."""
CACHEABLE_BYTES: Final = 64 * 1024

_ABSENT: Final = msgspec.Raw(b"null")
_Mime = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$", max_length=100)]


class _Blob(msgspec.Struct, forbid_unknown_fields=True):
    mimeType: _Mime
    data: str


class _FileData(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    fileUri: Annotated[str, msgspec.Meta(pattern=r"^(https|gs)://[^\s]+$", max_length=2048)]
    mimeType: _Mime | None = None


class _Part(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    text: str | None = None
    inlineData: _Blob | None = None
    fileData: _FileData | None = None


class _Content(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    parts: Annotated[list[_Part], msgspec.Meta(min_length=1)]
    role: Literal["user", "model"] | None = None


class _Config(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    topP: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    topK: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    candidateCount: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    maxOutputTokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    stopSequences: Annotated[list[str], msgspec.Meta(max_length=5)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] | None = None
    responseMimeType: Literal["text/plain", "application/json"] | None = None
    responseSchema: msgspec.Raw = _ABSENT
    responseJsonSchema: msgspec.Raw = _ABSENT
    thinkingConfig: msgspec.Raw = _ABSENT


class _Generate(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    contents: Annotated[list[_Content], msgspec.Meta(min_length=1)]
    systemInstruction: _Content | None = None
    generationConfig: _Config | None = None
    safetySettings: msgspec.Raw = _ABSENT


class _Embed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    content: _Content
    outputDimensionality: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class _GenerateLine(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    request: _Generate
    key: str | int | None = None


class _EmbedLine(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    request: _Embed
    key: str | int | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """An accepted line: its key as JSON, its kind, and an estimate of its prompt's tokens."""

    kind: BatchKind
    key: bytes
    tokens: int


_decode_generate: Final = msgspec.json.Decoder(_GenerateLine).decode
_decode_embed: Final = msgspec.json.Decoder(_EmbedLine).decode
_encode: Final = msgspec.json.Encoder().encode


def check(raw: bytes, field_is_valid: Callable[[str, bytes], bool]) -> Checked | None:
    """Return what the line asks for, or None when the slow path must look at it.

    Args:
        raw: One line, without its newline.
        field_is_valid: Tells whether a field kept as JSON is valid; asked once for each spelling of it.
    """
    try:
        line = _decode_generate(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _check_embed(raw)
    if not _written_once(raw, line):
        return None
    request = line.request
    tokens = _contents(request.contents)
    if tokens < 0 or not _valid_config(request.generationConfig, field_is_valid):
        return None
    if request.systemInstruction is not None:
        system = _contents([request.systemInstruction])
        if system < 0:
            return None
        tokens += system
    if not _valid_field("safetySettings", request.safetySettings, field_is_valid):
        return None
    return Checked(BatchKind.GENERATE, _encode(line.key), tokens)


def _check_embed(raw: bytes) -> Checked | None:
    try:
        line = _decode_embed(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    tokens = _contents([line.request.content])
    if tokens < 0 or not _written_once(raw, line):
        return None
    return Checked(BatchKind.EMBED, _encode(line.key), tokens)


def _written_once(raw: bytes, line: object) -> bool:
    """True when no name was swallowed; false also for some lines that are fine."""
    return b"u0022" not in raw and _encode(line).count(b'"') == raw.count(b'"') and _is_utf8(raw)


def _is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _contents(contents: list[_Content]) -> int:
    """Return an estimate of the tokens, negative when a part is not one thing or its bytes are not base64."""
    characters = media = 0
    for content in contents:
        for part in content.parts:
            blob, file = part.inlineData, part.fileData
            if part.text is not None:
                if blob is not None or file is not None:
                    return -1
                characters += len(part.text)
            elif (blob is None) == (file is None) or (blob is not None and not is_base64(blob.data)):
                return -1
            else:
                media += MEDIA_TOKENS
    return characters // CHARS_PER_TOKEN + media + 1


def is_base64(text: str) -> bool:
    """Tell whether a text is standard or URL-safe base64 of at least one byte."""
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    try:
        return bool(binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True))
    except (binascii.Error, ValueError):
        return False


def _valid_config(config: _Config | None, field_is_valid: Callable[[str, bytes], bool]) -> bool:
    if config is None:
        return True
    schemas = (bytes(config.responseSchema) != b"null") + (bytes(config.responseJsonSchema) != b"null")
    if schemas and (schemas > 1 or config.responseMimeType != "application/json"):
        return False
    return (
        _valid_field("responseSchema", config.responseSchema, field_is_valid)
        and _valid_field("responseJsonSchema", config.responseJsonSchema, field_is_valid)
        and _valid_field("thinkingConfig", config.thinkingConfig, field_is_valid)
    )


def _valid_field(name: str, raw: msgspec.Raw, field_is_valid: Callable[[str, bytes], bool]) -> bool:
    data = bytes(raw)
    if data == b"null":
        return True
    if len(data) > CACHEABLE_BYTES:
        return field_is_valid(name, data)
    return _remembered(field_is_valid, name, data)


@lru_cache(maxsize=256)
def _remembered(field_is_valid: Callable[[str, bytes], bool], name: str, data: bytes) -> Any:
    return field_is_valid(name, data)
