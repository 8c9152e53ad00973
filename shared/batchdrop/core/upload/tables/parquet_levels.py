"""How many values the longest row of a list column has, told from repetition levels without unpacking a value.

    levels   0 1 1 1 0 0 1    a level of 0 begins a row: rows of 4, 1 and 2 values; an empty or null list is one value
    runs     RLE: one level, many times; bit-packed: groups of 8 levels, the lowest bits first

Invariant: no row is longer than is told. Where levels cannot be read, or are in more runs than the steps allow, all
values up to the next row that is seen to begin count as one row.
Memory: PACKED_BYTES of levels, unpacked to a byte each.
Source of the encoding: github.com/apache/parquet-format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

PACKED_BYTES: Final = 840 * 8
"""Of bit-packed levels that are unpacked at once; a multiple of each width from 1 to 8."""
PAGE_STEPS: Final = 16
"""Runs of a page that are looked at whatever the steps: enough to see where its first row begins."""
STEP_BYTES: Final = 8
"""Bytes of bit-packed levels that cost as much time as a run."""
_MAX_WIDTH: Final = 8


class RowLengths:
    """The rows of one column of a row group; its pages are added in their order."""

    def __init__(self, max_level: int, steps: int) -> None:
        """Begin before the first page.

        Args:
            max_level: The column's largest repetition level.
            steps: How many runs may be looked at.
        """
        self.longest = 0
        """Values of the longest row."""
        self.row = 0
        """Its 1-based number in the row group; 0 when it is not known."""
        self._width = max_level.bit_length()
        self._steps = steps
        self._rows = self._open = 0
        self._is_exact = True

    def add(self, levels: bytes | None, values: int) -> None:
        """Add a page: its encoded levels, None if they cannot be read, and how many there should be."""
        left = before = max(self._steps, PAGE_STEPS)
        for count, data in _pieces(levels or b"", self._width):
            values -= (
                self._repeated(data, min(count, values))
                if count
                else self._packed(data, values)
            )
            left -= 1 + len(data) // STEP_BYTES
            if values <= 0 or left <= 0:
                break
        self._steps -= before - left
        if values > 0:
            self._is_exact = False
            self._grow(values)

    def _repeated(self, level: bytes, count: int) -> int:
        if any(level):
            self._grow(count)
        else:
            self._rows += count
            self._open = 0
            self._grow(1)
        return count

    def _packed(self, data: bytes, values: int) -> int:
        levels = _unpacked(data, self._width)[:values]
        tail, *rows = levels.split(b"\0")
        self._grow(len(tail))
        if rows:
            lengths = [len(row) + 1 for row in rows]
            longest = max(lengths)
            if longest > self.longest:
                self.longest = longest
                self._number(self._rows + lengths.index(longest) + 1)
            self._rows += len(rows)
            self._open = lengths[-1]
        return len(levels)

    def _grow(self, values: int) -> None:
        """Add values to the row that is open."""
        self._open += values
        if self._open > self.longest:
            self.longest = self._open
            self._number(self._rows)

    def _number(self, row: int) -> None:
        self.row = row if self._is_exact else 0


def _pieces(levels: bytes, width: int) -> Iterator[tuple[int, bytes]]:
    """Yield each run: a count and the level, or 0 and bit-packed bytes; stop where the encoding is broken."""
    place = 0
    while width <= _MAX_WIDTH and (run := _varint(levels, place)) is not None:
        header, place = run
        count = header >> 1
        end = place + (count * width if header & 1 else 1)
        if count == 0 or place >= len(levels):
            return
        if header & 1:
            for start in range(place, min(end, len(levels)), PACKED_BYTES):
                yield 0, levels[start : min(start + PACKED_BYTES, end)]
        else:
            yield count, levels[place:end]
        place = end


def _varint(data: bytes, place: int) -> tuple[int, int] | None:
    """Return a run's header and the place behind it; None at the end, or if it is none."""
    value = 0
    for shift in range(0, 35, 7):
        if place >= len(data):
            return None
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    return None


def _unpacked(data: bytes, width: int) -> bytes:
    """Return levels of so many bits, a byte each."""
    if 8 % width == 0:
        return b"".join(map(_in_bytes(width).__getitem__, data))
    groups = (
        data[place : place + width] for place in range(0, len(data) - width + 1, width)
    )
    return b"".join(_in_group(group, width) for group in groups)


@cache
def _in_bytes(width: int) -> list[bytes]:
    """Return the levels in each byte there can be."""
    return [_in_group(bytes([byte]), width) for byte in range(256)]


def _in_group(group: bytes, width: int) -> bytes:
    number, mask = int.from_bytes(group, "little"), (1 << width) - 1
    return bytes(number >> shift & mask for shift in range(0, 8 * len(group), width))
