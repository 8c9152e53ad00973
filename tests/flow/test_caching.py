"""Context caches in the flow: decided by the prices, used by the requests, counted in the ledger, never left behind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from batchdrop.core.money.costs import CACHE_KEPT, CACHE_MADE, Entry
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.names import cache_name
from batchdrop.ports import Cache
from batchdrop.steps.poll.report import entries_since
from batchdrop.steps.stack import stack_id
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator, RowFaults
from tests.harness import Row, Stack, assert_accounted, jsonl, request

Make = Callable[..., Stack]
SYSTEM = {"systemInstruction": {"parts": [{"text": "You sort tickets by their words. " * 2000}]}}
AUTO = {"cache_hours": 1.0}


def upload(count: int, **rest: Any) -> bytes:
    return jsonl({"key": f"k{n}", "request": request(f"ticket {n}") | SYSTEM | rest} for n in range(count))


def caches(stack: Stack) -> tuple[Cache, ...]:
    return stack.provider.list_caches().caches


def ledger(stack: Stack, job: Job) -> dict[str, Entry]:
    entries = entries_since(stack.context(CommonSettings), "2000-01-01")
    return {found.shard_id: found for found in entries if found.job_id == job.job_id}


def cached_tokens(rows: list[Row]) -> set[int]:
    return {int(row["usage"].get("cachedContentTokenCount", 0)) for row in rows}


def until_submitted(job: Job, stack: Stack) -> bool:
    return any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id))


def test_a_cache_that_pays_is_made_once_used_by_all_counted_and_deleted(stack_with: Make) -> None:
    stack = stack_with(**AUTO, shard_requests=40)
    job = stack.run(stack.upload("a.jsonl", upload(100)))
    assert_accounted(stack, job)
    assert (job.counts.results, stack.gemini.calls["caches.create"]) == (100, 1)
    said = stack.manifest(job)["cache"]
    assert (said["used"], said["reason"], said["requests"]) == (True, "PAYS", 100)
    assert cached_tokens(stack.rows(job, "results")) == {said["tokens"]} != {0}
    assert said["served_share"] > 0.99
    counted = said["tokens"] + 1  # countTokens asks for a part beside the instructions
    assert Decimal(said["spared"]) == Decimal(100 * counted) * Decimal("0.04") / 1_000_000
    assert caches(stack) == ()


def test_what_a_cache_costs_stands_in_the_ledger_once(stack_with: Make) -> None:
    stack = stack_with(**AUTO)
    stack.gemini.faults = Faults(running_seconds=7200)
    job = stack.run(stack.upload("a.jsonl", upload(100)))
    entry = ledger(stack, job)[f"{job.job_id}-cache"]
    tokens = entry.usage[CACHE_MADE]
    hours = Decimal(entry.usage[CACHE_KEPT]) / tokens
    assert Decimal("1.9") < hours < Decimal("2.2")
    assert job.caching is not None
    made = Decimal(tokens) * Decimal("0.1") / 1_000_000
    assert entry.amount is not None
    assert abs(entry.amount - made - tokens * hours / 1_000_000) < Decimal("0.000001")
    assert Decimal((job.cost or {})["amount"]) == sum(found.amount or 0 for found in ledger(stack, job).values())
    before = ledger(stack, job)
    stack.announce(stack.objects_info(job))
    stack.deliver()
    assert ledger(stack, job) == before


def test_a_cache_that_does_not_pay_is_not_made(stack_with: Make) -> None:
    stack = stack_with(**AUTO)
    job = stack.run(stack.upload("a.jsonl", upload(3)))
    said = stack.manifest(job)["cache"]
    assert (said["used"], said["reason"], said["served_share"]) == (False, "DOES_NOT_PAY", 0)
    assert Decimal(said["cost"]) > Decimal(said["spared"])
    assert stack.gemini.calls["caches.create"] == 0
    assert job.counts.results == 3


def test_a_required_cache_is_made_although_it_does_not_pay(stack_with: Make) -> None:
    stack = stack_with()
    job = stack.run(stack.upload("a.jsonl", upload(3), {"cache": "required"}))
    assert stack.manifest(job)["cache"]["reason"] == "REQUIRED"
    assert cached_tokens(stack.rows(job, "results")) != {0}


def test_a_job_that_requires_what_cannot_be_is_rejected_with_the_reason(stack_with: Make) -> None:
    stack = stack_with()
    data = jsonl({"request": request(f"t{n}")} for n in range(3))
    job = stack.run(stack.upload("a.jsonl", data, {"cache": "required"}))
    assert (job.state, job.failure and job.failure.code) == ("REJECTED", "CACHE_IMPOSSIBLE")
    assert "share" in (job.failure.message if job.failure else "")


def test_switched_off_it_is_off(stack_with: Make) -> None:
    stack = stack_with(**AUTO)
    job = stack.run(stack.upload("a.jsonl", upload(100), {"cache": "off"}))
    assert stack.manifest(job)["cache"]["reason"] == "OFF"
    assert cached_tokens(stack.rows(job, "results")) == {0}


def test_lines_that_begin_otherwise_are_sent_whole_beside_those_of_the_cache(stack_with: Make) -> None:
    stack = stack_with(**AUTO)
    other = jsonl({"key": f"o{n}", "request": request(f"alone {n}")} for n in range(5))
    job = stack.run(stack.upload("a.jsonl", upload(60) + other))
    rows = stack.rows(job, "results")
    assert stack.manifest(job)["cache"]["requests"] == 60
    assert cached_tokens(rows[:60]) != {0}
    assert cached_tokens(rows[60:]) == {0}


def test_a_running_jobs_cache_is_kept_alive_far_beyond_its_first_life(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(**AUTO, cache_seconds=1800)
    gemini.faults = Faults(running_seconds=3 * 3600)
    job = stack.run(stack.upload("a.jsonl", upload(100)))
    assert (job.verdict, gemini.calls["caches.create"]) == ("complete", 1)
    assert gemini.calls["caches.update"] >= 5


def test_lines_whose_cache_was_lost_are_answered_with_a_new_one(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(**AUTO)
    gemini.faults = Faults(running_seconds=600)
    info = stack.upload("a.jsonl", upload(100))
    job = stack.run(info, until=lambda job: until_submitted(job, stack))
    for cache in caches(stack):
        stack.provider.delete_cache(cache.name)
    job = stack.run(info)
    assert_accounted(stack, job)
    assert (job.counts.results, job.verdict) == (100, "complete")
    assert job.caching is not None
    assert [use.lost_at is None for use in job.caching.uses] == [False, True]
    assert {row["round"] for row in stack.rows(job, "results")} == {1}
    assert caches(stack) == ()


def test_a_cache_the_provider_refuses_is_done_without(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(**AUTO)
    gemini.faults = Faults(calls=(CallFault("caches.create", status=400),))
    job = stack.run(stack.upload("a.jsonl", upload(100)))
    assert (job.verdict, stack.manifest(job)["cache"]["reason"]) == ("complete", "REFUSED")
    assert cached_tokens(stack.rows(job, "results")) == {0}


def test_without_the_cache_it_requires_no_line_is_sent(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(**AUTO)
    gemini.faults = Faults(calls=(CallFault("caches.create", status=400),))
    job = stack.run(stack.upload("a.jsonl", upload(5), {"cache": "required"}))
    assert_accounted(stack, job)
    assert (job.counts.results, gemini.calls["create"]) == (0, 0)
    assert {row["code"] for row in stack.rows(job, "errors")} == {"PROVIDER_INVALID_ARGUMENT"}


def test_a_cache_whose_answer_was_lost_is_adopted_not_made_again(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with(**AUTO)
    gemini.faults = Faults(calls=(CallFault("caches.create", lose=True, times=1),))
    job = stack.run(stack.upload("a.jsonl", upload(100)))
    assert (job.verdict, gemini.calls["caches.create"]) == ("complete", 1)
    assert caches(stack) == ()


def test_the_sweep_deletes_caches_of_jobs_that_ended_and_leaves_those_of_others(stack_with: Make) -> None:
    stack = stack_with(**AUTO)
    job = stack.run(stack.upload("a.jsonl", upload(3)))
    context = stack.context(CommonSettings)
    made: dict[str, Any] = {
        "model": "gemini-2.5-flash-lite",
        "body": b'"contents":[{"parts":[{"text":"%b"}]}]' % (b"word " * 9000),
    }
    ours = stack.provider.create_cache(**made, display_name=cache_name(stack_id(context), job.job_id), ttl_seconds=9000)
    theirs = stack.provider.create_cache(**made, display_name="a person's", ttl_seconds=9000)
    stack.advance(1300)
    stack.tick()
    left = [cache.name for cache in caches(stack)]
    assert left == [theirs.name]
    assert ours.name not in left


def test_an_implicit_cache_is_said_too(stack_with: Make, gemini: GeminiEmulator) -> None:
    stack = stack_with()
    gemini.faults = Faults(rows=RowFaults(implicit_cache_rate=1.0))
    job = stack.run(stack.upload("a.jsonl", jsonl({"request": request("word " * 200)} for _ in range(4))))
    said = stack.manifest(job)["cache"]
    assert (said["used"], said["served_share"] > 0.5) == (False, True)


def test_redelivering_every_message_three_times_makes_one_cache_and_one_entry(stack_with: Make) -> None:
    stack = stack_with(**AUTO, shard_requests=50)
    handle = stack.handle

    def thrice(message: Any) -> Any:
        return [handle(message) for _ in range(3)][-1]

    stack.handle = thrice  # type: ignore[method-assign]
    job = stack.run(stack.upload("a.jsonl", upload(100)))
    assert_accounted(stack, job)
    entries = ledger(stack, job)
    assert (stack.gemini.calls["caches.create"], len(entries)) == (1, 3)
    assert Decimal((job.cost or {})["amount"]) == sum(found.amount or 0 for found in entries.values())
