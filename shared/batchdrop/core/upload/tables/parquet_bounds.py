"""What a Parquet file would take to read, told from its page headers before anything is unpacked.

    footer        its length and its lists are bounded, then pyarrow reads it
    row group     page headers (Thrift, compact protocol): how large each page is unpacked, how many values it has
    lists         if a row group has many values in lists: repetition levels, how many values its longest row has
    rows at once  few enough to fit into memory if each had the longest lists, or the largest thing of its dictionaries

The footer's own sizes are what the writer claims; pyarrow allocates what the page headers say, so these are read here.
Source of the layout: github.com/apache/parquet-format, `parquet.thrift` (PageHeader) and Thrift's compact protocol.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import KIB, limit
from batchdrop.core.upload.tables.parquet_levels import RowLengths

MAX_FOOTER: Final = limit("parquet_footer")
MAX_PAGE: Final = limit("parquet_page")
MAX_LISTED: Final = limit("parquet_listed")
MAX_CONTAINER: Final = 100_000
HEADER_BYTES: Final = 16 * KIB
"""A page header with its statistics; a longer one is refused."""
AT_ONCE_BYTES: Final = limit("parquet_page")
LISTED_BYTES: Final = 8
"""What a value of a list counts at least towards the ratio, if there are many: repeated, it costs next to nothing."""
VALUES_PER_STEP: Final = 16
"""One run of repetition levels may be looked at for so many values; embeddings have two a row."""
SHOWN_CHARS: Final = 100
"""Of a column's name in a message."""
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_PAGE_STRUCTS: Final = {_DATA_PAGE: 5, _DICTIONARY_PAGE: 7, _DATA_PAGE_V2: 8}
"""The field of a page header that says more about each kind of page."""
_RLE: Final = 3


@dataclass(slots=True)
class Group:
    """What a row group's pages add up to."""

    allowed: int
    """Bytes its rows may have without being out of proportion to the file."""
    listed: int
    """Values in all its lists, each once for every list it is in."""
    unpacked: int = 0
    dictionaries: int = 0
    """Bytes of all dictionaries, unpacked: no value that refers to one is longer."""
    written_out: int = 0
    """Bytes of its values if each that refers to a dictionary has the mean length of what is in there."""
    longest: int = 0
    """No row has more values in its lists than this; 0 if it was not asked, because all rows together have few."""


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
        raise _invalid(
            f"The Parquet file's footer has more than {MAX_FOOTER:,} bytes; write fewer row groups."
        )
    return size


def measure(
    file: BinaryIO, metadata: Any, index: int, size: int, allowed: int
) -> Group:
    """Return what a row group takes, read from the headers of its pages.

    Args:
        file: The file, seekable.
        metadata: Its footer.
        index: The row group's number.
        size: The file's bytes.
        allowed: Bytes its rows may have without being out of proportion to the file.

    Raises:
        PermanentError: TABLE_INVALID: a page is too large, a row's lists are too long, or a header cannot be read.
            PARQUET_BOMB: its values are out of proportion.
    """
    row_group = metadata.row_group(index)
    levels = [
        metadata.schema.column(column).max_repetition_level
        for column in range(row_group.num_columns)
    ]
    listed = sum(
        max(row_group.column(column).num_values, 0) * level
        for column, level in enumerate(levels)
    )
    group = Group(allowed, listed)
    if listed > MAX_LISTED and listed * LISTED_BYTES > allowed:
        raise bomb()
    for column, level in enumerate(levels):
        chunk = row_group.column(column)
        lengths = (
            RowLengths(level, listed // VALUES_PER_STEP)
            if level and listed > MAX_LISTED
            else None
        )
        _measure_chunk(file, chunk, size, group, lengths)
        if lengths is not None:
            group.longest += lengths.longest * level
            if group.longest > MAX_LISTED:
                raise _too_long(metadata, index, column, lengths.row)
    if group.written_out > allowed:
        raise bomb()
    return group


def _too_long(metadata: Any, index: int, column: int, row: int) -> PermanentError:
    before = sum(metadata.row_group(group).num_rows for group in range(index))
    where = f"Row {before + row:,}" if row else "A row"
    name = metadata.schema.column(column).path[:SHOWN_CHARS]
    return _invalid(
        f"{where} has more than {MAX_LISTED:,} values in its lists (column {name}); write shorter lists."
    )


def _measure_chunk(
    file: BinaryIO, chunk: Any, size: int, group: Group, lengths: RowLengths | None
) -> None:
    mean = 0
    for header, body in _pages(file, chunk, size):
        group.unpacked += header.unpacked
        if header.kind == _DICTIONARY_PAGE:
            group.dictionaries += header.unpacked
            mean = header.unpacked // max(header.values, 1)
        elif lengths is not None:
            if group.unpacked > group.allowed:
                raise bomb()
            file.seek(body)
            lengths.add(
                _repetition_levels(file, header, chunk.compression), header.values
            )
    group.written_out += mean * chunk.num_values


def _pages(file: BinaryIO, chunk: Any, size: int) -> Iterator[tuple[_Header, int]]:
    """Yield the header of each page of a column and the place of what follows it."""
    place = chunk.data_page_offset
    if chunk.has_dictionary_page:
        place = min(chunk.dictionary_page_offset, place)
    end = min(place + chunk.total_compressed_size, size)
    values = chunk.num_values
    while values > 0 and place < end:
        file.seek(place)
        header = _Header(file.read(min(HEADER_BYTES, end - place)))
        if not (0 <= header.unpacked <= MAX_PAGE and 0 <= header.packed <= MAX_PAGE):
            raise _invalid(
                f"A page of the Parquet file has more than {MAX_PAGE:,} bytes; write it with smaller pages."
            )
        if header.kind != _DICTIONARY_PAGE:
            values -= header.values
        if values < 0:
            raise _invalid(
                "A page of the Parquet file has more values than its column."
            )
        yield header, place + header.length
        place += header.length + header.packed


def _repetition_levels(
    file: BinaryIO, header: _Header, compression: str
) -> bytes | None:
    """Return the encoded repetition levels of a page whose first byte comes next; None if they cannot be read.

    `compression` is pyarrow's word. It has one for both kinds of LZ4; what does not unpack as LZ4_RAW is not read.
    """
    if header.kind == _DATA_PAGE_V2:
        return file.read(min(header.levels, header.packed))
    if header.encoding != _RLE:
        return None
    data = file.read(header.packed)
    if compression != "UNCOMPRESSED":
        arrow = importlib.import_module("pyarrow")
        try:
            codec = arrow.Codec(_CODECS.get(compression, compression.lower()))
            data = codec.decompress(data, header.unpacked, asbytes=True)
        except (arrow.ArrowException, OSError, ValueError):
            return None
    return data[4 : 4 + int.from_bytes(data[:4], "little")]


class _Header:
    """One page header: its kind, sizes and number of values, and how its repetition levels are kept."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._integers: dict[int, int] = {}
        self._structs: dict[int, dict[int, int]] = {}
        try:
            self._read()
        except IndexError:
            raise _invalid(
                "A page header of the Parquet file cannot be read."
            ) from None
        self.length = self._place
        self.kind, self.unpacked, self.packed = (
            self._integers.get(field, -1) for field in (1, 2, 3)
        )
        inner = self._structs.get(_PAGE_STRUCTS.get(self.kind, -1), {})
        self.values = max(inner.get(1, 0), 0)
        self.encoding = inner.get(4, -1)
        """Of the repetition levels, in a data page of the first version."""
        self.levels = max(inner.get(6, 0), 0)
        """Bytes of the repetition levels, in a data page of the second version."""

    def _read(self) -> None:
        for field, kind in self._fields():
            if kind == _I32:
                self._integers[field] = self._integer()
            elif kind == _STRUCT:
                self._structs[field] = self._read_struct()
            else:
                self._skip(kind, 0)

    def _read_struct(self) -> dict[int, int]:
        """Return the whole numbers of a struct by their fields."""
        numbers: dict[int, int] = {}
        for field, kind in self._fields():
            if kind == _I32:
                numbers[field] = self._integer()
            else:
                self._skip(kind, 1)
        return numbers

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


_CODECS: Final = {"LZ4": "lz4_raw"}
_BOOLEANS: Final = (1, 2)
_I32: Final = 5
"""What is read of a header: pyarrow passes over a field of another type than its own, so this does too."""
_INTEGERS: Final = (4, _I32, 6)
_LIST, _SET, _STRUCT = 9, 10, 12
_MAX_DEPTH: Final = 8
_SIZED: Final[dict[int, Callable[[_Header], int]]] = {
    3: lambda _: 1,
    7: lambda _: 8,
    8: _Header.sized,
}


def bomb() -> PermanentError:
    """Return the error of a file that holds far more than its bytes."""
    return PermanentError(Code.PARQUET_BOMB)


def _invalid(message: str) -> PermanentError:
    return PermanentError(message, code=Code.TABLE_INVALID)
