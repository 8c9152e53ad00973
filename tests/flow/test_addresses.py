"""Every address in a request is looked at before its line is accepted, wherever it stands and however it is spelt."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.harness import Row, Stack, assert_accounted, jsonl

Make = Callable[..., Stack]
FOREIGN = "gs://payroll/salaries.pdf"


def put(stack: Stack, name: str, data: bytes = b"\x89PNG a picture", bucket: str = "input") -> str:
    with stack.objects.create(bucket, name, content_type="image/png") as writer:
        writer.write(data)
        writer.close()
    return f"gs://{bucket}/{name}"


def file(uri: str) -> Row:
    return {"fileData": {"mimeType": "image/png", "fileUri": uri}}


def snake(uri: str) -> Row:
    return {"file_data": {"mime_type": "image/png", "file_uri": uri}}


def mixed(uri: str) -> Row:
    return {"fileData": {"mimeType": "image/png", "file_uri": uri}}


def answered(part: Any) -> Row:
    """A function's response that holds parts."""
    return {"functionResponse": {"name": "look", "response": {}, "parts": [part]}}


def ask(*parts: Any, **more: Any) -> Row:
    return {"contents": [{"role": "user", "parts": [*parts, {"text": "what is it?"}]}], **more}


PLACES: dict[str, Callable[[Any], Row]] = {
    "contents": ask,
    "contents, one part": lambda part: {"contents": [{"parts": part}]},
    "contents, one turn": lambda part: {"contents": {"parts": [part]}},
    "second turn": lambda part: {"contents": [{"parts": [{"text": "a"}]}, {"role": "model", "parts": [part]}]},
    "systemInstruction": lambda part: ask(systemInstruction={"parts": [part]}),
    "system_instruction": lambda part: ask(system_instruction={"parts": [part]}),
    "functionResponse": lambda part: ask(answered(part)),
    "function_response": lambda part: ask({"function_response": answered(part)["functionResponse"]}),
    "functionResponse in functionResponse": lambda part: ask(answered(answered(part))),
    "response": lambda part: ask({"functionResponse": {"name": "look", "response": {"deep": [[part]]}}}),
    "args": lambda part: ask({"functionCall": {"name": "look", "args": {"deep": {"deep": part}}}}),
    "partMetadata": lambda part: ask({"text": "a", "partMetadata": part}),
    "toolConfig": lambda part: ask(toolConfig=part),
    "tools": lambda part: ask(tools=[{"googleSearch": part}]),
}
SHAPES = {"camel": file, "snake": snake, "mixed": mixed}


@pytest.mark.parametrize("place", PLACES)
def test_an_object_of_a_forbidden_bucket_rejects_its_line_wherever_it_stands(stack: Stack, place: str) -> None:
    put(stack, "salaries.pdf", bucket="payroll")
    entries = [{"key": name, "request": PLACES[place](shape(FOREIGN))} for name, shape in SHAPES.items()]
    job = stack.run(stack.upload("team/a.jsonl", jsonl([{"key": "good", "request": ask()}, *entries])))
    assert_accounted(stack, job)
    rejected = stack.rows(job, "rejections")
    assert [row["key"] for row in rejected] == list(SHAPES)
    assert all(row["code"] in ("ATTACHMENT_FORBIDDEN", "UNKNOWN_FIELD") for row in rejected)


def test_an_embedding_is_looked_at_as_well(stack: Stack) -> None:
    request = {"content": {"parts": [file(FOREIGN)]}}
    info = stack.upload("a.jsonl", jsonl([{"request": request}]), {"model": "gemini-embedding-001"})
    [row] = stack.rows(stack.run(info), "rejections")
    assert row["code"] == "ATTACHMENT_FORBIDDEN"


@pytest.mark.parametrize(
    "spelt",
    [
        '"\\u0067s://payroll/salaries.pdf"',
        '"gs:\\/\\/payroll/salaries.pdf"',
        '"gs\\u003a//payroll/salaries.pdf"',
        '"GS://payroll/salaries.pdf"',
        '" gs://payroll/salaries.pdf"',
        '"gs://input/../payroll/salaries.pdf"',
        '"gs:payroll/salaries.pdf"',
    ],
)
@pytest.mark.parametrize("place", ["contents", "functionResponse", "partMetadata"])
def test_no_spelling_of_an_address_gets_past(stack: Stack, spelt: str, place: str) -> None:
    body = json.dumps(PLACES[place](file("HERE"))).replace('"HERE"', spelt)
    job = stack.run(stack.upload("team/a.jsonl", b'{"key":"k","request":%b}\n' % body.encode()))
    assert (job.state, job.counts.rejections) == ("REJECTED", 1)


def test_an_address_in_a_text_is_text(stack: Stack) -> None:
    parts = [{"text": FOREIGN}, {"functionResponse": {"name": "look", "response": {"said": FOREIGN}}}]
    job = stack.run(stack.upload("a.jsonl", jsonl([{"request": ask(*parts)}])))
    assert job.counts.results == 1


def test_objects_in_the_response_of_a_function_are_attached(stack: Stack, gemini: GeminiEmulator) -> None:
    uri = put(stack, "team/a.png")
    job = stack.run(stack.upload("team/a.jsonl", jsonl([{"key": "k", "request": ask(answered(snake(uri)))}])))
    assert job.counts.results == 1
    assert gemini.calls["upload.start"] == 2


# ------------------------------------------------------------------------------------------------ folders
def test_an_upload_names_objects_of_its_own_first_folder_only(stack: Stack) -> None:
    own, other, above = put(stack, "blue/pictures/a.png"), put(stack, "red/secret.png"), put(stack, "a.png")
    entries = [{"key": uri, "request": ask(file(uri))} for uri in (own, other, above)]
    job = stack.run(stack.upload("blue/deep/a.jsonl", jsonl(entries)))
    rejected = stack.rows(job, "rejections")
    assert [(row["key"], row["code"]) for row in rejected] == [
        (other, "ATTACHMENT_FORBIDDEN"),
        (above, "ATTACHMENT_FORBIDDEN"),
    ]
    assert all("blue/" in row["message"] for row in rejected)


def test_an_upload_above_all_folders_names_objects_of_each(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", jsonl([{"request": ask(file(put(stack, "blue/a.png")))}])))
    assert job.counts.results == 1


def test_a_stack_may_let_folders_share(stack_with: Make) -> None:
    stack = stack_with(attachment_folders="any")
    job = stack.run(stack.upload("blue/a.jsonl", jsonl([{"request": ask(file(put(stack, "red/a.png")))}])))
    assert job.counts.results == 1
