r"""CSV and TSV by RFC 4180, streamed.

    id,text\r\n              the header: names stripped of white space, no name twice; not a record
    1,"two\nlines"\r\n       record 1: quotes around commas, newlines and doubled quotes
    2,"never closed\n        a quote that finds no end, or ends in the middle of a cell: this physical line is
    3,fine\n                 refused and reading goes on with the next one, so that one quote loses one line

Python's csv module cuts the cells (compiled, strict mode); it is fed line by line, so that a record's size is bounded.
Blank lines are no records. Only UTF-8 is read; a record with other bytes is refused by itself.
Invariant: every physical line after the header is blank or belongs to exactly one entry.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import MIB, limit
from batchdrop.core.problem import Code, Problem
from batchdrop.core.upload.lines import split_lines
from batchdrop.core.upload.tables.entry import Entry, Place, Record, Unreadable

MAX_COLUMNS: Final = 10_000
MAX_RECORD_LINES: Final = 100_000
LINE_BYTES: Final = 64
"""What a line that is read again counts besides its bytes."""
LARGE_BYTES: Final = MIB
"""A record with more is followed by a fresh reader."""
MAX_REREAD_BYTES: Final = 3 * limit("input_line")
"""How much may be read again after quotes without end; a file that needs more is refused, or time had no bound."""


class _BadLineError(Exception):
    """The record that is being read holds something no record may hold."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, "", message)


class _Lines:
    """Feeds csv.reader: text lines in, and a memory of those of the record that is being read."""

    def __init__(self, chunks: Iterable[bytes], most: int, place: Place) -> None:
        self._fresh = split_lines(
            chunks, max_line_bytes=most, number=2 if place.offset else 1
        )
        self._again: deque[tuple[bytes | None, int]] = deque()
        self._most = most
        self._place = place
        self._size = 0
        self.taken: list[tuple[bytes | None, int]] = []
        self.is_utf8 = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        taken = self._again.popleft() if self._again else next(self._fresh)
        self.taken.append(taken)
        line, size = taken
        self._place.offset += size
        if line is None:
            raise _BadLineError(
                Code.LINE_TOO_LONG, f"The record has more than {self._most} bytes."
            )
        self._size += len(line) + 1
        if self._size > self._most + 1 or len(self.taken) > MAX_RECORD_LINES:
            message = (
                f"A quote opens in this line and does not close within {self._most} bytes"
                f" or {MAX_RECORD_LINES} lines."
            )
            raise _BadLineError(Code.BAD_QUOTES, message)
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError:
            self.is_utf8 = False
            return line.decode(errors="replace") + "\n"

    @property
    def is_large(self) -> bool:
        """Tell whether the record that is being read is one whose memory should not wait for the next."""
        return self._size > LARGE_BYTES

    def next_record(self) -> None:
        """Forget the lines of the last record."""
        self.taken.clear()
        self.is_utf8 = True
        self._size = 0

    def give_back(self) -> None:
        """Put all lines of this record but the first before the stream again."""
        rest = self.taken[1:]
        self._place.offset -= sum(size for _, size in rest)
        self._place.reread += sum(len(line or b"") + LINE_BYTES for line, _ in rest)
        if self._place.reread > MAX_REREAD_BYTES:
            message = "Too many quotes in the table open and do not close."
            raise PermanentError(message, code=Code.TABLE_INVALID)
        self._again.extendleft(reversed(rest))
        self.next_record()


def read_separated(
    chunks: Iterable[bytes],
    delimiter: str = ",",
    place: Place | None = None,
    *,
    max_record_bytes: int = limit("input_line"),
) -> Iterator[Entry]:
    """Yield every record after the header, holding one record and one chunk at most.

    Raises:
        PermanentError: TABLE_INVALID: there is no usable header, or the quotes are broken throughout.
    """
    place = place or Place()
    lines = _Lines(chunks, max_record_bytes, place)
    names = place.header = place.header or _header(lines, delimiter)
    for found in _cells(lines, delimiter):
        number = place.number
        place.number += 1
        if isinstance(found, Problem):
            yield Unreadable(number, found)
        elif len(found) != len(names):
            message = f"The record has {len(found)} cells, the header {len(names)}."
            yield Unreadable(number, Problem(Code.RAGGED_RECORD, "", message))
        else:
            yield Record(number, dict(zip(names, found, strict=True)))


def read_header(chunks: Iterable[bytes], delimiter: str = ",") -> tuple[str, ...]:
    """Return the names of the columns, reading no more than that takes.

    Raises:
        PermanentError: TABLE_INVALID: there is no usable header.
    """
    return _header(_Lines(chunks, limit("input_line"), Place()), delimiter)


def _cells(lines: _Lines, delimiter: str) -> Iterator[list[str] | Problem]:
    csv.field_size_limit(max(csv.field_size_limit(), limit("input_line") + 1))
    reader = _reader(lines, delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _BadLineError as error:
            lines.give_back()
            yield error.problem
        except csv.Error:
            lines.give_back()
            yield Problem(
                Code.BAD_QUOTES,
                "",
                "A quote is never closed or ends inside a cell, or a CR stands alone.",
            )
        else:
            if lines.is_large:
                reader = _reader(lines, delimiter)
            is_utf8 = lines.is_utf8
            lines.next_record()
            if not is_utf8:
                yield Problem(Code.NOT_UTF8, "", "The record is not UTF-8.")
            elif cells:
                yield cells


def _reader(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    """Return a reader; each keeps four bytes for every character of the longest cell that it has read."""
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _header(lines: _Lines, delimiter: str) -> tuple[str, ...]:
    first = next(_cells(lines, delimiter), None)
    if first is None:
        raise _invalid("The table is empty: it has no header.")
    if isinstance(first, Problem):
        raise _invalid(f"The table's header cannot be read: {first.message}")
    if len(first) > MAX_COLUMNS:
        raise _invalid(f"The table has more than {MAX_COLUMNS} columns.")
    names = tuple(name.strip() for name in first)
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        if name in seen:
            raise _invalid(
                f"The table's header has a name twice: column {position} repeats an earlier one."
            )
        seen.add(name)
    return names


def _invalid(message: str) -> PermanentError:
    return PermanentError(message, code=Code.TABLE_INVALID)
