"""Arrow types of a Parquet input: told from the file, kept as bytes, filled again from what JSON made of the values.

    Parquet input -> types kept, bytes -> work object -> joined Parquet output
    a date        -> "2026-01-02" in the record       -> a date

What the reader made of a value (`core.upload.tables.parquet`, `_json`) is undone here: ISO 8601, digits, base64,
seconds, pairs. Dictionaries are undone, whose values keep their type; all that is nested may be null.
Invariant: a value that does not fit its type is null and none of the others; the JSONL row has it.
"""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, cast

MAX_DEPTH: Final = 20
"""A type nested deeper is not kept: its column is text."""
Convert = Callable[[Any], Any]
_MISFIT: Final = (ValueError, TypeError, ArithmeticError, AttributeError)
"""What a value raises that does not fit; ArrowInvalid is a ValueError, ArrowTypeError a TypeError."""


def kept_types(schema: Any) -> tuple[bytes, list[str]]:
    """Return the types of a schema's columns as bytes, and the names of the columns whose types cannot be kept."""
    arrow = importlib.import_module("pyarrow")
    lost: list[str] = []
    fields: list[Any] = []
    for field in schema:
        kind = _kept(arrow, field.type, 0)
        if kind is None:
            lost.append(field.name)
        else:
            fields.append(arrow.field(field.name, kind))
    if not _writable(arrow, fields):
        lost += [field.name for field in fields if not _writable(arrow, [field])]
        fields = [field for field in fields if field.name not in lost]
    return arrow.schema(fields).serialize().to_pybytes(), lost


def restored(kept: bytes) -> dict[str, Any]:
    """Return the Arrow type of each column whose type was kept."""
    if not kept:
        return {}
    arrow = importlib.import_module("pyarrow")
    schema = arrow.ipc.read_schema(arrow.py_buffer(kept))
    return {field.name: field.type for field in schema}


def filled(values: list[Any], kind: Any) -> Any:
    """Return a column of this type from values as a record has them; one that does not fit is null."""
    arrow = importlib.import_module("pyarrow")
    convert = _nullable(_converter(arrow, kind))
    try:
        return arrow.array([convert(value) for value in values], kind)
    except _MISFIT:
        return arrow.array(
            [_fitting(arrow, value, convert, kind) for value in values], kind
        )


def _fitting(arrow: Any, value: Any, convert: Convert, kind: Any) -> Any:
    try:
        plain = convert(value)
        arrow.array([plain], kind)
    except _MISFIT:
        return None
    return plain


def _writable(arrow: Any, fields: list[Any]) -> bool:
    """Tell whether Parquet gives columns of these types back as they are."""
    parquet = importlib.import_module("pyarrow.parquet")
    schema, held = arrow.schema(fields), io.BytesIO()
    try:
        parquet.write_table(schema.empty_table(), held)
        return bool(parquet.read_schema(held).equals(schema))
    except (arrow.ArrowException, OSError):
        return False


# ----------------------------------------------------------------------------------------------- what is kept
def _kept(arrow: Any, kind: Any, depth: int) -> Any:
    """Return the type a column of the output has, or None."""
    types = arrow.types
    if depth > MAX_DEPTH:
        return None
    if types.is_dictionary(kind):
        return _kept(arrow, kind.value_type, depth)
    if not types.is_nested(kind):
        return kind if kind == arrow.null() or _plain(arrow, kind) else None
    return _kept_nested(arrow, kind, depth + 1)


def _kept_nested(arrow: Any, kind: Any, depth: int) -> Any:
    """Return a nested type with all that is in it nullable, or None if a part of it cannot be kept."""
    types = arrow.types
    if not (types.is_struct(kind) or types.is_map(kind) or _is_listed(types, kind)):
        return None
    inner = [kind.field(index) for index in range(kind.num_fields)]
    if types.is_map(kind):
        inner = [kind.key_field, kind.item_field]
    kinds = [_kept(arrow, field.type, depth) for field in inner]
    if any(found is None for found in kinds):
        return None
    fields = [
        arrow.field(field.name, found)
        for field, found in zip(inner, kinds, strict=True)
    ]
    if types.is_struct(kind):
        return arrow.struct(fields)
    if types.is_map(kind):
        return arrow.map_(fields[0].type, fields[1].type)
    if types.is_large_list(kind):
        return arrow.large_list(fields[0])
    return (
        arrow.list_(fields[0], kind.list_size)
        if types.is_fixed_size_list(kind)
        else arrow.list_(fields[0])
    )


def _is_listed(types: Any, kind: Any) -> bool:
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
    )


# -------------------------------------------------------------------------------------------- one value of a type
def _converter(arrow: Any, kind: Any) -> Convert:
    """Return what makes a record's value one that pyarrow takes for this type."""
    types = arrow.types
    if types.is_struct(kind):
        return _object(
            {field.name: _nullable(_converter(arrow, field.type)) for field in kind}
        )
    if types.is_map(kind):
        return _pairs(
            _converter(arrow, kind.key_type),
            _nullable(_converter(arrow, kind.item_type)),
        )
    if _is_listed(types, kind):
        return _list(_nullable(_converter(arrow, kind.value_type)))
    return _plain(arrow, kind) or _as_it_is


def _plain(arrow: Any, kind: Any) -> Convert | None:
    """Return what converts values of a type that is not nested, or None for a type that is not known."""
    types = arrow.types
    converters: tuple[tuple[tuple[Callable[[Any], bool], ...], Convert], ...] = (
        ((types.is_string, types.is_large_string), _text),
        ((types.is_boolean, types.is_integer, types.is_floating), _as_it_is),
        ((types.is_timestamp,), datetime.fromisoformat),
        ((types.is_date,), date.fromisoformat),
        ((types.is_time,), time.fromisoformat),
        ((types.is_duration,), _seconds),
        ((types.is_decimal,), Decimal),
        ((types.is_binary, types.is_large_binary, types.is_fixed_size_binary), _bytes),
    )
    return next(
        (convert for tests, convert in converters if any(test(kind) for test in tests)),
        None,
    )


def _nullable(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _as_it_is(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _seconds(value: Any) -> timedelta:
    return timedelta(seconds=value)


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


def _list(convert: Convert) -> Convert:
    def listed(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError
        return [convert(item) for item in cast("list[Any]", value)]

    return listed


def _object(converts: Mapping[str, Convert]) -> Convert:
    def opened(value: Any) -> dict[str, Any]:
        return {name: convert(value.get(name)) for name, convert in converts.items()}

    return opened


def _pairs(key: Convert, item: Convert) -> Convert:
    """A map is an object, or a list of pairs if its keys are no texts or not all different."""

    def paired(value: Any) -> list[tuple[Any, Any]]:
        pairs = (
            cast("dict[Any, Any]", value).items() if isinstance(value, dict) else value
        )
        return [(key(name), item(inner)) for name, inner in pairs]

    return paired
