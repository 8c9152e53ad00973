"""Parquet, row group by row group, a batch of rows at a time; pyarrow reads it and is imported when needed.

JSON has no dates, decimals and bytes; they become text: ISO 8601, the decimal's digits, base64. NaN and infinities
become null, maps become objects (or lists of pairs when a key is no text), times finer than microseconds are cut.
Memory: one batch, whose rows are as many as BATCH_BYTES hold on average, as AT_ONCE_BYTES hold if each row has the
largest value there is, and as have MAX_LISTED values if each row has the longest lists there are, plus the pages
pyarrow has open; see `parquet_bounds`.
Invariant: every row of the file is one entry; a row whose values Python cannot hold is refused by itself.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, BinaryIO, Final, cast

from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import MIB, limit
from batchdrop.core.problem import Code, Problem
from batchdrop.core.result.tables.columns import Kind
from batchdrop.core.result.tables.types import kept_types
from batchdrop.core.upload.sniff import SLACK_BYTES
from batchdrop.core.upload.tables.csv import MAX_COLUMNS
from batchdrop.core.upload.tables.entry import Entry, Place, Record, Unreadable
from batchdrop.core.upload.tables.parquet_bounds import (
    AT_ONCE_BYTES,
    MAX_CONTAINER,
    MAX_FOOTER,
    MAX_LISTED,
    Group,
    bomb,
    check_footer,
    measure,
)

BATCH_BYTES: Final = 8 * MIB
BATCH_ROWS: Final = 1024
MAX_RATIO: Final = limit("parquet_ratio")
MAX_VALUES: Final = limit("line_values")
MAX_ROW_BYTES: Final = limit("input_line")
ROW_BYTES: Final = 64
"""What a row counts at least towards the ratio: a file of nulls has rows for next to nothing."""
_UNHOLDABLE: Final = (ValueError, OverflowError, ArithmeticError, TypeError, KeyError)
"""What pyarrow raises for a value Python has no room for; ArrowInvalid is a ValueError, UnicodeDecodeError too."""


def read_parquet(file: BinaryIO, place: Place | None = None) -> Iterator[Entry]:
    """Yield every row of a seekable file, or every row from the place on.

    Raises:
        PermanentError: TABLE_INVALID: it is no Parquet file, it is damaged, or a column has a type without JSON.
            PARQUET_BOMB: its rows hold far more than the file.
    """
    source, size = _open(file)
    convert = _convert(source.schema_arrow)
    place = place or Place()
    groups, skipped = _groups(source.metadata, place.number - 1)
    allowed = MAX_RATIO * (size + SLACK_BYTES)
    _refuse_rows(source.metadata.num_rows, allowed)
    for group in groups:
        bounds = measure(file, source.metadata, group, size, allowed)
        batches = source.iter_batches(
            batch_size=_at_once(source.metadata.row_group(group), bounds),
            row_groups=[group],
        )
        while (batch := _arrow(partial(next, batches, None))) is not None:
            rest = batch.slice(skipped)
            skipped -= batch.num_rows - rest.num_rows
            allowed -= rest.nbytes
            if allowed < 0:
                raise bomb()
            for fields in _rows(rest, convert):
                number = place.number
                place.number += 1
                yield (
                    Unreadable(number, fields)
                    if isinstance(fields, Problem)
                    else Record(number, fields)
                )
            del batch, rest  # so that the next batch is not read beside this one


def _refuse_rows(rows: int, allowed: int) -> None:
    """Refuse a file with so many rows that the least of each is out of proportion to its bytes."""
    if rows * ROW_BYTES > allowed:
        raise bomb()


def _at_once(row_group: Any, bounds: Group) -> int:
    """Return how many rows of a group are read at once."""
    bytes_each = max(bounds.unpacked, row_group.total_byte_size) // max(
        row_group.num_rows, 1
    )
    most = BATCH_BYTES // max(1, bytes_each)
    if bounds.dictionaries:
        most = min(most, AT_ONCE_BYTES // bounds.dictionaries)
    if bounds.longest:
        most = min(
            most,
            MAX_LISTED // bounds.longest,
            MAX_VALUES * row_group.num_rows // bounds.listed,
        )
    return max(1, min(BATCH_ROWS, most))


def _groups(metadata: Any, done: int) -> tuple[list[int], int]:
    """Return the row groups that hold rows behind the first `done`, and how many done rows the first of them has."""
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if done < rows:
            return list(range(group, metadata.num_row_groups)), done
        done -= rows
    return [], 0


def parquet_kinds(file: BinaryIO) -> dict[str, Kind]:
    """Return the columns and what kind of value each holds once it is read."""
    types = importlib.import_module("pyarrow").types
    kinds: dict[str, Kind] = {}
    for field in _open(file)[0].schema_arrow:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if types.is_boolean(kind):
            kinds[field.name] = Kind.BOOLEAN
        elif types.is_integer(kind):
            kinds[field.name] = Kind.INTEGER
        elif types.is_floating(kind):
            kinds[field.name] = Kind.NUMBER
        else:
            kinds[field.name] = Kind.JSON if types.is_nested(kind) else Kind.TEXT
    return kinds


def parquet_types(file: BinaryIO) -> tuple[bytes, list[str]]:
    """Return the columns' Arrow types as `kept_types` does, and the columns whose types it cannot keep."""
    return kept_types(_open(file)[0].schema_arrow)


def _open(file: BinaryIO) -> tuple[Any, int]:
    """Return the file, opened, and its size."""
    parquet = importlib.import_module("pyarrow.parquet")
    size = check_footer(file)
    source = _arrow(
        lambda: parquet.ParquetFile(
            file,
            buffer_size=MIB,
            pre_buffer=False,
            thrift_container_size_limit=MAX_CONTAINER,
            thrift_string_size_limit=MAX_FOOTER,
        )
    )
    names = source.schema_arrow.names
    if len(set(names)) != len(names):
        raise PermanentError(
            "Two columns of the table have the same name.", code=Code.TABLE_INVALID
        )
    if len(source.schema) > MAX_COLUMNS:
        raise PermanentError(
            f"The table has more than {MAX_COLUMNS:,} columns.", code=Code.TABLE_INVALID
        )
    return source, size


def _arrow(step: Callable[[], Any]) -> Any:
    """Run a step of pyarrow; what it says about the file becomes an error of the upload.

    An adapter's own errors pass: they come through pyarrow as they were raised.
    """
    arrow = importlib.import_module("pyarrow")
    try:
        return step()
    except (arrow.ArrowException, OSError, ValueError, MemoryError) as error:
        message = f"The Parquet file cannot be read ({type(error).__name__})."
        raise PermanentError(message, code=Code.TABLE_INVALID) from None


def _rows(
    batch: Any, convert: Mapping[str, bool]
) -> Iterator[dict[str, Any] | Problem]:
    """Yield a batch's rows; one by one if they are large, or one of them cannot be read."""
    rows: list[dict[str, Any] | Problem] | None = None
    if not _is_heavy(batch, 2 * BATCH_BYTES):
        with contextlib.suppress(*_UNHOLDABLE):
            rows = _values(batch, convert)
    if rows is None:
        yield from (
            _row(batch.slice(index, 1), convert) for index in range(batch.num_rows)
        )
    else:
        yield from rows


def _row(batch: Any, convert: Mapping[str, bool]) -> dict[str, Any] | Problem:
    if _is_heavy(batch, MAX_ROW_BYTES):
        message = f"The record has more than {MAX_ROW_BYTES:,} bytes or {MAX_VALUES:,} values."
        return Problem(Code.LINE_TOO_LONG, "", message)
    try:
        return cast("dict[str, Any]", _values(batch, convert)[0])
    except _UNHOLDABLE:
        message = "The record holds a value that cannot be read: a date out of range, or text that is not UTF-8."
        return Problem(Code.WRONG_TYPE, "", message)


def _is_heavy(batch: Any, most: int) -> bool:
    """Tell whether rows are too much to become Python's objects at once."""
    arrow = importlib.import_module("pyarrow")
    return (
        batch.nbytes > most
        or sum(_listed(arrow, column) for column in batch.columns) > MAX_VALUES
    )


def _listed(arrow: Any, column: Any) -> int:
    """Return how many values are in the lists of a column."""
    types, kind = arrow.types, column.type
    if types.is_struct(kind):
        return sum(_listed(arrow, inner) for inner in column.flatten())
    if types.is_map(kind):
        return len(column.keys) + _listed(arrow, column.items)
    if (
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
    ):
        inner = column.flatten()
        return len(inner) + _listed(arrow, inner)
    return 0


def _values(batch: Any, convert: Mapping[str, bool]) -> list[dict[str, Any] | Problem]:
    arrow = importlib.import_module("pyarrow")
    columns: list[list[Any]] = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        plain = _plain_type(arrow, field.type)
        values = (
            column if plain == field.type else column.cast(plain, safe=False)
        ).to_pylist()
        columns.append(
            [_json(value) for value in values] if convert[field.name] else values
        )
    names: list[str] = batch.schema.names
    return [
        dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)
    ] or [{}] * batch.num_rows


def _convert(schema: Any) -> dict[str, bool]:
    """Tell for each column whether its values need a look: text, whole numbers and booleans do not."""
    types = importlib.import_module("pyarrow").types

    def plain(kind: Any) -> bool:
        return (
            types.is_string(kind)
            or types.is_large_string(kind)
            or types.is_integer(kind)
            or types.is_boolean(kind)
        )

    return {field.name: not plain(field.type) for field in schema}


def _plain_type(arrow: Any, kind: Any) -> Any:
    """Return the type with times in microseconds, which is what Python's own have, and dictionaries undone."""
    types = arrow.types
    if types.is_timestamp(kind):
        return arrow.timestamp("us", kind.tz) if kind.unit == "ns" else kind
    if types.is_duration(kind):
        return arrow.duration("us") if kind.unit == "ns" else kind
    if types.is_time64(kind):
        return arrow.time64("us")
    if types.is_dictionary(kind):
        return _plain_type(arrow, kind.value_type)
    if types.is_list(kind):
        return arrow.list_(
            kind.value_field.with_type(_plain_type(arrow, kind.value_type))
        )
    if types.is_large_list(kind):
        return arrow.large_list(
            kind.value_field.with_type(_plain_type(arrow, kind.value_type))
        )
    if types.is_map(kind):
        return arrow.map_(
            kind.key_type, kind.item_field.with_type(_plain_type(arrow, kind.item_type))
        )
    if types.is_struct(kind):
        return arrow.struct(
            [field.with_type(_plain_type(arrow, field.type)) for field in kind]
        )
    return kind


def _json(value: Any) -> Any:
    """Return the value as one that JSON has."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return _list(cast("list[Any]", value))
    if isinstance(value, dict):
        return {
            str(name): _json(item)
            for name, item in cast("dict[Any, Any]", value).items()
        }
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(type(value).__name__)


def _list(items: list[Any]) -> Any:
    """A map comes as a list of pairs; a vector, the most frequent of long lists, has nothing to change."""
    kinds = set(map(type, items))
    if kinds == {float} and all(map(math.isfinite, items)):
        return items
    if tuple not in kinds:
        return [_json(item) for item in items]
    pairs = cast("list[tuple[Any, Any]]", items)
    if all(isinstance(name, str) for name, _ in pairs) and len(
        {name for name, _ in pairs}
    ) == len(pairs):
        return {name: _json(item) for name, item in pairs}
    return [[_json(name), _json(item)] for name, item in pairs]
