r"""Cut a stream of bytes into lines, in constant memory and at the speed of `bytes.split`.

    chunks  |{"a":1}\n{"b|":2}\n\n{"c":3}\n{"d|":4}         a line may begin in one chunk and end in a later one
    blocks  [{"a":1}] [{"b":2}] ["", {"c":3}] [{"d":4}]     lines within one chunk come as one list

Only b"\n" ends a line: U+2028, U+2029, U+0085 and a lone CR are data. (`str.splitlines` and HTTP clients' `iter_lines`
cut at them, and so cut JSON strings; seen with Python 3.11.) The CR of CRLF stays, JSON reads it as white space, so
that the place of the next line follows from the length of this one.
Invariant: the blocks follow each other without gap or overlap, from the first byte given to the last.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, cast

from batchdrop.core.limits import MIB

BOM: Final = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Neighbouring lines without their newlines.

    In a block of several lines each takes its length and one byte. A line for which that may not be so (it had a
    byte order mark, has no newline, is too long) is a block of its own, from `start` to `end`.
    """

    number: int
    """The 1-based number of the first line."""
    start: int
    """The first line's place in the stream."""
    end: int
    """The place after the last line and its newline."""
    lines: list[bytes] | list[None]
    """`[None]` stands for a line over the limit."""


def split_blocks(
    chunks: Iterable[bytes], *, max_line_bytes: int, number: int = 1, start: int = 0
) -> Iterator[Block]:
    """Yield every line exactly once, in order, holding one chunk and one line at most.

    Args:
        chunks: The stream, or its rest from a byte where a line begins.
        max_line_bytes: A longer line is counted and passed over, not kept.
        number: The number of the first line in `chunks`.
        start: The place of its first byte.
    """
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        first, newline, rest = chunk.partition(b"\n")
        size = _hold(pieces, size, first, max_line_bytes)
        if not newline:
            continue
        block = _one(number, start, size, 1, pieces)
        yield block
        number, start = number + 1, block.end
        whole, newline, rest = rest.rpartition(b"\n")
        if newline:
            for block in _inner(number, start, whole.split(b"\n"), max_line_bytes):
                yield block
                number, start = number + len(block.lines), block.end
        size = _hold(pieces, 0, rest, max_line_bytes)
    if size:
        yield _one(number, start, size, 0, pieces)


def split_lines(
    chunks: Iterable[bytes], *, max_line_bytes: int, number: int = 1, start: int = 0
) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line (None if it is over the limit) and the bytes it takes in the stream; see `split_blocks`."""
    for block in split_blocks(
        chunks, max_line_bytes=max_line_bytes, number=number, start=start
    ):
        if len(block.lines) == 1:
            yield block.lines[0], block.end - block.start
            continue
        for line in block.lines:
            yield line, len(line or b"") + 1


def each_line(chunks: Iterable[bytes], *, number: int = 1) -> Iterator[bytes]:
    """Yield each line of a stream of our own, where no line is too long; see `split_blocks`."""
    for block in split_blocks(chunks, max_line_bytes=sys.maxsize, number=number):
        yield from cast("list[bytes]", block.lines)


def lines_of_head(head: bytes) -> list[bytes]:
    """Return the lines of a file's first bytes; the last may be cut off, so it counts only when it stands alone."""
    lines = head.split(b"\n")
    return lines[:-1] or lines


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, cut after newlines only: many lines at a time, for a decoder that tells them apart."""
    held: list[bytes] = []
    for chunk in chunks:
        lines, newline, rest = chunk.rpartition(b"\n")
        if newline:
            yield b"".join((*held, lines, newline))
            held = []
        held.append(rest)
    last = b"".join(held)
    if last:
        yield last


def gathered(lines: Iterable[bytes], most_lines: int = sys.maxsize) -> Iterator[bytes]:
    """Join lines, `most_lines` or about 1 MiB of them; a line is asked for only when the lines before it are given."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= MIB or len(held) >= most_lines:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _hold(pieces: list[bytes], size: int, piece: bytes, most: int) -> int:
    """Keep a piece of a line unless the line is too long by now; return the line's size so far."""
    size += len(piece)
    if size > most:
        pieces.clear()
    else:
        pieces.append(piece)
    return size


def _one(
    number: int, start: int, size: int, newline: int, pieces: list[bytes]
) -> Block:
    """Make a block of the one line held, and hold it no more."""
    line = b"".join(pieces)
    fits = len(line) == size
    pieces.clear()
    if number == 1:
        line = line.removeprefix(BOM)
    return Block(number, start, start + size + newline, [line] if fits else [None])


def _inner(number: int, start: int, lines: list[bytes], most: int) -> Iterator[Block]:
    """Make one block of the lines that lie within a chunk, or several when one of them is too long."""
    end = start + sum(map(len, lines)) + len(lines)
    if end - start <= most or max(map(len, lines)) <= most:
        yield Block(number, start, end, lines)
        return
    for line in lines:
        pieces: list[bytes] = []
        block = _one(number, start, _hold(pieces, 0, line, most), 1, pieces)
        yield block
        number, start = number + 1, block.end
