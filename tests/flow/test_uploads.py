"""Whatever is put into the bucket is answered: it runs, it is refused where people look, or it is passed over."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from batchdrop.core.state import names
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.harness import Row, Stack, assert_accounted, lines, request

Make = Callable[..., Stack]
RECIPE = b"prompt: 'Is this good? {{ text }}'\nkey: id\n"
RECORDS = [{"id": number, "text": f"text\n[{number}],"} for number in range(25)]
CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "hello"}]}
OPENAI = [{"custom_id": f"c{number}", "url": "/v1/chat/completions", "body": CHAT} for number in range(9)]


def requests(count: int) -> list[Row]:
    return [{"key": f"k{number}", "request": request(f"text {number}")} for number in range(count)]


def array(entries: Any, indent: int | None = None) -> bytes:
    return json.dumps(entries, indent=indent).encode()


def refusal(stack: Stack, name: str) -> Row | None:
    if stack.objects.stat("output", name) is None:
        return None
    found: Row = json.loads(b"".join(stack.objects.read("output", name)))
    return found


def put(stack: Stack, name: str, data: bytes = b"anything") -> ObjectInfo:
    info = stack.upload(name, data)
    stack.deliver()
    return info


# ------------------------------------------------------------------------------------------------ .json runs
@pytest.mark.parametrize(
    ("name", "data", "results"),
    [
        ("a.json", lines("one", "two"), 2),
        ("a.json", array(requests(3)), 3),
        ("a.json", b"\xef\xbb\xbf\n " + array(requests(3), indent=2) + b"\n\n", 3),
        ("a.json.gz", gzip.compress(array(requests(3))), 3),
        ("a.json", array(OPENAI[:3], indent=4), 3),
        ("A.JSON", array([request("bare"), request("bare too")]), 2),
    ],
    ids=["lines", "array", "pretty array", "array in gzip", "array of another dialect", "array of bodies"],
)
def test_json_that_holds_requests_runs(stack: Stack, name: str, data: bytes, results: int) -> None:
    job = stack.run(stack.upload(f"team/{name}", data))
    assert_accounted(stack, job)
    assert (job.state, job.counts.results, job.counts.lines) == ("DONE", results, results)
    assert refusal(stack, f"team/{name}.refused.json") is None


def test_an_array_of_records_runs_with_its_recipe(stack: Stack) -> None:
    put(stack, "team/recipe.yaml", RECIPE)
    job = stack.run(stack.upload("team/a.json", array(RECORDS, indent=1)))
    assert_accounted(stack, job)
    assert [row["key"] for row in stack.rows(job, "results")] == [record["id"] for record in RECORDS]


@pytest.mark.parametrize("entries", [requests(40), OPENAI, RECORDS], ids=["gemini", "openai", "records"])
def test_an_array_that_outlasts_a_function_makes_the_same_rows(stack_with: Make, entries: list[Row]) -> None:
    stack = stack_with(range_lines=4)
    put(stack, "team/recipe.yaml", RECIPE)
    info = stack.upload("team/a.json", array(entries, indent=2), {"again": "1"})
    whole = stack.run(info)
    stack.overrides = {"range_lines": 4, "call_seconds": 1e-9}
    info = stack.upload("team/a.json", array(entries, indent=2), {"again": "2"})
    stack.run(info, until=lambda job: job.conversion.step > 2 or job.state not in ("RECEIVED", "PLANNING"))
    stack.run(info, until=lambda job: job.state not in ("RECEIVED", "PLANNING"))
    stack.overrides = {"range_lines": 4}
    steps = stack.run(info)
    one, two = stack.output(whole), stack.output(steps)
    del one["manifest.json"], two["manifest.json"]
    assert b"".join(one[name] for name in sorted(one)) == b"".join(two[name] for name in sorted(two))
    assert steps.counts.results == len(entries)


def test_members_that_are_no_requests_are_rejected_with_their_numbers(stack: Stack) -> None:
    data = b'[%b, 7, {"key": "x"}, [1], "a\nb", %b]' % tuple(array(entry) for entry in requests(2))
    job = stack.run(stack.upload("a.json", data))
    assert_accounted(stack, job)
    assert [row["line"] for row in stack.rows(job, "rejections")] == [2, 3, 4, 5]
    assert [row["line"] for row in stack.rows(job, "results")] == [1, 6]


def test_an_array_that_is_cut_off_is_rejected_whole(stack: Stack) -> None:
    job = stack.run(stack.upload("a.json", array(requests(3))[:-1]))
    assert (job.state, job.failure.code if job.failure else "") == ("REJECTED", "ARRAY_INVALID")


def test_an_array_as_jsonl_is_still_said_to_be_one(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", array(requests(3))))
    assert job.failure is not None
    assert job.state == "REJECTED"


# --------------------------------------------------------------------------------------------- visibly refused
@pytest.mark.parametrize(
    ("name", "data", "code", "cure"),
    [
        ("a.xlsx", b"PK\x03\x04", "SPREADSHEET", "CSV"),
        ("a.XLS", b"x", "SPREADSHEET", "CSV"),
        ("a.zip", b"PK\x03\x04", "ARCHIVE", ".gz"),
        ("a.tar.gz", b"x", "ARCHIVE", ".gz"),
        ("a.csv.zip", b"x", "PACKED", ".gz"),
        ("a.jsonl.zst", b"x", "PACKED", ".gz"),
        ("a.jsonl.txt", b"x", "PACKED", ".gz"),
        ("a.parquet.snappy", b"x", "PACKED", ".gz"),
        ("a.avro", b"x", "UNKNOWN_TABLE", "Parquet"),
        ("a.json", b"", "NO_REQUESTS", "array"),
        ("a.json", b"not JSON", "NO_REQUESTS", "array"),
        ("a.json", b"[]", "NO_REQUESTS", "array"),
        ("a.json", b"[1, 2]", "NO_REQUESTS", "array"),
        ("a.json", array({"name": "a", "scripts": {}}, indent=2), "NO_REQUESTS", "array"),
        ("a.json", b"\x89PNG\r\n\x1a\n", "NOT_JSONL", "line"),
        ("a.json", array({"requests": requests(2)}, indent=2), "NO_REQUESTS", "array"),
        ("a.json", array(RECORDS), "RECIPE_MISSING", "prompt:"),
        ("a.json.gz", b"\x1f\x8b broken", "GZIP_INVALID", "ompress"),
    ],
)
def test_what_looks_like_data_and_cannot_be_taken_is_refused_beside_the_output(
    stack: Stack, log: io.StringIO, name: str, data: bytes, code: str, cure: str
) -> None:
    info = put(stack, f"team/{name}", data)
    body = refusal(stack, f"team/{name}.refused.json")
    assert body is not None
    assert body["schema"] == "batchdrop.refused/1"
    assert (body["object"], body["generation"], body["code"]) == (f"team/{name}", info.generation, code)
    assert cure in body["fix"]
    assert body["message"]
    assert stack.context_store_is_empty()
    assert "upload refused" in log.getvalue()
    assert all(answer == ("", 204) for answer in stack.answers)


def test_a_refusal_is_written_once(stack: Stack) -> None:
    info = put(stack, "a.xlsx")
    first = stack.objects.stat("output", "a.xlsx.refused.json")
    stack.announce(info)
    stack.deliver()
    assert stack.objects.stat("output", "a.xlsx.refused.json") == first
    put(stack, "a.xlsx", b"another one")
    assert stack.objects.stat("output", "a.xlsx.refused.json") != first


def test_the_sweep_refuses_what_nobody_announced_and_says_it_once(stack: Stack, log: io.StringIO) -> None:
    stack.tick()
    with stack.objects.create("input", "team/a.xlsx") as writer:
        writer.close()
    for _ in range(3):
        stack.advance(1300)
        stack.tick()
        stack.deliver()
    assert refusal(stack, "team/a.xlsx.refused.json") is not None
    assert log.getvalue().count("upload without a job") == 1


def test_text_is_refused_beside_a_recipe_only(stack: Stack) -> None:
    put(stack, "team/notes.txt")
    assert refusal(stack, "team/notes.txt.refused.json") is None
    put(stack, "team/recipe.yaml", RECIPE)
    put(stack, "team/more.txt")
    body = refusal(stack, "team/more.txt.refused.json")
    assert body is not None
    assert body["code"] == "TEXT_FILE"


def test_a_file_that_was_mended_takes_its_refusal_away(stack: Stack) -> None:
    put(stack, "a.json", b"{")
    assert refusal(stack, "a.json.refused.json") is not None
    assert stack.run(stack.upload("a.json", array(requests(1)))).state == "DONE"
    assert refusal(stack, "a.json.refused.json") is None


def test_records_that_were_refused_run_when_their_recipe_comes(stack: Stack, gemini: GeminiEmulator) -> None:
    info = put(stack, "team/deep/a.json", array(RECORDS))
    put(stack, "team/deep/b.json", b"not JSON")
    assert refusal(stack, "team/deep/a.json.refused.json") is not None
    put(stack, "team/recipe.yaml", RECIPE)
    assert stack.run(info).counts.results == len(RECORDS)
    assert refusal(stack, "team/deep/a.json.refused.json") is None
    assert refusal(stack, "team/deep/b.json.refused.json") is not None


def test_json_that_a_recipe_attaches_is_no_upload(stack: Stack) -> None:
    recipe = b"prompt: what is in it?\nattachments: [{field: document, type: application/json}]\n"
    put(stack, "team/recipe.yaml", recipe)
    put(stack, "team/documents/1.json", b'{"document": 1}\n')
    assert stack.context_store_is_empty()
    assert refusal(stack, "team/documents/1.json.refused.json") is None


# --------------------------------------------------------------------------------------------- passed over
@pytest.mark.parametrize(
    "name",
    [
        "a.png", "a.jpg", "a.pdf", "a.mp3", "a.mp4", "a.docx", "a/", ".a.jsonl", "a/.b/c.json", ".a.xlsx", "README.md",
        "gcloud/tmp/parallel_composite_uploads/x/a.json_1", "gcloud/tmp/x.zip", "team/gsutil/tmp/x.jsonl",
    ],
)  # fmt: skip
def test_media_and_what_tools_leave_is_passed_over_and_counted(stack: Stack, log: io.StringIO, name: str) -> None:
    put(stack, "recipe.yaml", RECIPE)
    put(stack, name)
    assert stack.context_store_is_empty()
    assert stack.objects.list("output").objects == ()
    assert log.getvalue().count("object is not an upload") == 1
    assert stack.answers[-1] == ("", 204)


# ------------------------------------------------------------------------------------------------- names
@pytest.mark.parametrize("folder", ["../../evil/", "n\tl/", "a//b/", "/", "a/../"])
def test_no_report_leaves_its_folder(stack: Stack, folder: str) -> None:
    put(stack, f"{folder}recipe.yaml", b"prompt: '{{'\n")
    put(stack, f"{folder}a.xlsx")
    found = [info.name for info in stack.objects.list("output").objects]
    assert len(found) == 2
    assert all(name.startswith("_/") for name in found)
    assert sorted(name.rpartition(".")[0].rpartition(".")[2] for name in found) == ["errors", "refused"]
    put(stack, f"{folder}recipe.yaml", RECIPE)
    assert len(stack.objects.list("output").objects) == 1


def test_the_name_of_a_refusal_fits() -> None:
    assert names.refusal("input", "a/b.xlsx") == "a/b.xlsx.refused.json"
    assert len(names.refusal("input", "x" * 1000 + ".xlsx").encode()) < 1024
