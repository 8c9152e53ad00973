"""Attachments: objects of buckets that requests name, `{"fileData": {"fileUri": "gs://bucket/name"}}`.

The Gemini Developer API reads no private bucket, so a shard's objects are uploaded to the provider before the shard
is, and the lines sent name those files. Rows, manifest and what the user uploaded keep the objects' names.

    parts of contents, content, systemInstruction, and of functionResponse in them    attached
    any other member whose name ends in `uri`, at any depth                           looked at only

Another service may read every bucket of its project with rights of its own, so no address goes out unseen: whatever
a member is called (camelCase, snake_case, both at once) and however the text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from batchdrop.core.address import SCHEME
from batchdrop.core.pointer import join
from batchdrop.dialects.dialect import Named
from batchdrop.dialects.gemini.request import raw_request

_MAY_NAME: Final = re.compile(rb"gs:|gS:|Gs:|GS:|\\u")
"""A line without any of these names no object: a letter or the colon could still be written as an escape."""
_FILES: Final = ("fileData", "file_data")
_URIS: Final = ("fileUri", "file_uri")
_TYPES: Final = ("mimeType", "mime_type")
_RESPONSES: Final = ("functionResponse", "function_response")
_TURNS: Final = ("contents", "content", "systemInstruction", "system_instruction")
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.decode
_encode = msgspec.json.encode


def may_name(raw: bytes) -> bool:
    """Tell whether a line could name an object; False is certain."""
    return _MAY_NAME.search(raw) is not None


def named(request: bytes) -> list[Named]:
    """Return the objects a request names and that are attached to it, in order."""
    return [found for _, found, _ in _places(request)] if may_name(request) else []


def named_by_line(line: bytes) -> list[Named]:
    """Return the objects an accepted input line names; pointers begin at the line."""
    found = named(bytes(raw_request(line))) if may_name(line) else []
    return [one._replace(pointer=f"/request{one.pointer}") for one in found]


def addresses(line: bytes) -> list[tuple[str, str]]:
    """Return pointer and text of every address of a bucket's object in an accepted line, attached or not."""
    found: list[tuple[str, str]] = []
    waiting: list[tuple[str, Any]] = [("/request", _decode(raw_request(line)))]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, dict):
            for name, member in cast("dict[str, Any]", value).items():
                here = join(pointer, name)
                if (
                    isinstance(member, str)
                    and name.lower().endswith("uri")
                    and _is_address(member)
                ):
                    found.append((here, member))
                else:
                    waiting.append((here, member))
        elif isinstance(value, list):
            waiting += [
                (f"{pointer}/{index}", item)
                for index, item in enumerate(cast("list[Any]", value))
            ]
    return found


def with_files(request: bytes, files: Mapping[str, str]) -> bytes:
    """Return the request with the provider's files in place of the objects that have one."""
    if not may_name(request):
        return request
    members: dict[str, Any] = _decode_members(request)
    for turn, found, place in _places(request):
        if found.uri in files:
            place(files[found.uri])
            members[turn.name] = turn.value
    return _encode(members)


def _is_address(text: str) -> bool:
    return text.strip().lower().startswith("gs:")


class _Turn(NamedTuple):
    name: str
    value: Any


def _places(request: bytes) -> Iterator[tuple[_Turn, Named, Callable[[str], None]]]:
    """Yield each part that names an object, with what puts another address into its turn."""
    for name, raw in _decode_members(request).items():
        if name in _TURNS and may_name(bytes(raw)):
            turn = _Turn(name, _decode(raw))
            for pointer, part in _in_turn(turn.value, f"/{name}"):
                for file, data in _members(part, _FILES):
                    for field in _URIS:
                        uri = data.get(field)
                        if isinstance(uri, str) and uri.startswith(SCHEME):
                            kind = next(
                                (str(data[name]) for name in _TYPES if data.get(name)),
                                "",
                            )
                            found = Named(f"{pointer}/{file}/{field}", uri, kind)
                            yield turn, found, _setter(data, field)


def _setter(held: dict[str, Any], field: str) -> Callable[[str], None]:
    return lambda uri: held.__setitem__(field, uri)


def _members(
    value: dict[str, Any], names: tuple[str, ...]
) -> list[tuple[str, dict[str, Any]]]:
    """Return those of the named members that are objects."""
    found = ((name, value.get(name)) for name in names)
    return [
        (name, cast("dict[str, Any]", member))
        for name, member in found
        if isinstance(member, dict)
    ]


def _in_turn(turn: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of a content, or of a list of contents."""
    for at, content in _each(turn, pointer):
        yield from _in_parts(content.get("parts"), f"{at}/parts")


def _in_parts(parts: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part, and the parts that a function's response in one of them holds."""
    for at, part in _each(parts, pointer):
        yield at, part
        for name, response in _members(part, _RESPONSES):
            yield from _in_parts(response.get("parts"), f"{at}/{name}/parts")


def _each(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a list; proto-JSON takes a single one in place of a list of one."""
    if isinstance(value, dict):
        yield pointer, cast("dict[str, Any]", value)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            if isinstance(item, dict):
                yield f"{pointer}/{index}", cast("dict[str, Any]", item)
