"""Tables out of rows: opened with pyarrow, DuckDB and pandas; nothing in a CSV can be run as a formula."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.row import error_row, rejection_row, result_row
from batchdrop.core.result.tables import (
    Column,
    Joined,
    Kind,
    plan_columns,
    renamed_fields,
    restored,
    write_csv,
    write_parquet,
)
from batchdrop.core.result.tables.csv import safe
from batchdrop.core.upload.tables import Record, parquet_kinds, parquet_types, read_parquet

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")
pa_csv: Any = importlib.import_module("pyarrow.csv")
pandas: Any = importlib.import_module("pandas")
duckdb: Any = importlib.import_module("duckdb")

SCHEMA = {
    "type": "object",
    "properties": {
        "topic": {"type": "string"},
        "urgency": {"type": ["integer", "null"]},
        "score": {"type": "number"},
        "spam": {"type": "boolean"},
        "contact": {"type": "object", "properties": {"name": {"type": "string"}, "tags": {"type": "array"}}},
        "code": {"enum": ["a", "b"]},
    },
}
ANSWER = {
    "topic": '=HYPERLINK("x")',
    "urgency": 4,
    "score": 0.5,
    "spam": False,
    "contact": {"name": "Ä\n2", "tags": [1, "b"]},
    "code": "a",
}
USAGE = b'{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":2}'


def answered(value: object, line: int = 1, key: bytes = b'"k-1"', *, as_json: bool = True) -> bytes:
    text = json.dumps(json.dumps(value) if as_json else value).encode()
    answer = Answer(Outcome.ANSWERED, finish_reason="STOP", text=text, usage=USAGE, response=b'{"x":1}')
    return result_row(answer, InputLine(line, key, as_json), 0, b'"gemini-x"')


def failed(line: int = 2) -> bytes:
    return error_row(Answer(Outcome.ERROR, "INTERNAL", "It failed."), InputLine(line, b"7", False), 2)


def rejected(line: int = 3) -> bytes:
    return rejection_row(line, b"null", "EMPTY", "", "The prompt is empty.", "Put something in.")


def embedded(values: list[float], line: int = 1) -> bytes:
    response = json.dumps({"embedding": {"values": values}, "tokenCount": "1"}).encode()
    return result_row(Answer(Outcome.ANSWERED, response=response), InputLine(line, b"null", False), 0, b'"e"')


ROWS: list[Joined] = [(answered(ANSWER), None), (failed(), None), (rejected(), None)]
EXPECTED = {
    "line": 1,
    "key": "k-1",
    "outcome": "answered",
    "topic": '=HYPERLINK("x")',
    "urgency": 4,
    "score": 0.5,
    "spam": False,
    "contact.name": "Ä\n2",
    "contact.tags": '[1,"b"]',
    "answer.code": "a",
    "code": None,
    "message": None,
    "fix": None,
    "finish_reason": "STOP",
    "prompt_tokens": 10,
    "output_tokens": 7,
    "model": "gemini-x",
    "round": 0,
    "files": None,
}


def csv_of(rows: list[Joined], columns: tuple[Column, ...]) -> bytes:
    return b"".join(write_csv(rows, columns))


def csv_rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def parquet_of(rows: list[Joined], columns: tuple[Column, ...], **options: Any) -> Any:
    return pq.read_table(io.BytesIO(b"".join(write_parquet(rows, columns, **options))))


# -------------------------------------------------------------------------------------------------------- CSV
def test_a_csv_has_a_column_for_each_field_of_the_schema_and_a_line_for_each_row() -> None:
    first, second, third = csv_rows(csv_of(ROWS, plan_columns(SCHEMA)))
    text = {name: "" if value is None else str(value) for name, value in EXPECTED.items()}
    assert first == text | {"topic": '\'=HYPERLINK("x")', "spam": "false"}
    assert (second["key"], second["outcome"], second["code"], second["topic"]) == ("7", "error", "INTERNAL", "")
    assert (third["outcome"], third["code"], third["fix"]) == ("rejected", "EMPTY", "Put something in.")


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-x", "@SUM(A1)", "\tx", "\rx", "\n=x", "  =1+1", "＝1", "-5+cmd"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe(text) == f"'{text}"
    [row] = csv_rows(csv_of([(answered(text, as_json=False), {text: text})], plan_columns(fields={text: Kind.TEXT})))
    assert row["answer"] == row[f"'{text}"] == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "-5", "+49170123", "-1.5e-7", "-3,50", "12%", "'=x"])
def test_a_cell_that_is_no_formula_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_a_csv_opens_in_pandas_duckdb_and_pyarrow(tmp_path: Path) -> None:
    data = csv_of(ROWS * 200, plan_columns(SCHEMA))
    file = tmp_path / "a.csv"
    file.write_bytes(data)
    frame = pandas.read_csv(file)
    assert list(frame.columns) == list(EXPECTED)
    assert frame["urgency"].sum() == 800
    found = duckdb.sql(f"select count(*), sum(urgency), min(\"contact.name\") from '{file}'").fetchall()
    assert found == [(600, 800, "Ä\n2")]
    options = pa_csv.ParseOptions(newlines_in_values=True)
    assert pa_csv.read_csv(file, parse_options=options).column_names == list(EXPECTED)


def test_answers_without_a_schema_and_labels_have_one_column() -> None:
    [row] = csv_rows(csv_of([(answered("a, b", as_json=False), None)], plan_columns()))
    assert row["answer"] == "a, b"
    [row] = csv_rows(csv_of([(answered("good"), None)], plan_columns({"type": "string", "enum": ["good"]})))
    assert row["answer"] == "good"


def test_a_join_puts_the_fields_beside_and_renames_what_is_taken() -> None:
    fields = {"Line": Kind.TEXT, "topic": Kind.TEXT, "note": Kind.JSON}
    columns = plan_columns(SCHEMA, fields=fields)
    record = {"Line": "x", "topic": "mine", "note": {"a": 1}}
    [row] = csv_rows(csv_of([(answered(ANSWER), record)], columns))
    assert (row["input.Line"], row["input.topic"], row["note"]) == ("x", "mine", '{"a":1}')
    assert row["topic"] == '\'=HYPERLINK("x")'
    assert renamed_fields(SCHEMA, fields) == {"Line": "input.Line", "topic": "input.topic"}
    names = [column.name.casefold() for column in columns]
    assert len(set(names)) == len(names)


def test_a_table_comes_in_pieces() -> None:
    rows = ((answered("x" * 1000, as_json=False), None) for _ in range(2000))
    sizes = [len(piece) for piece in write_csv(rows, plan_columns())]
    assert len(sizes) > 5
    assert max(sizes) < 300_000


# ---------------------------------------------------------------------------------------------------- Parquet
def test_a_parquet_file_has_typed_columns() -> None:
    table = parquet_of(ROWS, plan_columns(SCHEMA))
    assert table.to_pylist()[0] == EXPECTED
    types = {field.name: str(field.type) for field in table.schema}
    assert [types[name] for name in ("topic", "urgency", "score", "spam", "contact.tags")] == [
        "string",
        "int64",
        "double",
        "bool",
        "string",
    ]
    assert [row["outcome"] for row in table.to_pylist()] == ["answered", "error", "rejected"]


def test_values_a_column_cannot_hold_are_null() -> None:
    odd = {"topic": 5, "urgency": 2**70, "score": 10**400, "spam": "no", "contact": "x", "code": None}
    [row] = parquet_of([(answered(odd), None)], plan_columns(SCHEMA)).to_pylist()
    assert row["topic"] == "5"
    assert [row[name] for name in ("urgency", "score", "spam", "contact.name")] == [None] * 4
    [row] = parquet_of([(answered({"urgency": 3.0}), None)], plan_columns(SCHEMA)).to_pylist()
    assert row["urgency"] == 3


def test_row_groups_are_bounded_and_every_piece_is_given_away(tmp_path: Path) -> None:
    def rows() -> Iterator[Joined]:
        for line in range(1, 1001):
            yield answered(ANSWER, line), None

    pieces = list(write_parquet(rows(), plan_columns(SCHEMA), group_bytes=50_000))
    file = tmp_path / "a.parquet"
    file.write_bytes(b"".join(pieces))
    read = pq.ParquetFile(file)
    assert read.num_row_groups == len(pieces) - 1 > 3
    assert duckdb.sql(f"select count(*), max(line) from '{file}'").fetchall() == [(1000, 1000)]
    assert pandas.read_parquet(file)["line"].tolist() == list(range(1, 1001))


@pytest.mark.parametrize("dimensions", [3, None])
def test_embeddings_are_vectors_of_a_fixed_size(dimensions: int | None, tmp_path: Path) -> None:
    rows: list[Joined] = [(failed(1), None), (embedded([1, 0.5, -2], 2), {"sku": "a"}), (embedded([1], 3), None)]
    columns = plan_columns(embeds=True, dimensions=dimensions, fields={"sku": Kind.TEXT})
    table = parquet_of(rows, columns)
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 3)
    assert table["embedding"].to_pylist() == [None, [1.0, 0.5, -2.0], None]
    assert table["sku"].to_pylist() == [None, "a", None]
    file = tmp_path / "a.parquet"
    file.write_bytes(b"".join(write_parquet(rows, columns)))
    assert duckdb.sql(f"select embedding from '{file}' where line = 2").fetchall() == [([1.0, 0.5, -2.0],)]
    assert pandas.read_parquet(file)["embedding"][1].tolist() == [1.0, 0.5, -2.0]


def test_vectors_of_unknown_length_are_lists_and_no_rows_are_a_table() -> None:
    columns = plan_columns(embeds=True)
    table = parquet_of([(failed(), None)], columns)
    assert table["embedding"].to_pylist() == [None]
    assert parquet_of([], columns).num_rows == 0
    assert parquet_of([], plan_columns(SCHEMA)).column_names == list(EXPECTED)
    assert csv_rows(csv_of([], columns)) == []


# ------------------------------------------------------------------------------------ the types of a Parquet input
TYPED: dict[str, tuple[Any, list[Any]]] = {
    "small": (pa.int8(), [1, None]),
    "large": (pa.uint64(), [2**64 - 1, None]),
    "half": (pa.float16(), [1.5, None]),
    "single": (pa.float32(), [0.1, None]),
    "yes": (pa.bool_(), [True, None]),
    "text": (pa.large_string(), ["x", None]),
    "word": (pa.dictionary(pa.int8(), pa.string()), ["x", None]),
    "day": (pa.date32(), [date(2026, 1, 2), None]),
    "at": (pa.timestamp("ns"), [datetime(2026, 1, 2, 3, 4, 5, 678), None]),
    "there": (pa.timestamp("us", "Europe/Berlin"), [datetime(2026, 1, 2, 3, 4, tzinfo=UTC), None]),
    "noon": (pa.time64("us"), [time(12, 0, 0, 1), None]),
    "long": (pa.duration("ms"), [timedelta(days=-1, milliseconds=7), None]),
    "price": (pa.decimal128(12, 2), [Decimal("-12.30"), None]),
    "exact": (pa.decimal256(60, 3), [Decimal("1.000"), None]),
    "data": (pa.binary(), [b"\0\xff", None]),
    "four": (pa.binary(4), [b"abcd", None]),
    "tags": (pa.list_(pa.string()), [["a", None], []]),
    "days": (pa.large_list(pa.date32()), [[date(2026, 1, 2)], None]),
    "vector": (pa.list_(pa.float32(), 2), [[0.1, 0.2], None]),
    "box": (
        pa.struct([("w", pa.decimal128(5, 1)), ("in", pa.list_(pa.binary()))]),
        [{"w": Decimal("1.5"), "in": [b"x"]}, None],
    ),
    "named": (pa.map_(pa.string(), pa.date32()), [[("a", date(2026, 1, 2))], []]),
    "numbered": (pa.map_(pa.int8(), pa.decimal128(3, 1)), [[(1, Decimal("1.5"))], None]),
    "nothing": (pa.null(), [None, None]),
}


def typed_input() -> Any:
    """Return a table of every type that Parquet has, as Parquet gives it back."""
    held = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(values, kind) for name, (kind, values) in TYPED.items()}), held)
    return held


def test_a_joined_parquet_table_keeps_the_types_and_values_of_a_parquet_input() -> None:
    source = typed_input()
    records = [entry.fields for entry in read_parquet(source) if isinstance(entry, Record)]
    kept, lost = parquet_types(source)
    assert not lost
    columns = plan_columns(fields=parquet_kinds(source), types=restored(kept))
    table = parquet_of([(answered("a", n), record) for n, record in enumerate(records, 1)], columns, group_bytes=1)
    before = pq.read_table(source)
    assert table.column_names[3 : 3 + len(TYPED)] == list(TYPED)
    for name in TYPED:
        kind = before.schema.field(name).type
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        assert table.schema.field(name).type == plain, name
        assert table[name].to_pylist() == before[name].to_pylist(), name


def test_a_joined_csv_shows_dates_and_decimals_as_text() -> None:
    source = typed_input()
    record = next(entry.fields for entry in read_parquet(source) if isinstance(entry, Record))
    columns = plan_columns(fields=parquet_kinds(source), types=restored(parquet_types(source)[0]))
    [row] = csv_rows(csv_of([(answered("a"), record)], columns))
    shown = {name: row[name] for name in ("day", "at", "price", "tags", "box")}
    assert shown == {
        "day": "2026-01-02",
        "at": "2026-01-02T03:04:05.000678",
        "price": "-12.30",
        "tags": '["a",null]',
        "box": '{"w":"1.5","in":["eA=="]}',
    }


def test_a_value_that_does_not_fit_its_type_is_null_and_the_others_stay() -> None:
    types = {"day": pa.date32(), "n": pa.int8(), "tags": pa.list_(pa.int8()), "box": pa.struct([("a", pa.binary())])}
    columns = plan_columns(fields=dict.fromkeys(types, Kind.TEXT), types=types)
    good = {"day": "2026-01-02", "n": 1, "tags": [1], "box": {"a": "eA=="}}
    bad = {"day": "soon", "n": 300, "tags": 7, "box": {"a": "é"}}
    table = parquet_of([(answered("a", 1), good), (answered("a", 2), bad), (answered("a", 3), good)], columns)
    assert table["n"].to_pylist() == [1, None, 1]
    assert table["day"].to_pylist() == [date(2026, 1, 2), None, date(2026, 1, 2)]
    assert table["tags"].to_pylist() == [[1], None, [1]]
    assert table["box"].to_pylist()[0::2] == [{"a": b"x"}] * 2


def test_a_type_that_no_table_of_ours_can_hold_becomes_text_and_is_named() -> None:
    kind: Any = pa.int32()
    for _ in range(40):
        kind = pa.list_(kind)
    held = io.BytesIO()
    pq.write_table(pa.table({"deep": pa.array([None], kind), "day": pa.array([None], pa.date32())}), held)
    kept, lost = parquet_types(held)
    assert lost == ["deep"]
    columns = plan_columns(fields=parquet_kinds(held), types=restored(kept))
    table = parquet_of([(answered("a"), {"deep": [[1]], "day": None})], columns)
    assert (table.schema.field("deep").type, table.schema.field("day").type) == (pa.string(), pa.date32())
    assert table["deep"].to_pylist() == ["[[1]]"]


def test_arrays_of_plain_values_in_answers_are_lists() -> None:
    words = ("string", "integer", "number", "boolean", "object")
    properties: dict[str, Any] = {word: {"type": "array", "items": {"type": word}} for word in words}
    properties["loose"] = {"type": ["array", "null"], "items": {"enum": ["a"]}}
    columns = plan_columns({"type": "object", "properties": properties})
    good: dict[str, Any] = {
        "string": ["that"],
        "integer": [1],
        "number": [0.5],
        "boolean": [True],
        "object": [{}],
        "loose": ["a"],
    }
    odd: dict[str, Any] = {
        "string": [5, None],
        "integer": ["x", 2],
        "number": "x",
        "boolean": {},
        "object": [],
        "loose": [],
    }
    table = parquet_of([(answered(good, 1), None), (answered(odd, 2), None)], columns)
    types = [str(table.schema.field(name).type.value_type) for name in (*words[:4], "loose")]
    assert types == ["string", "int64", "double", "bool", "string"]
    assert [table[name].to_pylist()[0] for name in (*words, "loose")] == [["that"], [1], [0.5], [True], "[{}]", ["a"]]
    assert [table[name].to_pylist()[1] for name in words[:4]] == [["5", None], [None, 2], None, None]
    assert csv_rows(csv_of([(answered(good), None)], columns))[0]["string"] == '["that"]'
