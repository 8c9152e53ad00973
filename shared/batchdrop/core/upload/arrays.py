r"""One JSON array cut into its members, in constant memory: each becomes a line.

    [ {"a": 1},  {"b": "],\""} ]
      ^^^^^^^^^  ^^^^^^^^^^^^^^      brackets, commas and quotes in strings are data

What a member holds is not looked at: it is a line that may be rejected like any other. White space between a member's
tokens may have newlines, so they become blanks; a newline in a string, which JSON forbids, stays forbidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.upload.lines import BOM

_TOKEN: Final = re.compile(rb'"(?:[^"\\]+|\\.)*+"|["\[\]{},]', re.DOTALL)
_IN_STRING: Final = re.compile(rb'["\\]')
_STRING_OR_NEWLINE: Final = re.compile(rb'"(?:[^"\\]+|\\.)*+"|[\r\n]+', re.DOTALL)
_QUOTE, _ESCAPE, _COMMA = b'"\\,'
_FORBIDDEN: Final = b"\x0b"
"""A control character that no JSON string may hold, either."""


def begins(head: bytes) -> bool:
    """Tell whether a file of this beginning is one array."""
    return head.removeprefix(BOM).lstrip().startswith(b"[")


def members(
    chunks: Iterable[bytes], *, max_bytes: int, offset: int = 0
) -> Iterator[tuple[bytes, int]]:
    """Yield each member as one line without newline, and where in the stream reading can go on behind it.

    Args:
        chunks: The stream, or its rest from a place that this function named.
        max_bytes: A longer member is cut a byte behind that, so that it is too long as a line, too.
        offset: The place of the first byte; 0: the array is still to begin.

    Raises:
        PermanentError: ARRAY_INVALID: the array does not end, or something follows it.
    """
    scan = _Scan(max_bytes, 1 if offset else 0)
    for chunk in chunks:
        for member, end in scan.feed(chunk):
            yield member, offset + end
        offset += len(chunk)
    if not scan.ended:
        raise PermanentError(
            "The JSON array is cut off: it has no closing bracket.",
            code=Code.ARRAY_INVALID,
        )


def complete(head: bytes) -> list[bytes]:
    """Return the members that a beginning of an array holds whole."""
    try:
        return [member for member, _ in _Scan(len(head), 0).feed(head)]
    except PermanentError:
        return []


class _Scan:
    """Where a scan stands between two chunks: how deep, in a string or not, what of a member it holds."""

    def __init__(self, max_bytes: int, depth: int) -> None:
        self.ended = False
        self._most = max_bytes + 1
        self._depth = depth
        self._in_string = self._escaped = False
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the members that end in a chunk, each with the place in the chunk behind it."""
        start = 0
        for place, byte in self._tokens(chunk):
            if self.ended:
                break
            if byte in b"[{":
                self._depth += 1
                if self._depth == 1:
                    _nothing(chunk[:place])
                    start = place + 1
            elif byte in b"]}":
                self._depth -= 1
                self.ended = self._depth == 0
            if self.ended or (byte == _COMMA and self._depth == 1):
                self._hold(chunk[start:place])
                member = self._member()
                if member or not self.ended:
                    yield member, place + (not self.ended)
                start = place + 1
        if self._depth:
            self._hold(chunk[start:])
        else:
            _nothing(chunk[start:])

    def _tokens(self, chunk: bytes) -> Iterator[tuple[int, int]]:
        """Yield the brackets, braces and commas outside strings, with their places."""
        place = 1 if self._escaped and chunk else 0
        self._escaped = self._escaped and not chunk
        while True:
            found = (_IN_STRING if self._in_string else _TOKEN).search(chunk, place)
            if found is None:
                return
            byte, place = chunk[found.start()], found.end()
            if self._in_string:
                self._in_string = byte != _QUOTE
                self._escaped = byte == _ESCAPE and place == len(chunk)
                place += byte == _ESCAPE
            elif byte != _QUOTE:
                yield found.start(), byte
            elif len(found[0]) == 1:
                self._in_string = True

    def _hold(self, piece: bytes) -> None:
        if self._size < self._most:
            self._held.append(piece[: self._most - self._size])
        self._size += len(piece)

    def _member(self) -> bytes:
        member = b"".join(self._held).strip()
        self._held, self._size = [], 0
        return (
            _STRING_OR_NEWLINE.sub(_on_one_line, member)
            if b"\n" in member or b"\r" in member
            else member
        )


def _nothing(around: bytes) -> None:
    """Check that nothing but white space (or a byte order mark) stands outside the array."""
    if around.strip(BOM + b" \t\r\n"):
        raise PermanentError(
            "Something stands before or behind the JSON array.", code=Code.ARRAY_INVALID
        )


def _on_one_line(found: re.Match[bytes]) -> bytes:
    token = found[0]
    if not token.startswith(b'"'):
        return b" "
    return token.replace(b"\n", _FORBIDDEN) if b"\n" in token else token
