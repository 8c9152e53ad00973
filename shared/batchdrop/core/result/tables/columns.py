"""Which columns a table has and where each takes its values from.

    line key outcome | the record's fields (join) | the answer's fields | code message finish_reason … files

The header follows from the recipe alone, so that all parts of an output have the same. A name that is taken (DuckDB
does not tell `Name` from `name`) gets its origin before it: `answer.code`. A record's field gives way to our columns
and to the answer's: `input.key`, `input.category`.
Invariant: the names differ, whatever the case of their letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, cast

import msgspec

Joined = tuple[bytes, Mapping[str, Any] | None]
"""A result, error or rejection row as JSON, and the fields of its record if they are to be beside it."""


class Kind(StrEnum):
    """What kind of value a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"
    VECTOR = "vector"
    TEXTS = "texts"
    INTEGERS = "integers"
    NUMBERS = "numbers"
    BOOLEANS = "booleans"


class _Embedding(msgspec.Struct):
    values: list[float] | None = None


class _Response(msgspec.Struct):
    embedding: _Embedding | None = None


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | str | None = None
    candidates_token_count: int | str | None = None
    thoughts_token_count: int | str | None = None


class Row(msgspec.Struct):
    """What a table takes from a row of any of the three kinds."""

    line: int
    key: str | int | float | bool | None = None
    outcome: str = "rejected"
    text: str | None = None
    json: Any = None
    code: str | None = None
    message: str | None = None
    fix: str | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None
    model: str | None = None
    round: int | None = None
    files: list[Any] | None = None
    response: _Response | None = None


_decode_row = msgspec.json.Decoder(Row).decode
Take = Callable[[Row, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what it holds, and how to take its value from a row and its record's fields."""

    name: str
    kind: Kind
    take: Take
    size: int | None = None
    """Of a vector: how many numbers, if known beforehand."""
    type: Any = None
    """The Arrow type it has in Parquet; None if the kind says it."""


def plan_columns(
    schema: Mapping[str, Any] | None = None,
    *,
    fields: Mapping[str, Kind] | None = None,
    types: Mapping[str, Any] | None = None,
    embeds: bool = False,
    dimensions: int | None = None,
) -> tuple[Column, ...]:
    """Return the columns of a table.

    Args:
        schema: The JSON Schema of the answers (`Recipe.answer_schema()`), or None for answers that are text.
        fields: The record's fields to put beside the answer; None without a join.
        types: The Arrow types of those fields that keep theirs in Parquet.
        embeds: The answers are embeddings.
        dimensions: How many numbers each has, if the recipe says so.
    """
    answers, taken = _answer_columns(schema, embeds=embeds, dimensions=dimensions)
    arrow = types or {}
    joined = [
        Column(name, kind, _field(name), type=arrow.get(name))
        for name, kind in (fields or {}).items()
    ]
    return (*_FIRST, *_renamed(joined, "input.", taken), *answers, *_LAST)


def renamed_fields(
    schema: Mapping[str, Any] | None,
    fields: Mapping[str, Kind],
    *,
    embeds: bool = False,
) -> dict[str, str]:
    """Return the record's fields whose columns are not called as they are, with the names of those columns."""
    _, taken = _answer_columns(schema, embeds=embeds, dimensions=None)
    columns = _renamed(
        [Column(name, kind, _field(name)) for name, kind in fields.items()],
        "input.",
        taken,
    )
    return {
        name: column.name
        for name, column in zip(fields, columns, strict=True)
        if column.name != name
    }


def _answer_columns(
    schema: Mapping[str, Any] | None, *, embeds: bool, dimensions: int | None
) -> tuple[tuple[Column, ...], set[str]]:
    """Return the columns of the answers, and all names that a record's field may not take: the plain name is theirs."""
    answers = (
        [Column("embedding", Kind.VECTOR, _embedding, dimensions)]
        if embeds
        else list(_answers(schema))
    )
    taken = {column.name.casefold() for column in (*_FIRST, *_LAST)}
    return tuple(_renamed(answers, "answer.", taken)), taken


def values(columns: tuple[Column, ...], joined: Joined) -> Iterator[Any]:
    """Yield a row's value for each column, as JSON has it; None where it has none."""
    data, fields = joined
    row = _decode_row(data)
    beside = fields or {}
    return (column.take(row, beside) for column in columns)


def json_text(value: Any) -> str:
    """Return a value as JSON."""
    return msgspec.json.encode(value).decode()


def _renamed(columns: list[Column], prefix: str, taken: set[str]) -> Iterator[Column]:
    for column in columns:
        name = column.name
        while name.casefold() in taken:
            name = prefix + name
        taken.add(name.casefold())
        yield replace(column, name=name)


# ---------------------------------------------------------------------------------------------------- answers
_KINDS: Final = {
    "string": Kind.TEXT,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
}
_LISTS: Final = {
    Kind.TEXT: Kind.TEXTS,
    Kind.INTEGER: Kind.INTEGERS,
    Kind.NUMBER: Kind.NUMBERS,
    Kind.BOOLEAN: Kind.BOOLEANS,
}


def _answers(schema: Mapping[str, Any] | None) -> Iterator[Column]:
    """One column for each property, `a.b` for properties of a property; one column for any other answer."""
    properties = _properties(schema or {})
    if not properties:
        yield Column("answer", _kind(schema) if schema else Kind.TEXT, _answer)
    for name, inner in properties.items():
        deeper = _properties(inner)
        if not deeper:
            yield Column(name, _kind(inner), _property((name,)))
        for leaf, schema_of_leaf in deeper.items():
            yield Column(
                f"{name}.{leaf}", _kind(schema_of_leaf), _property((name, leaf))
            )


def _properties(schema: Any) -> dict[str, Any]:
    found: Any = (
        cast("dict[str, Any]", schema).get("properties")
        if isinstance(schema, Mapping)
        else None
    )
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _kind(schema: Any) -> Kind:
    if not isinstance(schema, Mapping):
        return Kind.JSON
    body = cast("Mapping[str, Any]", schema)
    type_: Any = body.get("type")
    names = cast("list[Any]", type_) if isinstance(type_, list) else [type_]
    kinds = [
        name.lower()
        for name in names
        if isinstance(name, str) and name.lower() != "null"
    ]
    if (
        not kinds
        and isinstance(body.get("enum"), list)
        and all(isinstance(word, str) for word in body["enum"])
    ):
        return Kind.TEXT
    if kinds == ["array"]:
        return _LISTS.get(_kind(body.get("items")), Kind.JSON)
    return _KINDS.get(kinds[0], Kind.JSON) if len(kinds) == 1 else Kind.JSON


def _answer(row: Row, fields: Mapping[str, Any]) -> Any:
    return row.text if row.json is None else row.json


def _property(path: tuple[str, ...]) -> Take:
    def take(row: Row, fields: Mapping[str, Any]) -> Any:
        value = row.json
        for name in path:
            value = (
                cast("dict[str, Any]", value).get(name)
                if isinstance(value, dict)
                else None
            )
        return value

    return take


def _field(name: str) -> Take:
    def take(row: Row, fields: Mapping[str, Any]) -> Any:
        return fields.get(name)

    return take


def _embedding(row: Row, fields: Mapping[str, Any]) -> Any:
    found = row.response.embedding if row.response else None
    return found.values if found else None


# --------------------------------------------------------------------------------------------- our own columns
def _own(name: str, kind: Kind = Kind.TEXT) -> Column:
    def take(row: Row, fields: Mapping[str, Any]) -> Any:
        return getattr(row, name)

    return Column(name, kind, take)


def _prompt_tokens(row: Row, fields: Mapping[str, Any]) -> int | None:
    return _count(row.usage.prompt_token_count) if row.usage else None


def _output_tokens(row: Row, fields: Mapping[str, Any]) -> int | None:
    """Thoughts are billed as output and not part of the candidates' count (seen in real answers)."""
    if row.usage is None:
        return None
    return (_count(row.usage.candidates_token_count) or 0) + (
        _count(row.usage.thoughts_token_count) or 0
    )


def _count(value: int | str | None) -> int | None:
    """proto-JSON writes 64-bit numbers as strings."""
    if isinstance(value, str):
        return (
            int(value)
            if value.isascii() and value.isdigit() and len(value) < 19
            else None
        )
    return value


def _files(row: Row, fields: Mapping[str, Any]) -> Any:
    return row.files or None


_FIRST: Final = (_own("line", Kind.INTEGER), _own("key"), _own("outcome"))
_LAST: Final = (
    _own("code"),
    _own("message"),
    _own("fix"),
    _own("finish_reason"),
    Column("prompt_tokens", Kind.INTEGER, _prompt_tokens),
    Column("output_tokens", Kind.INTEGER, _output_tokens),
    _own("model"),
    _own("round", Kind.INTEGER),
    Column("files", Kind.JSON, _files),
)
