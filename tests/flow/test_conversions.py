"""Files that are not Gemini batch JSONL, from the upload to the rows: other dialects, tables, recipes, held jobs."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchdrop.dialects.line import LineForm
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator, RowFaults
from tests.harness import Row, Stack, assert_accounted, jsonl, lines
from tests.samples.dialects import write_sample
from tests.samples.tables import write_samples

Make = Callable[..., Stack]
RECIPE = b"""\
model: gemini-2.5-flash-lite
system: Answer with one word.
prompt: "Is this good? {{ text }}"
key: id
"""
CSV = b'id,text\r\n1,"fine, really"\r\n2,"two\nlines"\r\n3,=SUM(A1)\r\n'


def put(stack: Stack, name: str, data: bytes) -> None:
    stack.upload(name, data)
    stack.deliver()


# -------------------------------------------------------------------------------------------- dialects
@pytest.mark.parametrize("dialect", [LineForm.OPENAI, LineForm.ANTHROPIC, LineForm.GEMINI_BARE, LineForm.GEMINI_BODY])
def test_a_file_of_another_dialect_becomes_rows_with_the_users_keys(
    dialect: LineForm, stack: Stack, tmp_path: Path
) -> None:
    sample = write_sample(dialect, tmp_path / "sample.jsonl", 500)
    data = (tmp_path / "sample.jsonl").read_bytes()
    job = stack.run(stack.upload("a.jsonl", data))
    assert_accounted(stack, job)
    body = stack.manifest(job)
    assert (body["dialect"], job.counts.lines) == (dialect.value, sample.lines)
    assert job.counts.rejections == len(sample.refused)
    assert bool(body["warnings"]) == bool(sample.warned)
    rejected = stack.rows(job, "rejections")
    assert all(row["pointer"] and row["message"] and row["fix"] for row in rejected)
    if dialect in (LineForm.OPENAI, LineForm.ANTHROPIC):
        keys = {number: json.loads(line).get("custom_id") for number, line in enumerate(data.splitlines(), 1)}
        assert all(row["key"] == keys[row["line"]] for row in stack.rows(job, "results"))


@pytest.mark.parametrize(("dialect", "package"), [(LineForm.OPENAI, "openai"), (LineForm.ANTHROPIC, "anthropic")])
def test_results_come_back_in_the_dialect_of_the_input(
    dialect: LineForm, package: str, stack: Stack, tmp_path: Path, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(rows=RowFaults(shuffle=True))
    write_sample(dialect, tmp_path / "sample.jsonl", 500)
    data = (tmp_path / "sample.jsonl").read_bytes()
    job = stack.run(stack.upload("a.jsonl", data, {"output": dialect.value}))
    assert job.counts.results + job.counts.errors + job.counts.rejections == job.counts.lines
    answered = stack.rows(job, "results")
    assert len(answered) == job.counts.results
    types = importlib.import_module(f"{package}.types")
    wanted = [json.loads(line)["custom_id"] for line in data.splitlines() if b"custom_id" in line]
    order = {key: place for place, key in enumerate(wanted)}
    places = [order[line["custom_id"]] for line in answered]
    assert places == sorted(places)
    for line in answered:
        if dialect is LineForm.OPENAI:
            assert line["response"]["status_code"] == 200
            types.chat.ChatCompletion.model_validate(line["response"]["body"])
        else:
            types.messages.MessageBatchIndividualResponse.model_validate(line)


def test_a_line_that_is_not_of_the_files_dialect_is_rejected_with_its_place(stack: Stack) -> None:
    chat: Row = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    good: Row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat}
    data = jsonl([good, {"custom_id": "b", "params": {}}, good]) + b"\n" + b"{not json\n"
    job = stack.run(stack.upload("a.jsonl", data))
    assert_accounted(stack, job)
    assert [(row["line"], row["key"]) for row in stack.rows(job, "rejections")] == [(2, "b"), (5, None)]
    assert any("gemini-2.5-flash-lite" in warning for warning in stack.manifest(job)["warnings"])


# ---------------------------------------------------------------------------------------------- tables
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_csv_with_a_recipe_becomes_rows(name: str, stack: Stack) -> None:
    put(stack, "team/recipe.yaml", RECIPE)
    data = gzip.compress(CSV) if name.endswith(".gz") else CSV
    job = stack.run(stack.upload(f"team/{name}", data))
    assert_accounted(stack, job)
    assert [row["key"] for row in stack.rows(job, "results")] == ["1", "2", "3"]
    assert (job.dialect, stack.manifest(job)["recipe_digest"]) == ("csv", job.recipe_digest)


def test_the_samples_run_and_their_tables_open_everywhere(stack: Stack, tmp_path: Path) -> None:
    write_samples(tmp_path)
    for name in ("reviews", "tickets", "products"):
        recipe = tmp_path / name / "recipe.yaml"
        [data] = (tmp_path / name).glob(f"{name}.*")
        put(stack, f"{name}/recipe.yaml", recipe.read_bytes())
        job = stack.run(stack.upload(f"{name}/{data.name}", data.read_bytes()))
        assert_accounted(stack, job)
        assert job.counts.lines - job.counts.blank >= 600
        output = stack.output(job)
        tables = [entry for entry in output if entry.startswith("table-")]
        assert tables, name
        for entry in tables:
            assert _rows_of(output[entry], entry, tmp_path) == job.counts.lines - job.counts.blank
        parts = {part["name"]: part for part in stack.manifest(job)["parts"]}
        assert all(parts[entry]["rows"] == job.counts.lines - job.counts.blank for entry in tables)


def _rows_of(data: bytes, name: str, folder: Path) -> int:
    """Open a table with three readers; they must agree."""
    duckdb, pandas = importlib.import_module("duckdb"), importlib.import_module("pandas")
    path = folder / name
    path.write_bytes(data)
    if name.endswith(".parquet"):
        counts = {
            importlib.import_module("pyarrow.parquet").read_table(path).num_rows,
            len(pandas.read_parquet(path)),
            duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall()[0][0],
        }
    else:
        counts = {
            importlib.import_module("pyarrow.csv")
            .read_csv(path, parse_options=importlib.import_module("pyarrow.csv").ParseOptions(newlines_in_values=True))
            .num_rows,
            len(pandas.read_csv(path)),
            duckdb.sql(f"select count(*) from read_csv('{path}', all_varchar=true)").fetchall()[0][0],
        }
    assert len(counts) == 1
    return int(counts.pop())


def test_joined_fields_stand_beside_the_answer_and_no_cell_is_a_formula(stack: Stack) -> None:
    put(stack, "team/recipe.yaml", RECIPE + b"output: {formats: [csv], join: true}\n")
    job = stack.run(stack.upload("team/a.csv", CSV + b"4,\r\n"))
    assert [row["record"]["text"] for row in stack.rows(job, "results")][2] == "=SUM(A1)"
    table = list(csv.DictReader(io.StringIO(stack.output(job)["table-00000.csv"].decode("utf-8-sig"), newline="")))
    assert [row["text"] for row in table][:3] == ["fine, really", "two\nlines", "'=SUM(A1)"]
    assert len(table) == 4


def test_embeddings_of_records_come_as_vectors(stack: Stack, tmp_path: Path) -> None:
    recipe = (
        b"model: gemini-embedding-001\nembed: {dimensions: 8}\n"
        b'prompt: "{{ text }}"\nkey: id\noutput: {formats: [parquet]}\n'
    )
    put(stack, "team/recipe.yaml", recipe)
    job = stack.run(stack.upload("team/a.csv", CSV))
    assert_accounted(stack, job)
    assert job.plan.batch_kind == "embed"
    path = tmp_path / "t.parquet"
    path.write_bytes(stack.output(job)["table-00000.parquet"])
    table: Any = importlib.import_module("pyarrow.parquet").read_table(path)
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[8]"


# ------------------------------------------------------------------------------------------- long files
def parquet_of(rows: list[Row]) -> bytes:
    file = io.BytesIO()
    table = importlib.import_module("pyarrow").Table.from_pylist(rows)
    importlib.import_module("pyarrow.parquet").write_table(table, file, row_group_size=3)
    return file.getvalue()


def members(data: bytes, size: int = 400) -> bytes:
    """Compress a file in members: each comes out by itself, as each MiB of a large file does."""
    return b"".join(gzip.compress(data[at : at + size]) for at in range(0, len(data), size))


def foreign(number: int) -> Row:
    return {"custom_id": str(number), "url": "/v1/responses", "body": {"model": "gpt-5", "input": f"t{number}"}}


TABLE = parquet_of([{"id": str(n), "text": f"t{n}"} for n in range(11)])
LONG_FILES = {
    "a.jsonl.gz": members(lines(*(f"t{n}" for n in range(20))) + b"bad\n"),
    "a.csv": CSV + b"4\r\n\n" + b'5,"x"\r\n6,"y"\r\n' * 4,
    "a.csv.gz": members(CSV + b'5,"x"\r\n' * 8, 20),
    "a.parquet": TABLE,
    "a.parquet.gz": members(TABLE),
    "openai.jsonl": jsonl(foreign(n) for n in range(11)) + b"\n{}\n",
}


@pytest.mark.parametrize("name", LONG_FILES)
def test_a_conversion_longer_than_its_time_makes_the_same_rows(name: str, stack_with: Make, tmp_path: Path) -> None:
    limits = {"range_lines": 2, "shard_requests": 4}
    outputs: list[list[Row]] = []
    for budget in (480, 1e-9):
        stack = stack_with(**limits, call_seconds=budget)
        put(stack, f"{budget}/recipe.yaml", RECIPE + b"output: {join: true}\n")
        info = stack.upload(f"{budget}/{name}", LONG_FILES[name])
        job = stack.run(info, until=lambda job: job.state not in ("RECEIVED", "PLANNING"))
        assert (len(job.records) > 2) == (budget < 1)
        stack.overrides = limits
        job = stack.run(info)
        assert_accounted(stack, job)
        assert stack.objects.list("work").objects == ()
        outputs.append(sorted(stack.rows(job), key=lambda row: row["line"]))
        assert len(outputs[0]) == job.counts.lines - job.counts.blank > 8
    assert outputs[0] == outputs[1]


def test_a_joined_parquet_table_has_the_types_of_a_parquet_input_however_it_was_cut(stack_with: Make) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    kinds = {"price": arrow.decimal128(8, 2), "tags": arrow.list_(arrow.string()), "id": arrow.int16()}
    schema = arrow.schema([("day", arrow.date32()), ("text", arrow.string()), *kinds.items()])
    rows = [
        {"day": date(2026, 1, n), "text": f"t{n}", "price": Decimal(n), "tags": [f"{n}"], "id": n} for n in range(1, 9)
    ]
    source = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist([*rows, {"id": 9}], schema), source, row_group_size=3)
    recipe = RECIPE + b"output: {formats: [parquet, csv], join: true}\n"
    tables: list[dict[str, bytes]] = []
    for budget in (480, 1e-9):
        stack = stack_with(range_lines=2, shard_requests=4, call_seconds=budget)
        put(stack, f"{budget}/recipe.yaml", recipe)
        info = stack.upload(f"{budget}/a.parquet", source.getvalue())
        stack.run(info, until=lambda job: job.state not in ("RECEIVED", "PLANNING"))
        stack.overrides = {"range_lines": 2, "shard_requests": 4}
        job = stack.run(info)
        assert_accounted(stack, job)
        tables.append({name: data for name, data in stack.output(job).items() if name.startswith("table-")})
    assert tables[0] == tables[1]
    parts = [parquet.read_table(io.BytesIO(tables[0][name])) for name in sorted(tables[0]) if name.endswith("parquet")]
    assert len(parts) > 1
    found = arrow.concat_tables(parts).select(schema.names)
    assert found.schema.equals(schema)
    assert found.to_pylist()[:8] == rows
    assert parts[0].column_names[3:8] == schema.names
    assert b"2026-01-01,t1,1.00" in tables[0]["table-00000.csv"]


# ------------------------------------------------------------------------------------------- structured
def test_an_answer_that_breaks_its_schema_is_redone_then_reported(stack: Stack, gemini: GeminiEmulator) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}, "required": ["n"]}
    config: Row = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    gemini.faults = Faults()
    job = stack.run(stack.upload("a.jsonl", lines("one", "two [[emulate:invalid]]", **config)))
    assert_accounted(stack, job)
    assert job.counts.results + job.counts.errors == 2


# ---------------------------------------------------------------------------------------------- recipes
def test_the_nearest_recipe_applies_and_metadata_overrides_it(stack: Stack) -> None:
    put(stack, "recipe.yaml", RECIPE.replace(b"Is this good?", b"FAR"))
    put(stack, "team/recipe.yaml", RECIPE + b"priority: 5\nattribution: {cost-center: '42'}\n")
    info = stack.upload("team/deep/a.csv", CSV, {"priority": "7", "deadline": "3h", "label-env": "test"})
    job = stack.run(info)
    assert (job.priority, job.recipe_name) == (7, "team/recipe.yaml")
    assert job.labels == {"cost-center": "42", "env": "test"}
    assert (job.deadline_at - job.created_at).total_seconds() == 3 * 3600
    assert stack.run(stack.upload("other/a.csv", CSV)).recipe_name == "recipe.yaml"


def test_records_without_a_recipe_are_held_and_run_when_it_arrives(stack: Stack) -> None:
    info = stack.upload("team/a.csv", CSV)
    job = stack.run(info, until=lambda job: job.state == "HELD")
    assert job.failure is not None
    assert job.failure.code == "RECIPE_MISSING"
    [(data, attributes)] = stack.completions()
    assert (data["state"], attributes["state"]) == ("HELD", "HELD")
    stack.advance(120)
    stack.tick()
    stack.deliver()
    assert len(stack.completions()) == 1, "held is said once"
    put(stack, "team/recipe.yaml", RECIPE)
    job = stack.run(info)
    assert_accounted(stack, job)
    assert (job.state, job.counts.results, job.failure) == ("DONE", 3, None)


def test_records_without_a_recipe_are_rejected_after_a_while(stack: Stack) -> None:
    info = stack.upload("team/a.csv", CSV)
    job = stack.run(info)
    assert (job.state, job.failure.code if job.failure else "") == ("REJECTED", "RECIPE_MISSING")
    assert 900 <= (job.ended_at - job.created_at).total_seconds() < 1200  # type: ignore[operator]


def test_a_recipe_that_cannot_be_used_is_reported_and_holds_its_uploads(stack: Stack) -> None:
    put(stack, "team/recipe.yaml", b"model: gemini-2.5-flash-lite\nprompt: '{{ text'\ntemprature: 1\n")
    report = json.loads(b"".join(stack.objects.read("output", "team/recipe.errors.json")))
    assert report["recipe"] == "team/recipe.yaml"
    assert {problem["line"] for problem in report["problems"]} == {2, 3}
    assert [attributes["state"] for _, attributes in stack.completions()] == ["RECIPE_INVALID"]
    info = stack.upload("team/a.csv", CSV)
    job = stack.run(info, until=lambda job: job.state == "HELD")
    assert job.failure is not None
    assert (job.failure.code, "line 2" in job.failure.message) == ("RECIPE_INVALID", True)
    put(stack, "team/recipe.yaml", RECIPE)
    assert stack.objects.stat("output", "team/recipe.errors.json") is None
    assert stack.run(info).counts.results == 3


def test_metadata_nobody_understands_rejects_the_upload_and_names_it(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one"), {"deadline": "soon"}))
    assert (job.state, job.failure.code if job.failure else "") == ("REJECTED", "METADATA_INVALID")
    assert job.failure is not None
    assert "deadline" in job.failure.message


def test_a_strict_recipe_rejects_an_upload_with_a_bad_record(stack: Stack) -> None:
    put(stack, "team/recipe.yaml", RECIPE + b"policy: strict\n")
    job = stack.run(stack.upload("team/a.csv", CSV + b"4\r\n"))
    assert (job.state, job.failure.code if job.failure else "") == ("REJECTED", "STRICT_POLICY")


def test_a_table_that_is_none_is_rejected_with_a_sentence(stack: Stack) -> None:
    put(stack, "team/recipe.yaml", RECIPE)
    for name, data in (("a.parquet", b"PAR1 no"), ("a.csv", b"id,id\n1,2\n")):
        job = stack.run(stack.upload(f"team/{name}", data))
        assert (job.state, job.failure.code if job.failure else "") == ("REJECTED", "TABLE_INVALID")
