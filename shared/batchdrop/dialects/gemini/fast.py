"""The fast path: the usual requests, many lines at a time, in one typed decode each.

It accepts a part of what `fields` accepts and never more; lines it does not take are looked at again, slowly. Decoding
into structs finds wrong types and unknown fields. A repeated name would be swallowed, so what was decoded is written
again, as short as can be: if that is no shorter than the lines, nothing is missing; else both must hold as many
quotation marks, because each swallowed name takes two with it. No line is written longer, or with more quotation
marks, than it was: so what holds for the sum of some lines holds for each.

    settings, safety  stay JSON, are checked by `fields` once for each spelling, and remembered
    instructions      stay JSON, are decoded once for each spelling, and remembered
    base64            stays JSON, and is looked at without being decoded
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Final, Literal, NamedTuple, cast

import msgspec

from batchdrop.core.provider.batch import BatchKind
from batchdrop.dialects.gemini.binary import is_base64_as_json
from batchdrop.dialects.gemini.request import raw_request
from batchdrop.dialects.line import Accepted, Run

CHARS_PER_TOKEN: Final = 4
MEDIA_TOKENS: Final = 1290
"""A generous estimate for one image, PDF page or clip; only for planning capacity, never for a bill."""
CACHEABLE_BYTES: Final = 64 * 1024

FieldIsValid = Callable[[str, bytes], bool]
ABSENT: Final = msgspec.Raw(b"")
"""The default of a field kept as JSON; no JSON is as short."""
_Mime = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$", max_length=100)
]


class _Strict(
    msgspec.Struct,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """An object of which every field is known."""


class _Blob(_Strict):
    mimeType: _Mime
    data: msgspec.Raw


class _FileData(_Strict):
    fileUri: Annotated[
        str, msgspec.Meta(pattern=r"^(https|gs)://[^\s]+$", max_length=2048)
    ]
    mimeType: _Mime | None = None


class _Part(_Strict):
    text: str | None = None
    inlineData: _Blob | None = None
    fileData: _FileData | None = None


class _Content(_Strict):
    parts: Annotated[list[_Part], msgspec.Meta(min_length=1)]
    role: Literal["user", "model"] | None = None


class Generate(_Strict):
    """A request for an answer."""

    contents: Annotated[list[_Content], msgspec.Meta(min_length=1)]
    systemInstruction: msgspec.Raw = ABSENT
    generationConfig: msgspec.Raw = ABSENT
    safetySettings: msgspec.Raw = ABSENT


class _Embed(_Strict):
    content: _Content
    outputDimensionality: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class _GenerateLine(_Strict):
    request: Generate
    key: msgspec.Raw = ABSENT
    record: msgspec.Raw = ABSENT


class _EmbedLine(_Strict):
    request: _Embed
    key: msgspec.Raw = ABSENT
    record: msgspec.Raw = ABSENT


_Line = _GenerateLine | _EmbedLine
_Generates = Sequence[_GenerateLine]
_Embeds = Sequence[_EmbedLine]


class _UnusualError(Exception):
    """The slow path must look at the lines."""


_decode_generate: Final = msgspec.json.Decoder(_GenerateLine).decode
_decode_embed: Final = msgspec.json.Decoder(_EmbedLine).decode
_decode_content: Final = msgspec.json.Decoder(_Content).decode
_decode_keys: Final = msgspec.json.Decoder(list[str | int | None]).decode
_encoder: Final = msgspec.json.Encoder()
_encode, _encode_lines = _encoder.encode, _encoder.encode_lines
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def check(raw: bytes, field_is_valid: FieldIsValid) -> Accepted | None:
    """Return what one line asks for, or None when the slow path must look at it; see `check_all`."""
    run = check_all([raw], field_is_valid)
    return None if run is None else run.accepted(0)


def check_all(
    lines: Sequence[bytes], field_is_valid: FieldIsValid, *, converted: bool = False
) -> Run | None:
    """Return what lines ask for, or None when one of them must be looked at slowly.

    Args:
        lines: Lines without their newlines.
        field_is_valid: Tells whether a field kept as JSON is valid; asked once for each spelling of it.
        converted: A conversion wrote the lines: they may have their records beside them.
    """
    rows = _decoded(lines)
    if not rows or not (converted or _without_records(rows)):
        return None

    whole = b"\n".join(lines)
    written = _encode_lines(rows)
    shortest = len(written) == len(whole) + 1
    if not shortest and not _as_many_names(whole, written):
        return None

    keys = _keys(rows)
    sizes = _sizes(rows, field_is_valid)
    if keys is None or sizes is None:
        return None
    request_bytes = (
        _shortest_requests(lines, keys, rows)
        if shortest
        else _other_requests(lines, keys)
    )
    requests = [row.request for row in rows]
    return Run(_kind(rows[0]), keys, *sizes, request_bytes, requests)


# ---------------------------------------------------------------------------------------- nothing is overlooked
def _decoded(lines: Sequence[bytes]) -> Sequence[_Line] | None:
    """Decode lines that are all of one kind."""
    try:
        return list(map(_decode_generate, lines))
    except _UNDECODABLE:
        pass
    try:
        return list(map(_decode_embed, lines))
    except _UNDECODABLE:
        return None


def _without_records(rows: Sequence[_Line]) -> bool:
    return all(row.record is ABSENT for row in rows)


def _as_many_names(raw: bytes, written: bytes) -> bool:
    """True when no name was swallowed; false also for some lines that are fine."""
    return written.count(b'"') == raw.count(b'"') and not (
        b"0022" in raw and b"u0022" in raw
    )


def _kind(line: _Line) -> BatchKind:
    return BatchKind.EMBED if isinstance(line, _EmbedLine) else BatchKind.GENERATE


def _keys(rows: Sequence[_Line]) -> list[bytes] | None:
    """Return the keys as they are written, None when one of them could be written otherwise."""
    keys = [bytes(row.key) for row in rows]
    if b"null" in keys:
        return None
    if b"" in keys:
        keys = [key or b"null" for key in keys]

    listed = b"[%b]" % b",".join(keys)
    try:
        return keys if _encode(_decode_keys(listed)) == listed else None
    except _UNDECODABLE:
        return None


# --------------------------------------------------------------------------------------------- what is in it
class _Size(NamedTuple):
    """Of contents: the characters of their texts, and how many parts are something else."""

    characters: int
    media: int = 0

    @property
    def tokens(self) -> int:
        return self.characters // CHARS_PER_TOKEN + self.media * MEDIA_TOKENS + 1


_NOTHING: Final = _Size(0)


def _sizes(
    rows: Sequence[_Line], field_is_valid: FieldIsValid
) -> tuple[list[int], bool] | None:
    """Return the tokens of each request and whether any has media, None when something in one is wrong."""
    try:
        if isinstance(rows[0], _EmbedLine):
            contents = [[row.request.content] for row in cast("_Embeds", rows)]
            nothing = [_NOTHING] * len(rows)
            return _tokens(contents, nothing)

        requests = [row.request for row in cast("_Generates", rows)]
        _check_fields(requests, field_is_valid)
        contents = [request.contents for request in requests]
        instructions = _instructions(requests)
        return _tokens(contents, instructions)
    except _UnusualError:
        return None


def _tokens(
    contents: Sequence[Sequence[_Content]], beside: Sequence[_Size]
) -> tuple[list[int], bool]:
    """Return the tokens of contents and of what is beside them, and whether there are media in them."""
    usual = _tokens_of_texts(contents, beside)
    if usual is not None:
        return usual, False

    sizes: list[_Size] = []
    for content, more in zip(contents, beside, strict=True):
        size = _size(content)
        characters = size.characters + more.characters
        media = size.media + more.media
        sizes.append(_Size(characters, media))

    return [size.tokens for size in sizes], any(size.media for size in sizes)


def _tokens_of_texts(
    contents: Sequence[Sequence[_Content]], beside: Sequence[_Size]
) -> list[int] | None:
    """Return the tokens of contents that are one text each, None when one of them is more: the usual case, fast."""
    try:
        parts = [part for [content] in contents for [part] in (content.parts,)]
        lengths = [len(part.text) for part in parts]  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None

    alone = all(part.inlineData is None and part.fileData is None for part in parts)
    media = any(size.media for size in beside)
    if media or not alone:
        return None

    return [
        (length + size.characters) // CHARS_PER_TOKEN + 1
        for length, size in zip(lengths, beside, strict=True)
    ]


def _check_fields(requests: Sequence[Generate], field_is_valid: FieldIsValid) -> None:
    """Check each spelling of the settings once; mostly it is that of the line before.

    Raises:
        _UnusualError: One of them is not valid.
    """
    config = safety = ABSENT
    for request in requests:
        if request.generationConfig != config:
            config = request.generationConfig
            _check_field("generationConfig", config, field_is_valid)
        if request.safetySettings != safety:
            safety = request.safetySettings
            _check_field("safetySettings", safety, field_is_valid)


def _check_field(name: str, raw: msgspec.Raw, field_is_valid: FieldIsValid) -> None:
    data = bytes(raw)
    check = _remembered if len(data) <= CACHEABLE_BYTES else _checked
    if data and not check(field_is_valid, name, data):
        raise _UnusualError


def _checked(field_is_valid: FieldIsValid, name: str, data: bytes) -> bool:
    return field_is_valid(name, data)


_remembered = lru_cache(maxsize=256)(_checked)


def _instructions(requests: Sequence[Generate]) -> list[_Size]:
    """Return how large the instructions of each request are; each spelling is looked at once."""
    instruction, size = ABSENT, _NOTHING
    sizes: list[_Size] = []
    for request in requests:
        if request.systemInstruction != instruction:
            instruction = request.systemInstruction
            size = _size_of_instruction(bytes(instruction))
        sizes.append(size)
    return sizes


def _size_of_instruction(raw: bytes) -> _Size:
    if not raw:
        return _NOTHING
    if len(raw) > CACHEABLE_BYTES:
        return _size_of_content(raw)
    return _remembered_size(raw)


def _size_of_content(raw: bytes) -> _Size:
    try:
        content = _decode_content(raw)
    except _UNDECODABLE:
        raise _UnusualError from None
    written = _encode(content)
    if len(written) != len(raw) and not _as_many_names(raw, written):
        raise _UnusualError
    return _size([content])


_remembered_size = lru_cache(maxsize=256)(_size_of_content)


def _size(contents: Iterable[_Content]) -> _Size:
    """Return how large contents are.

    Raises:
        _UnusualError: A part is not one thing, or its bytes are not base64.
    """
    characters = media = 0
    for content in contents:
        for part in content.parts:
            if part.text is None:
                _check_medium(part)
                media += 1
            elif part.inlineData is None and part.fileData is None:
                characters += len(part.text)
            else:
                raise _UnusualError
    return _Size(characters, media)


def _check_medium(part: _Part) -> None:
    blob = part.inlineData
    if (blob is None) == (part.fileData is None):
        raise _UnusualError
    if blob is not None and not is_base64_as_json(bytes(blob.data)):
        raise _UnusualError


# ---------------------------------------------------------------------------------------------- what goes out
def _shortest_requests(
    lines: Sequence[bytes], keys: Sequence[bytes], rows: Sequence[_Line]
) -> list[int]:
    """Return how much of each line is its request, when no line has a shorter spelling."""
    return [
        len(line) - _around(key, bytes(row.record))
        for line, key, row in zip(lines, keys, rows, strict=True)
    ]


def _other_requests(lines: Sequence[bytes], keys: Sequence[bytes]) -> list[int]:
    """Return how much of each line is its request, however the lines are spelled."""
    return [
        _spaced_request(line, key) or memoryview(raw_request(line)).nbytes
        for line, key in zip(lines, keys, strict=True)
    ]


def _around(key: bytes, record: bytes) -> int:
    """Return how much of a line is not its request, when no shorter spelling of the line exists."""
    around = len(b'{"request":}')
    if key != b"null":
        around += len(b',"key":') + len(key)
    if record:
        around += len(b',"record":') + len(record)
    return around


def _spaced_request(line: bytes, key: bytes) -> int:
    """Return how long the request of a line is that was written as Python's `json.dumps` does; 0 if it was not."""
    head = b'{"key": %b, "request": {' % key
    if line.startswith(head) and line.endswith(b"}}"):
        return len(line) - len(head)
    return 0
