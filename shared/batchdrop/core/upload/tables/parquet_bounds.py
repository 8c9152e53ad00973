"""What a Parquet file would take to read, told from its page headers before anything is unpacked.

    footer        its length and its lists are bounded, then pyarrow reads it
    row group     page headers (Thrift, compact protocol): how large each page is unpacked, how many values it has
    rows at once  so many that even if each held the largest thing of its dictionaries they fit into memory

The footer's own sizes are what the writer claims; pyarrow allocates what the page headers say, so these are read here.
Source of the layout: github.com/apache/parquet-format, `parquet.thrift` (PageHeader) and Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import KIB, limit

MAX_FOOTER: Final = limit("parquet_footer")
MAX_PAGE: Final = limit("parquet_page")
MAX_LISTED: Final = limit("parquet_listed")
MAX_CONTAINER: Final = 100_000
HEADER_BYTES: Final = 16 * KIB
"""A page header with its statistics; a longer one is refused."""
AT_ONCE_BYTES: Final = limit("parquet_page")
_DICTIONARY_PAGE: Final = 2


@dataclass(slots=True)
class Group:
    """What a row group's pages add up to."""

    unpacked: int = 0
    dictionaries: int = 0
    """Bytes of all dictionaries, unpacked: no value that refers to one is longer."""
    written_out: int = 0
    """Bytes of its values if each that refers to a dictionary has the mean length of what is in there."""


def check_footer(file: BinaryIO) -> int:
    """Check the footer's length before it is read; return the file's size.

    Raises:
        PermanentError: TABLE_INVALID, it is longer than MAX_FOOTER.
    """
    size = file.seek(0, 2)
    file.seek(max(size - 8, 0))
    length = int.from_bytes(file.read(4), "little")
    file.seek(0)
    if length > MAX_FOOTER:
        raise _invalid(f"The Parquet file's footer has more than {MAX_FOOTER:,} bytes; write fewer row groups.")
    return size


def measure(file: BinaryIO, metadata: Any, index: int, size: int) -> Group:
    """Return what a row group takes, read from the headers of its pages.

    Raises:
        PermanentError: TABLE_INVALID: a page is too large, a list too long, or a header cannot be read.
    """
    group = Group()
    row_group = metadata.row_group(index)
    listed = 0
    for column in range(row_group.num_columns):
        chunk = row_group.column(column)
        listed += chunk.num_values if metadata.schema.column(column).max_repetition_level else 0
        if listed > MAX_LISTED:
            raise _invalid(f"The lists of a row group have more than {MAX_LISTED:,} values; write smaller row groups.")
        start = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
        start = chunk.data_page_offset if start is None else min(start, chunk.data_page_offset)
        _measure_chunk(file, start, min(start + chunk.total_compressed_size, size), chunk.num_values, group)
    return group


def _measure_chunk(file: BinaryIO, place: int, end: int, values: int, group: Group) -> None:
    mean, total = 0, values
    while values > 0 and place < end:
        file.seek(place)
        header = _Header(file.read(min(HEADER_BYTES, end - place)))
        if not 0 <= header.unpacked <= MAX_PAGE or header.packed < 0:
            raise _invalid(f"A page of the Parquet file has more than {MAX_PAGE:,} bytes; write it with smaller pages.")
        group.unpacked += header.unpacked
        if header.kind == _DICTIONARY_PAGE:
            group.dictionaries += header.unpacked
            mean = header.unpacked // max(header.values, 1)
        else:
            values -= header.values
        place += header.length + header.packed
    group.written_out += mean * total


class _Header:
    """One page header: its kind, sizes and number of values."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self.kind = self.unpacked = self.packed = -1
        self.values = 0
        try:
            self._read()
        except IndexError:
            raise _invalid("A page header of the Parquet file cannot be read.") from None
        self.length = self._place

    def _read(self) -> None:
        for field, kind in self._fields():
            if field in (1, 2, 3) and kind in _INTEGERS:
                value = self._integer()
                self.kind, self.unpacked, self.packed = (
                    value if field == at else old for at, old in ((1, self.kind), (2, self.unpacked), (3, self.packed))
                )
            elif field in (5, 7, 8) and kind == _STRUCT:
                self._read_values()
            else:
                self._skip(kind, 0)

    def _read_values(self) -> None:
        """Read `num_values`, the first field of both kinds of data pages and of a dictionary."""
        for field, kind in self._fields():
            if field == 1 and kind in _INTEGERS:
                self.values = max(self._integer(), 0)
            else:
                self._skip(kind, 1)

    def _fields(self) -> Any:
        field = 0
        while (byte := self._byte()) != 0:
            field = field + (byte >> 4) if byte >> 4 else self._integer()
            yield field, byte & 15

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise IndexError
        if kind in _INTEGERS:
            self._integer()
        elif kind in _SIZED:
            size = _SIZED[kind](self)
            self._place += size
        elif kind == _STRUCT:
            for _, inner in self._fields():
                self._skip(inner, depth + 1)
        elif kind in (_LIST, _SET):
            byte = self._byte()
            count = byte >> 4 if byte >> 4 < 15 else self._varint()
            for _ in range(min(count, HEADER_BYTES)):
                self._skip(byte & 15, depth + 1)
        elif kind not in _BOOLEANS:
            raise IndexError

    def _byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise IndexError

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def sized(self) -> int:
        """Return the bytes of a text that comes next."""
        return self._varint()


_BOOLEANS: Final = (1, 2)
_INTEGERS: Final = (4, 5, 6)
_LIST, _SET, _STRUCT = 9, 10, 12
_MAX_DEPTH: Final = 8
_SIZED: Final[dict[int, Callable[[_Header], int]]] = {3: lambda _: 1, 7: lambda _: 8, 8: _Header.sized}


def _invalid(message: str) -> PermanentError:
    return PermanentError(message, code="TABLE_INVALID")
