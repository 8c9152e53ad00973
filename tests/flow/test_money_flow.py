"""Money in the flow: estimates, gates, the ledger under redelivery, budgets, the report, and the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchdrop.core.money.budgets import Budget
from batchdrop.core.money.costs import Entry, as_json, savings
from batchdrop.core.settings import CommonSettings
from batchdrop.ports import Collection
from batchdrop.steps.poll.report import entries_since
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, jsonl, lines, make_stack

Make = Callable[..., Stack]


def ledger(stack: Stack) -> list[Entry]:
    return list(entries_since(stack.context(CommonSettings), "2000-01-01"))


def budget(stack: Stack) -> Budget:
    document = stack.documents.get(Collection.BUDGET, stack.clock.now().strftime("%Y-%m"))
    return Budget() if document is None else Budget.model_validate(document.data)


# -------------------------------------------------------------------------------------------- after
def test_a_job_says_what_it_cost_by_its_rows_usage(stack: Stack) -> None:
    job = stack.run(stack.upload("blue/a.jsonl", lines("one", "two", "three [[emulate:error=3]]")))
    rows = stack.rows(job, "results")
    tokens = [row["usage"] for row in rows]
    prompt = sum(int(usage["promptTokenCount"]) for usage in tokens)
    output = sum(int(usage.get("candidatesTokenCount", 0)) for usage in tokens)
    thoughts = sum(int(usage.get("thoughtsTokenCount", 0)) for usage in tokens)
    body = stack.manifest(job)
    amount = (prompt * Decimal("0.05") + (output + thoughts) * Decimal("0.2")) / 1_000_000
    assert Decimal(body["cost"]["amount"]) == amount
    assert Decimal(body["cost"]["standard"]) == 2 * amount
    assert body["tokens"]["input_text"] == prompt
    assert body["estimate"]["likely"] is not None
    [(data, _)] = stack.completions()
    assert data["cost"] == body["cost"]
    table = as_json(savings(ledger(stack), "team"), "team")
    assert [(row["team"], Decimal(row["amount"])) for row in table] == [("blue", amount)]


def test_tokens_that_the_provider_counted_are_estimated_as_they_are(stack: Stack) -> None:
    """What stands around a request at the provider has no tokens, however short the request is."""
    jobs = [stack.run(stack.upload(f"{n}.jsonl", lines("word " * n))) for n in (1, 200)]
    counted = [int(row["usage"]["promptTokenCount"]) for job in jobs for row in stack.rows(job, "results")]
    short, long = (Decimal(job.estimate["low"]) for job in jobs if job.estimate is not None)
    assert long - short == (counted[1] - counted[0]) * Decimal("0.05") / 1_000_000


def test_redelivering_every_message_three_times_changes_no_figure(stack_with: Make) -> None:
    stack = stack_with(budgets={"stack": Decimal(1000)})
    texts = ["one", "two [[emulate:error-once=13]]", "three [[emulate:truncate]]", "four"]
    data = lines(*texts, maxOutputTokens=50)
    once = stack.run(stack.upload("a.jsonl", data))
    first = [found.model_dump(mode="json") for found in ledger(stack)]
    handle = stack.handle

    def thrice(message: Any) -> Any:
        answers = [handle(message) for _ in range(3)]
        return answers[-1]

    stack.gemini.reset()
    stack.handle = thrice  # type: ignore[method-assign]
    again = stack.run(stack.upload("b.jsonl", data, {"again": "1"}))
    assert_accounted(stack, again)
    second = [found.model_dump(mode="json") for found in ledger(stack)][len(first) :]
    assert again.cost == once.cost
    for mine, other in zip(sorted(first, key=_order), sorted(second, key=_order), strict=True):
        assert {**mine, "shard_id": "", "job_id": ""} == {**other, "shard_id": "", "job_id": ""}
    assert budget(stack).holds == {}
    assert budget(stack).spent["stack"] == 2 * Decimal((once.cost or {})["amount"])


def _order(found: dict[str, Any]) -> str:
    return json.dumps({**found, "shard_id": "", "job_id": ""}, sort_keys=True)


def test_a_cancelled_job_pays_for_what_was_answered_and_flags_the_rest(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200, cancelled_keep_results=True, answered_share=0.5)
    info = stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(8))))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    stack.want(info, "cancel")
    job = stack.run(info)
    assert job.state == "CANCELLED"
    assert job.cost is not None
    assert Decimal(job.cost["amount"]) > 0
    assert job.cost["flags"] == ["WORK_UNSEEN"]


def test_synchronous_answers_cost_the_standard_rate(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(hold_state="RUNNING")
    info = stack.upload("a.jsonl", lines("one"), {"deadline": "1h", "finish": "standard"})
    job = stack.run(info, rounds=5000)
    assert job.cost is not None
    assert job.cost["amount"] == job.cost["standard"]
    assert Decimal(job.cost["redo"]) > 0


def test_a_model_without_a_price_has_no_amount_and_is_held_only_under_a_limit(tmp_path: Path) -> None:
    model = {"model": "gemini-of-tomorrow"}
    with GeminiEmulator(data_dir=tmp_path / "gemini", models=(model["model"],)) as gemini:
        stack = make_stack(tmp_path, gemini)
        job = stack.run(stack.upload("a.jsonl", lines("one"), model))
        assert job.cost is not None
        assert (job.state, job.cost["amount"], job.cost["reason"]) == ("DONE", None, "UNKNOWN_MODEL")
        assert stack.manifest(job)["cost"]["amount"] is None
        info = stack.upload("b.jsonl", lines("two"), {**model, "max-cost": "5"})
        job = stack.run(info, until=lambda job: job.state == "HELD")
        assert (job.failure.code if job.failure else "") == "COST_UNKNOWN"


def test_embeddings_are_priced_by_their_tokens(stack: Stack) -> None:
    body = {"key": "e", "request": {"content": {"parts": [{"text": "hello " * 50}]}}}
    job = stack.run(stack.upload("a.jsonl", jsonl([body]), {"model": "gemini-embedding-2"}))
    assert job.cost is not None
    assert Decimal(job.cost["amount"]) > 0


# -------------------------------------------------------------------------------------------- before
def test_tokens_are_counted_on_a_sample_and_guessed_when_that_fails(stack: Stack, gemini: GeminiEmulator) -> None:
    job = stack.run(stack.upload("a.jsonl", lines(*(f"text number {n}" for n in range(9)))))
    assert gemini.calls["count"] == 3
    assert job.estimate is not None
    assert Decimal(job.estimate["low"]) <= Decimal(job.estimate["likely"]) <= Decimal(job.estimate["high"])
    gemini.faults = Faults(calls=(CallFault("count", status=503),))
    job = stack.run(stack.upload("b.jsonl", lines("one")))
    assert (job.state, job.estimate is not None) == ("DONE", True)


def test_the_last_run_of_a_file_tells_what_answers_take(stack_with: Make) -> None:
    stack = stack_with(duplicate_days=0)
    first = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    second = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert first.estimate != second.estimate
    assert second.cost is not None
    assert second.estimate is not None
    off = Decimal(second.estimate["likely"]) / Decimal(second.cost["amount"])
    assert Decimal("0.5") < off < 2


# --------------------------------------------------------------------------------------------- gates
def test_a_job_over_its_max_cost_is_held_and_released_by_a_person(stack: Stack, gemini: GeminiEmulator) -> None:
    info = stack.upload("a.jsonl", lines("one", "two"), {"max-cost": "0.000001"})
    job = stack.run(info, until=lambda job: job.state == "HELD")
    assert job.failure is not None
    assert (job.failure.code, "0.000001" in job.failure.message) == ("OVER_MAX_COST", True)
    for _ in range(30):
        stack.advance(600)
        stack.tick()
        stack.deliver()
    assert gemini.calls["create"] == 0, "never started by accident"
    assert len(stack.find_by(info).plan.parts) == 1, "the record of a held job grows"
    assert [attributes["state"] for _, attributes in stack.completions()] == ["HELD"]
    stack.want(info, "release")
    job = stack.run(info)
    assert (job.state, job.counts.results) == ("DONE", 2)
    assert budget(stack).holds == {}


def test_a_held_job_nobody_releases_is_rejected_after_a_week(stack: Stack, gemini: GeminiEmulator) -> None:
    info = stack.upload("a.jsonl", lines("one"), {"max-cost": "0.000001"})
    stack.run(info, until=lambda job: job.state == "HELD")
    for _ in range(8):
        stack.advance(24 * 3600)
        stack.tick()
        stack.deliver()
    job = stack.run(info)
    assert (job.state, job.failure.code if job.failure else "") == ("REJECTED", "OVER_MAX_COST")
    assert gemini.calls["create"] == 0


def test_budgets_count_what_running_jobs_hold(stack_with: Make, gemini: GeminiEmulator) -> None:
    data = lines(*("word " * 400 for _ in range(4)), maxOutputTokens=200)
    gemini.faults = Faults(running_seconds=3600)
    stack = stack_with(budgets={"team:blue": Decimal("0.0004")})
    first = stack.upload("blue/a.jsonl", data)
    stack.run(first, until=lambda job: job.state == "RUNNING")
    assert budget(stack).committed("team:blue", "") > 0
    second = stack.upload("blue/b.jsonl", data.replace(b"word", b"verb"))
    job = stack.run(second, until=lambda job: job.state == "HELD")
    assert (job.failure.code if job.failure else "") == "OVER_BUDGET"
    other = stack.upload("red/c.jsonl", data)
    assert stack.run(other, until=lambda job: job.state in ("RUNNING", "DONE")).state != "HELD"


def test_a_budget_keeps_the_scopes_that_have_one_and_no_others(stack_with: Make) -> None:
    stack = stack_with(budgets={"team:blue": Decimal(1)})
    stack.run(stack.upload("red/a.jsonl", lines("one"), {"label-request": "1"}))
    assert stack.documents.get(Collection.BUDGET, stack.clock.now().strftime("%Y-%m")) is None
    stack.run(stack.upload("blue/a.jsonl", lines("one"), {"label-request": "2"}))
    assert set(budget(stack).spent) == {"team:blue"}


# --------------------------------------------------------------------------------------------- the report
def test_the_poller_writes_the_report_once_a_day(stack: Stack) -> None:
    stack.to_noon()
    stack.run(stack.upload("blue/a.jsonl", lines("one")))
    stack.advance(86_400)
    stack.tick()
    body = b"".join(stack.objects.read("output", "_batchdrop/savings.html")).decode()
    assert "blue" in body
    first = stack.objects.stat("output", "_batchdrop/savings.html")
    stack.advance(700)
    stack.tick()
    assert stack.objects.stat("output", "_batchdrop/savings.html") == first
    stack.advance(86_400)
    stack.tick()
    again = stack.objects.stat("output", "_batchdrop/savings.html")
    assert first is not None
    assert again is not None
    assert again.generation > first.generation
