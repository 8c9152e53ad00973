"""Rows without ids: each gets that of the request it echoes.

The service writes the request into its row, normalised: other spelling of members, members added with null. Both forms
have one digest. Of equal requests the first row gets the first id: they asked the same, so either answer is right.
Nothing is told by a row's position; a row whose request is none of the batch's stays without an id, and is counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

import msgspec

from batchdrop.core.result.result import ABSENT

_KEY: Final = b'"key"'
_DIGEST_BYTES: Final = 16


class _Row(msgspec.Struct, frozen=True, gc=False):
    key: str | int | None = None
    request: msgspec.Raw = ABSENT


class _Line(msgspec.Struct, frozen=True, gc=False):
    key: str
    request: msgspec.Raw


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_line = msgspec.json.Decoder(_Line).decode


class Joining:
    """Gives rows their ids; what was staged is read once, when the first row comes without."""

    def __init__(self, staged: Callable[[], Iterable[bytes]]) -> None:
        """Take what yields the staged lines."""
        self._staged = staged
        self._ids: dict[bytes, bytes] | None = None

    def with_id(self, row: bytes) -> bytes:
        """Return the row with an id, or as it is when it has one already or nobody can tell whose it is."""
        try:
            found = _decode_row(row)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return row
        if found.key is not None:
            return row
        id = self._taken(bytes(found.request))
        return row if id is None else b'{"key":"%b",%b' % (id, _members(row))

    def _taken(self, request: bytes) -> bytes | None:
        """Return the next id of those that asked the same."""
        digest = digest_of(request)
        if digest is None:
            return None
        if self._ids is None:
            self._ids = _ids(self._staged())
        ids = self._ids.get(digest)
        if not ids:
            return None
        first, _, rest = ids.partition(b" ")
        self._ids[digest] = rest
        return first


def _members(row: bytes) -> bytes:
    """Return a row behind its opening brace, without a key that is null."""
    if _KEY not in row:
        return row.lstrip()[1:]
    members = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    members.pop("key", None)
    return msgspec.json.encode(members)[1:]


def _ids(lines: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the ids of the staged lines by their requests' digests, in order; one bytes object for equal requests."""
    found: dict[bytes, list[bytes]] = {}
    for raw in lines:
        line = _decode_line(raw)
        digest = digest_of(bytes(line.request))
        if digest is not None:
            found.setdefault(digest, []).append(line.key.encode())
    return {digest: b" ".join(ids) for digest, ids in found.items()}


def digest_of(request: bytes) -> bytes | None:
    """Return the digest of what a request asks, whatever its spelling; None when it cannot be read."""
    try:
        value: Any = msgspec.json.decode(request)
        plain = json.dumps(_plain(value), separators=(",", ":"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    text = plain.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()


def _plain(value: Any) -> Any:
    """Return a value without nulls, names folded and in order, whole numbers as integers."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        folded = ((_folded(name), _plain(inner)) for name, inner in members)
        return sorted(
            ([name, inner] for name, inner in folded if inner is not None),
            key=json.dumps,
        )
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


def rows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows of an object, newlines cut off; one row at a time is in memory."""
    rest: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest.append(first)
        if others:
            yield b"".join(rest)
            yield from others[:-1]
            rest = [others[-1]]
    last = b"".join(rest)
    if last:
        yield last
