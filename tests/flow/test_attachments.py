"""Attachments: objects that requests name reach the provider as files, are read by it, and are not left there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from batchdrop.core.state.job import Job
from batchdrop.ports import JSONL, ProviderFile
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Row, Stack, assert_accounted, jsonl

Make = Callable[..., Stack]
PICTURE = b"\x89PNG\r\n\x1a\n" + b"x" * 500
RECIPE = b"prompt: What is in picture {{ id }}?\nkey: id\nattachments: [{field: picture}]\noutput: {join: true}\n"


def put(stack: Stack, name: str, data: bytes = PICTURE, bucket: str = "input") -> str:
    with stack.objects.create(bucket, name) as writer:
        writer.write(data)
        writer.close()
    return f"gs://{bucket}/{name}"


def line(key: str, uri: str, *, snake: bool = False) -> Row:
    file = {"file_data": {"file_uri": uri}} if snake else {"fileData": {"fileUri": uri, "mimeType": "image/png"}}
    parts = [file, {"text": f"what is {key}?"}]
    return {"key": key, "request": {"contents": [{"role": "user", "parts": parts}]}}


def uploads(gemini: GeminiEmulator) -> int:
    return gemini.calls["upload.start"]


def left(stack: Stack) -> list[str]:
    for _ in range(3):
        stack.advance(1300)
        stack.tick()
        stack.deliver()
    return [file["name"] for file in stack.gemini.files()]


def modalities(row: Row) -> set[str]:
    return {detail["modality"] for detail in row["usage"]["promptTokensDetails"]}


def test_records_with_pictures_are_answered_and_keep_the_pictures_names(stack: Stack, gemini: GeminiEmulator) -> None:
    put(stack, "blue/recipe.yaml", RECIPE)
    pictures = [put(stack, f"blue/pictures/{n}.png") for n in range(5)]
    data = jsonl({"id": f"p{n}", "picture": uri} for n, uri in enumerate(pictures))
    job = stack.run(stack.upload("blue/a.jsonl", data))
    assert_accounted(stack, job)
    rows = stack.rows(job, "results")
    assert [row["record"]["picture"] for row in rows] == pictures
    assert all("IMAGE" in modalities(row) for row in rows)
    assert uploads(gemini) == 5 + 1
    assert gemini.files() == [], "deleted with their shard, not by a sweep"


def test_an_object_of_many_lines_is_uploaded_once_for_a_shard(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(shard_requests=4)
    uri = put(stack, "a.png")
    job = stack.run(stack.upload("a.jsonl", jsonl(line(f"k{n}", uri, snake=bool(n % 2)) for n in range(8))))
    assert (job.counts.results, uploads(gemini)) == (8, 2 * (1 + 1))
    assert left(stack) == []


def test_bytes_and_type_arrive_as_they_are(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=600)
    info = stack.upload("a.jsonl", jsonl([line("k", put(stack, "a.png"))]))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    [file] = [file for file in gemini.files() if file["mimeType"] != JSONL]
    assert (file["mimeType"], int(file["sizeBytes"])) == ("image/png", len(PICTURE))


def test_addresses_elsewhere_and_other_text_stay_as_they_are(stack: Stack, gemini: GeminiEmulator) -> None:
    text = {"key": "t", "request": {"contents": [{"parts": [{"text": "is gs://input/a.png there?"}]}]}}
    job = stack.run(stack.upload("a.jsonl", jsonl([line("k", "https://example.com/a.png"), text])))
    assert (job.counts.results, uploads(gemini)) == (2, 1)


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("gs://input/nothing.png", "ATTACHMENT_MISSING"),
        ("gs://input", "ATTACHMENT_MISSING"),
        ("gs://input/empty.png", "ATTACHMENT_SIZE"),
        ("gs://other/a.png", "ATTACHMENT_FORBIDDEN"),
        ("gs://work/a.png", "ATTACHMENT_FORBIDDEN"),
    ],
)
def test_what_cannot_be_attached_rejects_its_line_before_anything_is_paid(stack: Stack, uri: str, code: str) -> None:
    put(stack, "empty.png", b"")
    put(stack, "a.png", bucket="other")
    good = put(stack, "a.png")
    job = stack.run(stack.upload("a.jsonl", jsonl([line("good", good), line("bad", uri)])))
    assert_accounted(stack, job)
    [row] = stack.rows(job, "rejections")
    assert (row["line"], row["code"]) == (2, code)
    assert row["pointer"] == "/request/contents/0/parts/0/fileData/fileUri"
    assert uri in row["message"]
    assert job.counts.results == 1


def test_the_pointer_to_an_address_is_one_that_a_reader_of_pointers_follows(stack: Stack) -> None:
    call = {"functionCall": {"name": "look", "args": {"a/b~c": {"uri": "gs://other/a.png"}}}}
    request = {"contents": [{"role": "user", "parts": [{"text": "look"}]}, {"role": "model", "parts": [call]}]}
    job = stack.run(stack.upload("a.jsonl", jsonl([{"key": "k", "request": request}])))
    [row] = stack.rows(job, "rejections")
    assert row["code"] == "ATTACHMENT_FORBIDDEN"
    assert row["pointer"] == "/request/contents/1/parts/0/functionCall/args/a~1b~0c/uri"


def test_a_stack_may_allow_other_buckets(stack_with: Make) -> None:
    stack = stack_with(attachment_buckets="pictures, other")
    uri = put(stack, "a.png", bucket="other")
    job = stack.run(stack.upload("a.jsonl", jsonl([line("k", uri)])))
    assert job.verdict == "complete"


class Slow:
    """A provider that takes a minute of the stack's time for each object."""

    def __init__(self, stack: Stack) -> None:
        self.inner, self.stack = stack.provider, stack

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def upload(self, chunks: Any, *, size: int, name: str, mime_type: str) -> ProviderFile:
        """Take a minute, then do it."""
        self.stack.advance(60)
        return self.inner.upload(chunks, size=size, name=name, mime_type=mime_type)


def test_uploads_that_outlast_a_function_go_on_in_new_messages(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with()
    stack = replace(stack, provider=Slow(stack))
    pictures = [put(stack, f"{n}.png") for n in range(80)]
    info = stack.upload("a.jsonl", jsonl(line(f"k{n}", uri) for n, uri in enumerate(pictures)))
    seen: list[int] = []

    def watched(job: Job) -> bool:
        seen.extend(len(shard.attached) for shard in stack.shards(job.job_id))
        return job.state.terminal and job.cleaned

    job = stack.run(info, until=watched)
    assert_accounted(stack, job)
    assert (job.counts.results, uploads(gemini)) == (80, 80 + 1)
    assert len([shard for shard in stack.shards(job.job_id) if shard.fence > 3]) == 1, "no message went on"
    assert left(stack) == []


def test_a_redo_uploads_again_what_its_lines_name(stack: Stack, gemini: GeminiEmulator) -> None:
    pictures = [put(stack, f"{n}.png") for n in range(3)]
    entries = [line(f"k{n}", uri) for n, uri in enumerate(pictures)]
    entries[1]["request"]["contents"][0]["parts"][1]["text"] += " [[emulate:error-once=13]]"
    job = stack.run(stack.upload("a.jsonl", jsonl(entries)))
    assert (job.counts.results, uploads(gemini)) == (3, (3 + 1) + (1 + 1))
    assert left(stack) == []


def test_files_that_would_end_before_their_batch_are_uploaded_again(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("create", status=429, times=1, retry_seconds=30 * 3600),))
    uri = put(stack, "a.png")
    job = stack.run(stack.upload("a.jsonl", jsonl([line("k", uri)])), rounds=5000)
    assert (job.counts.results, uploads(gemini)) == (1, 2 * (1 + 1))
    assert left(stack) == []


def test_an_object_that_vanishes_after_planning_fails_only_its_line(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("upload.start", status=503),))
    good, gone = put(stack, "a.png"), put(stack, "b.png")
    info = stack.upload("a.jsonl", jsonl([line("good", good), line("gone", gone)]))
    stack.run(info, until=lambda job: job.state == "RUNNING")
    stack.objects.delete("input", "b.png")
    gemini.faults = Faults()
    job = stack.run(info)
    assert_accounted(stack, job)
    [row] = stack.rows(job, "errors")
    assert (row["key"], row["code"], job.counts.results) == ("gone", "PROVIDER_INVALID_ARGUMENT", 1)
    assert left(stack) == []


def test_lines_answered_at_once_have_their_objects_too(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(job_deadline_hours=2)
    gemini.faults = Faults(hold_state="RUNNING")
    uri = put(stack, "a.png")
    info = stack.upload("a.jsonl", jsonl([line("k", uri)]), {"finish": "standard"})
    job = stack.run(info, rounds=2000)
    assert (job.counts.results, gemini.calls["generate"]) == (1, 1)
    assert left(stack) == []


def test_the_objects_of_a_cancelled_job_are_deleted(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = stack.upload("a.jsonl", jsonl([line("k", put(stack, "a.png"))]))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    assert len(gemini.files()) == 2
    stack.want(info, "cancel")
    job = stack.run(info)
    assert job.state == "CANCELLED"
    assert left(stack) == []


def test_shards_hold_no_more_objects_than_their_part_of_the_storage(stack_with: Make) -> None:
    stack = stack_with(shard_attached_bytes=3 * len(PICTURE))
    pictures = [put(stack, f"{n}.png") for n in range(7)]
    info = stack.upload("a.jsonl", jsonl(line(f"k{n}", uri) for n, uri in enumerate([*pictures[:2], *pictures])))
    job = stack.run(info)
    assert [shard.requests for shard in stack.shards(job.job_id)] == [5, 3, 1]
    sizes: Mapping[int, int] = {shard.requests: shard.attached_bytes for shard in stack.shards(job.job_id)}
    assert sizes == {5: 3 * len(PICTURE), 3: 3 * len(PICTURE), 1: len(PICTURE)}
