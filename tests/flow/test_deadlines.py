"""Nothing waits for ever: stuck batches, a job's own deadline, results that cannot be read, quota that is not there."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from batchdrop.core.errors import TransientError
from batchdrop.core.state.job import Job
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, jsonl, lines, wrapped

Make = Callable[..., Stack]
HANGS = Faults(hold_state="RUNNING", cancelled_keep_results=True, answered_share=0.0)


# --------------------------------------------------------------------------------------- stuck batches
def test_a_stuck_batch_is_cancelled_keeps_its_answers_and_the_rest_is_sent_in_halves(
    stack_with: Make, gemini: GeminiEmulator
) -> None:
    stack = stack_with(batch_deadline_hours=1)
    gemini.faults = Faults(hold_state="RUNNING", cancelled_keep_results=True, answered_share=0.5)
    info = stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(8))))
    stack.run(info, until=lambda _: bool(gemini.calls["cancel"]), rounds=5000)
    gemini.faults = Faults()
    job = stack.run(info, rounds=5000)
    assert_accounted(stack, job)
    assert job.counts.results == 8
    kinds = [shard.kind for shard in stack.shards(job.job_id)]
    assert sorted(kinds) == ["again", "again", "plan"]
    assert {row["round"] for row in stack.rows(job, "results")} == {0, 1}


def test_a_models_own_deadline_rules(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(batch_deadline_hours_by_model={"gemini-2.5-flash-lite": 0.5})
    gemini.faults = Faults(hold_state="PENDING")
    info = stack.upload("a.jsonl", lines("one"))
    job = stack.run(info, until=lambda _: bool(gemini.calls["cancel"]), rounds=5000)
    [shard] = stack.shards(job.job_id)
    assert shard.cancel_sent_at is not None
    assert shard.submitted_at is not None
    assert 1800 <= (shard.cancel_sent_at - shard.submitted_at).total_seconds() < 2400


# ------------------------------------------------------------------------------- the job's own deadline
def test_at_the_deadline_open_lines_are_reported_missing(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = HANGS
    job = stack.run(stack.upload("a.jsonl", lines("one", "two"), {"deadline": "2h"}), rounds=5000)
    assert [row["code"] for row in stack.rows(job, "errors")] == ["DEADLINE", "DEADLINE"]
    assert gemini.calls["generate"] == 0
    assert_accounted(stack, job)


def test_with_finish_standard_open_lines_are_answered_by_synchronous_calls(
    stack_with: Make, gemini: GeminiEmulator
) -> None:
    stack = stack_with(finish_requests=4, finish_concurrency=2)
    gemini.faults = HANGS
    upload = lines(*(f"t{n}" for n in range(10)), "refused [[emulate:error=3]]")
    info = stack.upload("a.jsonl", upload, {"deadline": "2h", "finish": "standard"})
    job = stack.run(info, rounds=5000)
    assert_accounted(stack, job)
    assert (job.counts.results, job.counts.errors) == (10, 1)
    assert [row["code"] for row in stack.rows(job, "errors")] == ["PROVIDER_INVALID_ARGUMENT"]
    assert gemini.calls["generate"] == 11
    assert sorted(shard.requests for shard in stack.shards(job.job_id) if shard.route == "standard") == [3, 4, 4]


def test_finishing_at_once_spends_no_more_than_max_cost(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(finish_requests=100, finish_concurrency=1)
    gemini.faults = HANGS
    upload = lines(*("word " * 2000 for _ in range(12)), maxOutputTokens=10)
    metadata = {"deadline": "2h", "finish": "standard", "max_cost": "0.0016"}
    job = stack.run(stack.upload("a.jsonl", upload, metadata), rounds=5000)
    assert_accounted(stack, job)
    assert 0 < gemini.calls["generate"] == job.counts.results < 12
    assert {row["code"] for row in stack.rows(job, "errors")} == {"OVER_MAX_COST"}
    assert Decimal(stack.manifest(job)["cost"]["amount"]) < 2 * Decimal("0.0016")


def test_a_redelivery_asks_no_synchronous_call_again(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(finish_requests=100, finish_concurrency=1)
    gemini.faults = Faults(
        hold_state="RUNNING", calls=(CallFault("generate", status=429, skip=5, times=2, retry_seconds=60),)
    )
    info = stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(9))), {"deadline": "1h", "finish": "standard"})
    job = stack.run(info, rounds=5000)
    assert_accounted(stack, job)
    assert job.counts.results == 9
    assert gemini.calls["generate"] == 9 + 2


def test_synchronous_calls_that_find_no_quota_become_error_rows(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(finish_concurrency=1)
    gemini.faults = Faults(hold_state="RUNNING", calls=(CallFault("generate", status=429),))
    job = stack.run(stack.upload("a.jsonl", lines("one"), {"deadline": "1h", "finish": "standard"}), rounds=5000)
    assert [row["code"] for row in stack.rows(job, "errors")] == ["PROVIDER_RESOURCE_EXHAUSTED"]
    assert_accounted(stack, job)


def test_a_cancelled_job_asks_nothing_more_at_once(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(finish_concurrency=1)
    refused = CallFault("generate", status=429, skip=1, times=1, retry_seconds=60)
    gemini.faults = Faults(hold_state="RUNNING", calls=(refused,))
    data = lines(*(f"t{number}" for number in range(12)))
    info = stack.upload("a.jsonl", data, {"deadline": "1h", "finish": "standard"})
    stack.run(info, until=lambda _: gemini.calls["generate"] >= 4, rounds=5000)
    asked = gemini.calls["generate"]
    stack.want(info, "cancel")
    job = stack.run(info, rounds=5000)
    assert gemini.calls["generate"] == asked
    assert (job.state, job.counts.results) == ("CANCELLED", asked - 1)
    assert {row["code"] for row in stack.rows(job, "errors")} == {"CANCELLED"}
    assert_accounted(stack, job)


def test_embeddings_are_finished_at_once_too(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = HANGS
    body = {"key": "e", "request": {"content": {"parts": [{"text": "hello"}]}}}
    metadata = {"deadline": "1h", "finish": "standard", "model": "gemini-embedding-001"}
    job = stack.run(stack.upload("a.jsonl", jsonl([body]), metadata), rounds=5000)
    [row] = stack.rows(job, "results")
    assert "embedding" in row["response"]


# -------------------------------------------------------------------------- results that cannot be read
def test_results_that_are_gone_are_asked_for_again_then_reported(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("download", status=404, times=1),))
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert job.counts.results == 2
    assert gemini.calls["create"] == 2
    gemini.faults = Faults(calls=(CallFault("download", status=404),))
    job = stack.run(stack.upload("b.jsonl", lines("one", "three")))
    assert {row["code"] for row in stack.rows(job, "errors")} == {"RESULTS_LOST"}
    assert_accounted(stack, job)


def test_results_that_can_never_be_read_do_not_hold_a_job_for_ever(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("download", status=403),))
    info = stack.upload("a.jsonl", lines("one"), {"deadline": "1h"})
    stack.run(info, until=lambda _: bool(gemini.calls["download"]))
    for _ in range(60):
        stack.advance(3600)
        stack.tick()
        stack.deliver()
    job = stack.run(info, rounds=5000)
    assert {row["code"] for row in stack.rows(job, "errors")} <= {"RESULTS_LOST", "DEADLINE"}
    assert_accounted(stack, job)


# ------------------------------------------------------------------------------------------- capacity
def test_a_shard_above_the_limit_learnt_from_a_refusal_is_split_in_the_queue(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(enqueued_tokens={"gemini-2.5-flash-lite": 60})
    job = stack.run(stack.upload("a.jsonl", lines(*("x" * 80 for _ in range(4)))), rounds=5000)
    assert_accounted(stack, job)
    assert job.counts.results == 4
    shards = stack.shards(job.job_id)
    assert any(shard.batch.state == "TOO_LARGE" and shard.state == "SPLIT" for shard in shards)
    assert max(shard.tokens for shard in shards if shard.state == "WRITTEN") <= 60


# ------------------------------------------------------------------------------------ what never heals
HOUR = 3600


class _Failing:
    """A port of which one method never works."""

    def __init__(self, port: Any, method: str) -> None:
        self._port = port
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._method else getattr(self._port, name)

    def _fail(self, *args: object, **options: object) -> None:  # noqa: ARG002
        raise TransientError("the bucket is out of reach", code="STORAGE_UNAVAILABLE")


def _hours(stack: Stack, info: ObjectInfo, count: int) -> Job | None:
    """Let hours go by, one after another, with a tick in each."""
    for _ in range(count):
        stack.advance(HOUR)
        stack.tick()
        stack.deliver()
    return stack.find_or_none(info)


def _gave_up(stack: Stack, job: Job | None) -> bool:
    assert job is not None
    if not job.state.terminal:
        return False
    assert job.failure is not None
    assert (job.state, job.failure.code) == ("FAILED", "OVERDUE")
    [(data, attributes)] = stack.completions()
    assert (attributes["state"], data["error"]["code"]) == ("FAILED", "OVERDUE")
    return True


def test_a_job_whose_snapshot_never_works_ends_after_its_deadline(stack_with: Make) -> None:
    stack = stack_with(job_deadline_hours=10)
    broken = wrapped(stack, objects=_Failing(stack.objects, "copy"))
    info = broken.upload("a.jsonl", lines("one"))
    assert not _gave_up(broken, _hours(broken, info, 11))
    assert _gave_up(broken, _hours(broken, info, 2))


def test_a_job_whose_planning_never_works_ends_after_its_deadline(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(job_deadline_hours=10)
    gemini.faults = Faults(calls=(CallFault("models.get", status=503),))
    info = stack.upload("a.jsonl", lines("one"))
    assert not _gave_up(stack, _hours(stack, info, 11))
    assert _gave_up(stack, _hours(stack, info, 2))


def test_a_job_whose_output_cannot_be_written_ends_when_everything_had_its_time(stack_with: Make) -> None:
    stack = stack_with(job_deadline_hours=10, results_hours=1)
    broken = wrapped(stack, objects=_FailingOutput(stack.objects))
    info = broken.upload("a.jsonl", lines("one"))
    assert not _gave_up(broken, _hours(broken, info, 34))
    assert _gave_up(broken, _hours(broken, info, 2))


class _FailingOutput(_Failing):
    """Objects that take nothing for the output bucket."""

    def __init__(self, port: Any) -> None:
        super().__init__(port, "")

    def copy(self, source: ObjectInfo, bucket: str, name: str, **options: Any) -> ObjectInfo:
        if bucket == "output":
            self._fail()
        found: ObjectInfo = self._port.copy(source, bucket, name, **options)
        return found


def test_a_job_whose_batch_can_never_be_looked_at_ends_and_so_does_its_shard(
    stack_with: Make, gemini: GeminiEmulator
) -> None:
    stack = stack_with(job_deadline_hours=10, results_hours=1)
    gemini.faults = Faults(running_seconds=60, calls=(CallFault("get", status=503),))
    info = stack.upload("a.jsonl", lines("one"))
    assert not _gave_up(stack, _hours(stack, info, 34))
    assert _gave_up(stack, _hours(stack, info, 2))
    gemini.faults = Faults()
    job = _hours(stack, info, 8)
    assert job is not None
    [shard] = stack.shards(job.job_id)
    assert shard.state.terminal
    assert stack.output(job) == {}


def test_the_time_a_job_was_held_is_no_part_of_its_deadline(stack: Stack) -> None:
    info = stack.upload("a.jsonl", lines("one"), {"max-cost": "0.000001", "deadline": "24h"})
    held = stack.run(info, until=lambda job: job.state == "HELD")
    job = _hours(stack, info, 96)
    assert job is not None
    assert job.state == "HELD"
    stack.want(info, "release")
    job = stack.run(info)
    assert (job.state, job.verdict, job.counts.results) == ("DONE", "complete", 1)
    moved = (job.deadline_at - held.deadline_at).total_seconds() / HOUR
    assert 95 < moved < 97
