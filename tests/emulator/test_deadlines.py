"""Nothing waits for ever: stuck batches, a job's own deadline, results that cannot be read, quota that is not there."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from infra.local.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, jsonl, lines

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
    assert sorted(shard.requests for shard in stack.shards(job.job_id) if shard.kind == "standard") == [3, 4, 4]


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
