"""Uploads on Vertex AI: the same rows as Gemini's, whatever the service leaves out, exports late or does not finish."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from batchdrop.core.state.job import Job
from batchdrop_local.emulators.gemini import CallFault, RowFaults
from batchdrop_local.emulators.vertex import Faults, VertexEmulator
from tests.harness import Row, Stack, assert_accounted, jsonl, lines, request
from tests.vertex import on_vertex

OWN: Final = ("usage", "response", "model")
"""Columns in which services may differ for the same answers."""


@pytest.fixture
def both(stack: Stack, tmp_path: Path) -> Generator[tuple[Stack, VertexEmulator]]:
    with on_vertex(stack, tmp_path) as found:
        yield found


@pytest.fixture
def service(both: tuple[Stack, VertexEmulator]) -> VertexEmulator:
    """Vertex AI."""
    return both[1]


@pytest.fixture
def vertex(both: tuple[Stack, VertexEmulator]) -> Stack:
    """A stack on it."""
    return both[0]


def run(stack: Stack, data: bytes, **metadata: str) -> Job:
    job = stack.run(stack.upload("team/a.jsonl", data, metadata))
    assert_accounted(stack, job)
    return job


def many(count: int) -> bytes:
    return lines(*(f"text {number}" for number in range(count)))


def comparable(stack: Stack, job: Job) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in OWN} for row in stack.rows(job)]


MARKED = lines(
    "one",
    "two [[emulate:block]]",
    "three [[emulate:error=3]]",
    "four [[emulate:error-once=13]]",
    "five [[emulate:missing]]",
    "six [[emulate:empty]]",
    "seven [[emulate:duplicate]]",
    'eight "quoted"\\u00e9 \u2028 \U0001f600',
    maxOutputTokens=200,
)


def test_rows_are_those_of_gemini_but_for_usage_response_and_model(stack: Stack, vertex: Stack) -> None:
    by_gemini = stack.run(stack.upload("other/a.jsonl", MARKED))
    by_vertex = run(vertex, MARKED)
    assert comparable(vertex, by_vertex) == comparable(stack, by_gemini)
    assert by_vertex.provider == "vertex_ai"
    assert (by_vertex.verdict, by_gemini.verdict) == ("partial", "partial")


@pytest.mark.parametrize("objects", [1, 5])
@pytest.mark.embedded_only
def test_rows_without_ids_are_joined_by_the_request_they_echo(
    vertex: Stack, service: VertexEmulator, objects: int
) -> None:
    marked = MARKED.replace(b"error-once=13", b"error=5")
    with_ids = run(vertex, marked)
    expected = comparable(vertex, with_ids)
    service.faults = Faults(echo_keys=False, reversed_rows=True, output_objects=objects)
    without = vertex.run(vertex.upload("other/a.jsonl", marked, {"again": "1"}))
    assert comparable(vertex, without) == expected


@pytest.mark.embedded_only
def test_equal_requests_without_ids_have_a_row_each(vertex: Stack, service: VertexEmulator) -> None:
    service.faults = Faults(echo_keys=False)
    job = run(vertex, lines("same", "other", "same", "same"))
    assert (job.verdict, job.counts.results, service.calls["create"]) == ("complete", 4, 1)
    texts = [row["text"] for row in vertex.rows(job, "results")]
    assert texts[0] == texts[2] == texts[3] != texts[1]


@pytest.mark.embedded_only
def test_a_normalised_echo_is_the_same_request(vertex: Stack, service: VertexEmulator) -> None:
    service.faults = Faults(echo_keys=False)
    snake: Row = {
        "contents": [{"role": "user", "parts": [{"text": "one"}], "unused": None}],
        "system_instruction": {"parts": [{"text": "be brief"}]},
        "generation_config": {"max_output_tokens": 300, "temperature": 0.0},
    }
    del snake["contents"][0]["unused"]
    job = run(vertex, jsonl([{"key": "a", "request": snake}, {"key": "b", "request": request("two")}]))
    assert (job.verdict, job.counts.results, service.calls["create"]) == ("complete", 2, 1)


@pytest.mark.embedded_only
def test_rows_that_come_after_the_end_are_waited_for(vertex: Stack, service: VertexEmulator) -> None:
    service.faults = Faults(output_objects=2, late_seconds=45)
    job = run(vertex, many(20))
    assert (job.verdict, job.counts.results) == ("complete", 20)
    assert service.calls["create"] == 1, "what was only late was paid again"


@pytest.mark.embedded_only
def test_rows_of_a_running_job_are_never_written(vertex: Stack, service: VertexEmulator) -> None:
    service.faults = Faults(running_seconds=3600, running_share=0.5)
    job = run(vertex, many(20))
    assert (job.verdict, job.counts.results, service.calls["create"]) == ("complete", 20, 1)


@pytest.mark.embedded_only
@pytest.mark.parametrize("word", ["CANCELLED", "EXPIRED", "FAILED"])
def test_rows_of_a_job_that_did_not_succeed_are_read_and_the_rest_is_redone(
    vertex: Stack, service: VertexEmulator, word: str
) -> None:
    service.faults = Faults(end_state=word, answered_share=0.5, running_seconds=100)
    info = vertex.upload("team/a.jsonl", many(40))
    vertex.run(info, until=lambda _: service.calls["create"] == 1)
    service.faults = Faults()
    job = vertex.run(info)
    assert_accounted(vertex, job)
    assert (job.verdict, job.counts.results) == ("complete", 40)
    assert 40 < service.stats()["requests"] < 80, "what was answered was not sent again"


@pytest.mark.embedded_only
def test_failed_rows_are_those_with_a_status_text_though_the_job_succeeded(
    vertex: Stack, service: VertexEmulator
) -> None:
    service.faults = Faults(rows=RowFaults(error_rate=1.0, error_codes=(3,)))
    job = run(vertex, lines("one", "two"))
    assert [row["code"] for row in vertex.rows(job, "errors")] == ["PROVIDER_INVALID_ARGUMENT"] * 2
    assert service.calls["create"] == 1, "a request that is wrong is not sent again"


@pytest.mark.embedded_only
def test_a_lost_create_is_found_and_adopted(vertex: Stack, service: VertexEmulator) -> None:
    service.faults = Faults(calls=(CallFault("create", times=1, lose=True),))
    job = run(vertex, lines("one", "two"))
    assert (job.verdict, service.calls["create"]) == ("complete", 1)


@pytest.mark.embedded_only
def test_jobs_of_others_under_the_same_project_are_not_ours(vertex: Stack, service: VertexEmulator) -> None:
    service.faults = Faults(calls=(CallFault("create", times=1, drop=True),))
    job = run(vertex, lines("one"))
    assert (job.verdict, service.calls["create"]) == ("complete", 2), "what was never made is made after the quarantine"


@pytest.mark.embedded_only
def test_a_job_for_which_nothing_was_ready_goes_again(vertex: Stack, service: VertexEmulator) -> None:
    service.faults = Faults(end_state="FAILED", fail_code=9, answered_share=0.0, counts=False)
    info = vertex.upload("team/a.jsonl", lines("one"))
    vertex.run(info, until=lambda _: service.calls["create"] == 1)
    service.faults = Faults()
    job = vertex.run(info)
    assert job.verdict == "complete"
    assert [shard.round for shard in vertex.shards(job.job_id)] == [0], "it was never asked"


@pytest.mark.embedded_only
@pytest.mark.parametrize("status", [429, 503, 403])
def test_a_create_that_was_refused_for_now_is_sent_again(vertex: Stack, service: VertexEmulator, status: int) -> None:
    service.faults = Faults(calls=(CallFault("create", times=1, status=status),))
    job = run(vertex, lines("one"))
    assert (job.verdict, service.stats()["duplicate_display_names"]) == ("complete", [])


@pytest.mark.embedded_only
def test_the_objects_requests_name_go_out_as_they_are(vertex: Stack, service: VertexEmulator) -> None:
    with vertex.objects.create("input", "team/a.png") as writer:
        writer.write(b"a picture")
        writer.close()
    part = {"fileData": {"fileUri": "gs://input/team/a.png", "mimeType": "image/png"}}
    foreign = {"fileData": {"fileUri": "gs://payroll/a.png", "mimeType": "image/png"}}

    def asking(part: Row) -> Row:
        return {"contents": [{"role": "user", "parts": [part, {"text": "what is it?"}]}]}

    job = run(vertex, jsonl([{"key": "a", "request": asking(part)}, {"key": "b", "request": asking(foreign)}]))
    assert [row["key"] for row in vertex.rows(job, "results")] == ["a"]
    assert [row["code"] for row in vertex.rows(job, "rejections")] == ["ATTACHMENT_FORBIDDEN"]


@pytest.mark.embedded_only
def test_nothing_is_left_in_the_work_bucket(vertex: Stack) -> None:
    run(vertex, lines("one"))
    assert vertex.objects.list("work").objects == ()


@pytest.mark.embedded_only
def test_embeddings_are_refused_before_anything_is_paid(vertex: Stack, service: VertexEmulator) -> None:
    data = jsonl([{"key": "a", "request": {"content": {"parts": [{"text": "one"}]}}}])
    info = vertex.upload("team/a.jsonl", data, {"model": "gemini-embedding-001"})
    job = vertex.run(info)
    assert (job.state, service.calls["create"]) == ("REJECTED", 0)


def labels_of(service: VertexEmulator) -> dict[str, Any]:
    found: dict[str, Any] = service.made()[0]["labels"]
    return found


@pytest.mark.embedded_only
def test_jobs_carry_the_labels_they_are_found_by(vertex: Stack, service: VertexEmulator) -> None:
    job = run(vertex, lines("one"))
    [shard] = vertex.shards(job.job_id)
    found = labels_of(service)
    assert found["batchdrop_shard"] == shard.shard_id
    assert found["batchdrop_attempt"] == "1"
    assert json.dumps(vertex.manifest(job)["batches"]).count("batchPredictionJobs") == 1
