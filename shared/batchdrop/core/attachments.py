"""Attachments: objects of buckets that requests name, `{"fileData": {"fileUri": "gs://bucket/name"}}`.

The Gemini Developer API reads no private bucket, so a shard's objects are uploaded to the provider before the shard
is, and the lines sent name those files. Rows, manifest and what the user uploaded keep the objects' names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

SCHEME: Final = "gs://"
MARK: Final = b"gs:"
"""A line without it names no object; a slash may be written as `\\/`, so no more is looked for."""
_FIELDS: Final = {"fileData": ("fileUri", "mimeType"), "file_data": ("file_uri", "mime_type")}
_TURNS: Final = ("contents", "content", "systemInstruction", "system_instruction")


class _Line(msgspec.Struct):
    request: msgspec.Raw


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.decode
_encode = msgspec.json.encode


class Named(NamedTuple):
    """An object a request names: where, its address and the type the request gives it."""

    pointer: str
    uri: str
    mime_type: str


def named(request: bytes) -> list[Named]:
    """Return the objects a request names, in order."""
    return [found for _, found in _parts(request)] if MARK in request else []


def named_by_line(line: bytes) -> list[Named]:
    """Return the objects an accepted input line names; pointers begin at the line."""
    found = named(bytes(_decode_line(line).request)) if MARK in line else []
    return [one._replace(pointer=f"/request{one.pointer}") for one in found]


def with_files(request: bytes, files: Mapping[str, str]) -> bytes:
    """Return the request with the provider's files in place of the objects that have one."""
    if MARK not in request:
        return request
    members: dict[str, Any] = _decode_members(request)
    for turn, found, place in _places(request):
        if found.uri in files:
            place(files[found.uri])
            members[turn.name] = turn.value
    return _encode(members)


def address(uri: str) -> tuple[str, str]:
    """Return bucket and name of an object's address."""
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    return bucket, name


class _Turn(NamedTuple):
    name: str
    value: Any


def _parts(request: bytes) -> Iterator[tuple[_Turn, Named]]:
    for turn, found, _ in _places(request):
        yield turn, found


def _places(request: bytes) -> Iterator[tuple[_Turn, Named, Callable[[str], None]]]:
    """Yield each part that names an object, with what puts another address into its turn."""
    for name, raw in _decode_members(request).items():
        if name in _TURNS and MARK in bytes(raw):
            turn = _Turn(name, _decode(raw))
            for pointer, part in _walk(turn.value, f"/{name}"):
                for field, (uri, kind) in _FIELDS.items():
                    data: Any = part.get(field)
                    if isinstance(data, dict) and str(cast("Any", data).get(uri)).startswith(SCHEME):
                        held = cast("dict[str, Any]", data)
                        found = Named(f"{pointer}/{field}/{uri}", str(held[uri]), str(held.get(kind) or ""))
                        yield turn, found, _setter(held, uri)


def _setter(held: dict[str, Any], field: str) -> Callable[[str], None]:
    return lambda uri: held.__setitem__(field, uri)


def _walk(turn: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of a content, or of a list of contents."""
    contents = cast("list[Any]", turn if isinstance(turn, list) else [turn])
    for number, content in enumerate(contents):
        at = f"{pointer}/{number}" if contents is turn else pointer
        parts: list[dict[str, Any]] = content["parts"]
        for index, part in enumerate(parts):
            yield f"{at}/parts/{index}", part
