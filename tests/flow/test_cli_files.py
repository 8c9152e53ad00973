"""`batchdrop validate` and `convert`: the same judgement as an upload gets, before it is one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batchdrop.cli.main import main
from batchdrop.dialects.line import LineForm
from tests.harness import Stack, jsonl, lines, request
from tests.samples.dialects import write_sample
from tests.samples.tables import write_samples

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code and what it wrote."""

    def go(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return code, written.out, written.err

    return go


def test_a_good_file_is_good(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines("one", "two") + b"\n")
    assert run("validate", path) == (0, "gemini: 2 requests, 0 rejections\n", "")


def test_each_problem_is_told_with_file_line_and_field(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines("one") + jsonl([{"key": "b", "request": request("x", temprature=1)}]) + b"{\n")
    code, out, _ = run("validate", path)
    assert code == 1
    assert f"{path}:2: UNKNOWN_FIELD /request/generationConfig/temprature" in out
    assert f"{path}:3: NOT_JSON" in out
    code, out, _ = run("validate", path, "--json")
    first, second, sums = map(json.loads, out.splitlines())
    assert (first["line"], first["pointer"], second["code"]) == (2, "/request/generationConfig/temprature", "NOT_JSON")
    assert sums == {"dialect": "gemini", "requests": 1, "rejections": 2, "warnings": []}


@pytest.mark.parametrize("dialect", [LineForm.OPENAI, LineForm.ANTHROPIC, LineForm.GEMINI_BARE, LineForm.GEMINI_BODY])
def test_a_converted_file_is_gemini_and_validates(dialect: LineForm, run: Run, tmp_path: Path) -> None:
    sample = write_sample(dialect, tmp_path / "a.jsonl", 500)
    code, out, err = run("convert", tmp_path / "a.jsonl", "--to", "gemini")
    assert (code, err.count("a.jsonl:")) == (1, len(sample.refused))
    (tmp_path / "b.jsonl").write_text(out, encoding="utf-8")
    code, told, _ = run("validate", tmp_path / "b.jsonl")
    assert (code, told) == (0, f"gemini: {500 - len(sample.refused)} requests, 0 rejections\n")


def test_tables_are_checked_with_the_recipe_beside_them(run: Run, tmp_path: Path) -> None:
    write_samples(tmp_path)
    for name in ("reviews/reviews.csv", "tickets/tickets.jsonl", "products/products.parquet"):
        code, out, _ = run("validate", tmp_path / name)
        assert (code, "600 requests" in out) == (0, True)


def test_a_table_without_a_recipe_says_what_it_needs(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"id,text\n1,hello\n"))
    assert run("validate", path)[2].startswith("RECIPE_MISSING: ")
    recipe = tmp_path / "r.yaml"
    recipe.write_text("prompt: 'Hm: {{ text }}'\nkey: id\n")
    assert run("validate", path, "--recipe", recipe)[0] == 0
    recipe.write_text("promt: 'Hm: {{ text }}'\n")
    code, _, err = run("validate", path, "--recipe", recipe)
    assert (code, f"{recipe}:1: promt" in err, "Did you mean prompt?" in err) == (1, True, True)


def test_files_that_cannot_be_read_are_said_to_be_so(run: Run, tmp_path: Path) -> None:
    assert run("validate", tmp_path / "none.jsonl")[0] == 1
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines("one") * 100)[:-9])
    assert run("validate", tmp_path / "a.jsonl.gz")[2].startswith("GZIP_INVALID")
    (tmp_path / "b.jsonl").write_bytes(b"[{}]")
    assert run("validate", tmp_path / "b.jsonl")[2].startswith("NOT_JSONL")
    (tmp_path / "c.jsonl").write_bytes(b"")
    assert run("validate", tmp_path / "c.jsonl") == (1, "gemini: 0 requests, 0 rejections\n", "")


def test_an_upload_is_judged_as_the_command_judged_it(run: Run, stack: Stack, tmp_path: Path) -> None:
    write_sample(LineForm.OPENAI, tmp_path / "a.jsonl", 500)
    told = [json.loads(line) for line in run("validate", tmp_path / "a.jsonl", "--json")[1].splitlines()][:-1]
    job = stack.run(stack.upload("a.jsonl", (tmp_path / "a.jsonl").read_bytes()))
    rows = stack.rows(job, "rejections")
    assert [(row["line"], row["code"], row["pointer"]) for row in rows] == [
        (entry["line"], entry["code"], entry["pointer"]) for entry in told
    ]
