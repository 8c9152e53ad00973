"""Tables out of rows: opened with pyarrow, DuckDB and pandas; nothing in a CSV can be run as a formula."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchdrop.core.joining import InputLine
from batchdrop.core.outcomes import Answer, Outcome
from batchdrop.core.rows import error_row, rejection_row, result_row
from batchdrop.core.tables import Column, Joined, Kind, plan_columns, renamed_fields, write_csv, write_parquet
from batchdrop.core.tables.separated import safe

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
