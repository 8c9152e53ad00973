"""Parquet, a row group at a time; pyarrow writes it and is imported when needed.

Every column may be null: a table holds answers, errors and rejections. A joined field of a Parquet input has the type
that it has there. A value that its column cannot hold (a whole number over 64 bits, a vector of another length) is
null; the JSONL row has it.
Memory: the rows of one group, GROUP_BYTES of JSON at most and one row, and their columns.
"""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final, cast

from batchdrop.core.limits import MIB
from batchdrop.core.result.tables.columns import Column, Joined, Kind, json_text, values
from batchdrop.core.result.tables.types import filled

GROUP_BYTES: Final = 8 * MIB
GROUP_ROWS: Final = 100_000


class _Sink:
    """A file to write to; what was written is taken out after every group."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0
        self.closed = False

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def close(self) -> None:
        """The caller takes what is left."""

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def write_parquet(
    rows: Iterable[Joined],
    columns: tuple[Column, ...],
    *,
    group_bytes: int = GROUP_BYTES,
) -> Iterator[bytes]:
    """Yield a Parquet file with one row for each row, holding one row group at most."""
    arrow, parquet = (
        importlib.import_module("pyarrow"),
        importlib.import_module("pyarrow.parquet"),
    )
    sink = _Sink()
    groups = _groups(rows, columns, group_bytes)
    first = next(groups)
    sizes = [_vector_size(column, first[index]) for index, column in enumerate(columns)]
    schema = arrow.schema(
        [
            (column.name, column.type or _type(arrow, column.kind, size))
            for column, size in zip(columns, sizes, strict=True)
        ]
    )
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in chain([first], groups):
            arrays = [
                _array(arrow, column, values, size, field.type)
                for column, size, values, field in zip(
                    columns, sizes, group, schema, strict=True
                )
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


def _groups(
    rows: Iterable[Joined], columns: tuple[Column, ...], most: int
) -> Iterator[list[list[Any]]]:
    """Yield the values of one group after the other, by column; one empty group for no rows."""
    convert = [
        _CONVERT[column.kind] if column.type is None else _as_it_is
        for column in columns
    ]
    group = _no_rows(columns)
    size = 0
    for joined in rows:
        for held, function, value in zip(
            group, convert, values(columns, joined), strict=True
        ):
            held.append(None if value is None else function(value))
        size += len(joined[0])
        if size >= most or len(group[0]) >= GROUP_ROWS:
            yield group
            group, size = _no_rows(columns), 0
    yield group


def _no_rows(columns: tuple[Column, ...]) -> list[list[Any]]:
    return [[] for _ in columns]


def _type(arrow: Any, kind: Kind, size: int | None) -> Any:
    if kind is Kind.VECTOR:
        return (
            arrow.list_(arrow.float32(), size) if size else arrow.list_(arrow.float32())
        )
    items = _ITEMS.get(kind)
    if items is not None:
        return arrow.list_(_type(arrow, items, None))
    types = {
        Kind.INTEGER: arrow.int64,
        Kind.NUMBER: arrow.float64,
        Kind.BOOLEAN: arrow.bool_,
    }
    return types.get(kind, arrow.string)()


def _array(
    arrow: Any, column: Column, values: list[Any], size: int | None, kind: Any
) -> Any:
    """Return the values of a column of one group."""
    if column.type is not None:
        return filled(values, column.type)
    return (
        _vectors(arrow, values, size)
        if size
        else arrow.array(_plain(column, values), kind)
    )


def _vector_size(column: Column, values: list[array[float] | None]) -> int | None:
    """Return the length of the column's vectors: as planned, or as the first one has it."""
    if column.kind is not Kind.VECTOR:
        return None
    return column.size or next((len(vector) for vector in values if vector), None)


def _vectors(arrow: Any, vectors: list[array[float] | None], size: int) -> Any:
    """Return a column of vectors without making an object of every number."""
    flat: array[float] = array("f")
    nothing = array("f", bytes(4 * size))
    fits = [vector is not None and len(vector) == size for vector in vectors]
    for vector, there in zip(vectors, fits, strict=True):
        flat.extend(vector if there and vector is not None else nothing)
    numbers = arrow.Array.from_buffers(
        arrow.float32(), len(flat), [None, arrow.py_buffer(flat)]
    )
    mask = arrow.array([not there for there in fits], arrow.bool_())
    return arrow.FixedSizeListArray.from_arrays(numbers, size, mask=mask)


def _plain(column: Column, values: list[Any]) -> list[Any]:
    """Return the values as pyarrow takes them; only vectors of unknown length are not yet so."""
    if column.kind is not Kind.VECTOR:
        return values
    return [vector and list(vector) for vector in values]


# ------------------------------------------------------------------------------------------ one value of a kind
def _integer(value: Any) -> int | None:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or value != value // 1
    ):
        return None
    return int(value) if -(2**63) <= value < 2**63 else None


def _number(value: Any) -> float | None:
    try:
        return (
            None
            if isinstance(value, bool) or not isinstance(value, (int, float))
            else float(value)
        )
    except OverflowError:
        return None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _vector(value: Any) -> array[float] | None:
    try:
        return array("f", cast("list[float]", value))
    except (TypeError, OverflowError):
        return None


def _list_of(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def listed(value: Any) -> list[Any] | None:
        if not isinstance(value, list):
            return None
        return [
            None if item is None else convert(item) for item in cast("list[Any]", value)
        ]

    return listed


def _as_it_is(value: Any) -> Any:
    return value


_ITEMS: Final = {
    Kind.TEXTS: Kind.TEXT,
    Kind.INTEGERS: Kind.INTEGER,
    Kind.NUMBERS: Kind.NUMBER,
    Kind.BOOLEANS: Kind.BOOLEAN,
}
_CONVERT: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.JSON: json_text,
    Kind.VECTOR: _vector,
    Kind.TEXTS: _list_of(_text),
    Kind.INTEGERS: _list_of(_integer),
    Kind.NUMBERS: _list_of(_number),
    Kind.BOOLEANS: _list_of(_boolean),
}
