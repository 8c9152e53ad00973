"""Sweeps: lost events, batches paid twice, files and reservations nobody holds."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from batchdrop.core.settings import PollSettings
from batchdrop.core.state import names
from batchdrop.core.state.capacity import Ledger, Reservation, account_of, admitted, pool_of
from batchdrop.ports import Collection
from batchdrop.steps.dispatch import change_ledger, read_ledger
from batchdrop.steps.stack import stack_id
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, create_by_hand, lines

Make = Callable[..., Stack]


def lost_upload(stack: Stack, name: str = "a.jsonl") -> object:
    """Put an object whose event never comes."""
    stack.tick()
    with stack.objects.create("input", name) as writer:
        writer.write(lines(f"one of {name}"))
        return writer.close()


def test_an_upload_whose_event_was_lost_is_found(stack: Stack) -> None:
    info = lost_upload(stack)
    stack.deliver()
    assert stack.context_store_is_empty()
    stack.advance(1300)
    job = stack.run(info)  # type: ignore[arg-type]
    assert (job.state, job.counts.results) == ("DONE", 1)


def test_a_young_object_is_left_to_its_event(stack: Stack) -> None:
    lost_upload(stack)
    stack.advance(300)
    stack.tick()
    stack.deliver()
    assert stack.context_store_is_empty()


def test_objects_from_before_the_stack_are_none_of_its_business(stack: Stack) -> None:
    with stack.objects.create("input", "old.jsonl") as writer:
        writer.write(lines("one"))
        writer.close()
    for _ in range(4):
        stack.advance(1300)
        stack.tick()
        stack.deliver()
    assert stack.context_store_is_empty()


def test_many_pages_are_swept_over_several_ticks(stack_with: Make) -> None:
    stack = stack_with(sweep_pages=1, sweep_seconds=1)
    infos = [lost_upload(stack, f"{number}.jsonl") for number in range(3)]
    stack.advance(1300)
    for info in infos:
        assert stack.run(info).state == "DONE"  # type: ignore[arg-type]


def test_a_second_batch_of_a_shard_is_cancelled_and_reported(
    stack: Stack, gemini: GeminiEmulator, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    [shard] = stack.shards(stack.find_by(info).job_id)
    name = names.display_name(stack_id(stack.context(PollSettings)), shard.shard_id)
    second = create_by_hand(stack, name, shard.file)
    stack.advance(3000)
    stack.tick()
    found = stack.provider.get(second)
    assert found is not None
    assert found.state == "CANCELLED"
    adopted = stack.provider.get(shard.batch.name)
    assert adopted is not None
    assert adopted.state == "RUNNING"
    assert "orphan batch found" in log.getvalue()
    job = stack.run(info)
    assert_accounted(stack, job)
    [_, duplicate] = stack.manifest(job)["batches"]
    assert (duplicate["name"], duplicate["duplicate_of"]) == (second, shard.batch.name)


def test_batches_of_others_are_never_touched(stack: Stack, gemini: GeminiEmulator, log: io.StringIO) -> None:
    gemini.faults = Faults(running_seconds=72000)
    data = lines("one")
    stack.tick()
    ours = names.display_name(stack_id(stack.context(PollSettings)), names.shard_id("0" * 32, 1))
    theirs = names.display_name("otherstack", names.shard_id("0" * 32, 1))
    for name in (ours, theirs, "my own batch"):
        file = stack.provider.stage([data], size=len(data), name=name).reference
        create_by_hand(stack, name, file)
    stack.advance(5000)
    stack.tick()
    assert {batch["metadata"]["state"] for batch in gemini.batches()} == {"BATCH_STATE_RUNNING"}
    assert log.getvalue().count("batch of an unknown shard") == 1
    assert len(gemini.files()) == 2


def test_a_leaked_reservation_is_released(stack: Stack) -> None:
    context = stack.context(PollSettings)
    ledgers = (account_of("gemini"), pool_of("gemini", "m"))
    for name in ledgers:
        change_ledger(
            context,
            name,
            lambda ledger: admitted(
                ledger, "gone-00001", Reservation(tokens=5), datetime.now(UTC), tokens=9, bytes=9, count=9
            ),
        )
    stack.tick()
    for name in ledgers:
        assert read_ledger(context, name).entries == {}


def test_reservations_end_with_their_batches(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one", "two [[emulate:error-once=13]]")))
    context = stack.context(PollSettings)
    assert read_ledger(context, pool_of(job.provider, job.model)).entries == {}
    assert read_ledger(context, account_of("gemini")).entries == {}


def test_a_cancelled_batch_goes_on_counting_for_a_while(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(end_state="CANCELLED")
    job = stack.run(stack.upload("a.jsonl", lines("one")))
    held = read_ledger(stack.context(PollSettings), pool_of(job.provider, job.model))
    assert held.tokens() > 0
    assert all(entry.until is not None for entry in held.entries.values())
    assert read_ledger(stack.context(PollSettings), account_of("gemini")).entries == {}


def test_a_429_holds_the_model_off_and_the_shard_waits_with_its_file(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("create", status=429, times=2, retry_seconds=120),))
    info = stack.upload("a.jsonl", lines("one"))
    stack.deliver()
    [shard] = stack.shards(stack.find_by(info).job_id)
    assert (shard.state, shard.file is not None, shard.claims) == ("QUEUED", True, 0)
    before = stack.clock.now()
    job = stack.run(info)
    assert job.counts.results == 1
    assert stack.clock.now() - before > timedelta(seconds=240)
    assert gemini.calls["create"] == 3
    assert gemini.calls["upload.start"] == 1


def test_a_small_job_is_served_between_the_shards_of_a_large_one(stack_with: Make, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=30)
    stack = stack_with(shard_requests=2, max_batches=1)
    large = stack.upload("big/a.jsonl", lines(*(f"t{n}" for n in range(20))))
    stack.deliver()
    small = stack.upload("big/b.jsonl", lines("one"))
    done = stack.run(small)
    unfinished = [shard for shard in stack.shards(stack.find_by(large).job_id) if shard.state == "QUEUED"]
    assert done.state == "DONE"
    assert len(unfinished) >= 6


def test_teams_take_turns(stack_with: Make, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=30)
    stack = stack_with(shard_requests=2, max_batches=2)
    first = stack.upload("red/a.jsonl", lines(*(f"t{n}" for n in range(20))))
    stack.deliver()
    second = stack.upload("blue/b.jsonl", lines(*(f"t{n}" for n in range(6))))
    assert stack.run(second).state == "DONE"
    open_ = [shard for shard in stack.shards(stack.find_by(first).job_id) if not shard.state.terminal]
    assert len(open_) >= 4


def test_priority_goes_before_age_inside_a_team(stack_with: Make, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=30)
    stack = stack_with(shard_requests=2, max_batches=1)
    first = stack.upload("red/a.jsonl", lines(*(f"t{n}" for n in range(8))))
    stack.deliver()
    urgent = stack.upload("red/b.jsonl", lines("one", "two", "three"), {"priority": "5"})
    assert stack.run(urgent).state == "DONE"
    assert sum(shard.state == "QUEUED" for shard in stack.shards(stack.find_by(first).job_id)) >= 2


def test_no_more_than_the_allowed_batches_run_at_once(stack_with: Make, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=30, max_batches=2)
    stack = stack_with(shard_requests=2, max_batches=2)
    job = stack.run(stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(20)))))
    assert job.counts.results == 20
    assert gemini.calls["create"] == 10


def test_tokens_in_flight_stay_under_the_models_limit(stack_with: Make, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=30)
    stack = stack_with(shard_requests=2, enqueued_tokens={"gemini-2.5-flash-lite": 60}, shard_tokens=30)
    info = stack.upload("a.jsonl", lines(*("word " * 16 for _ in range(10))))
    most = 0
    for _ in range(300):
        stack.deliver()
        ledger: Ledger = read_ledger(stack.context(PollSettings), pool_of("gemini", "gemini-2.5-flash-lite"))
        most = max(most, ledger.tokens())
        job = stack.find_by(info)
        if job.state.terminal:
            break
        stack.tick()
        stack.advance(5)
    assert stack.run(info).counts.results == 10
    assert 0 < most <= 60


def test_a_deadline_in_the_uploads_metadata_ends_the_job(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(hold_state="RUNNING")
    job = stack.run(stack.upload("a.jsonl", lines("one", "two"), {"deadline": "2h"}), rounds=2000)
    assert [row["code"] for row in stack.rows(job, "errors")] == ["DEADLINE", "DEADLINE"]
    assert_accounted(stack, job)
    assert job.ended_at is not None
    assert job.ended_at - job.created_at < timedelta(hours=3)


def test_a_model_that_is_held_off_for_ever_ends_at_the_deadline(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("create", status=429, retry_seconds=600),))
    job = stack.run(stack.upload("a.jsonl", lines("one"), {"deadline": "1h"}), rounds=2000)
    assert [row["code"] for row in stack.rows(job, "errors")] == ["DEADLINE"]


def test_all_collections_are_declared() -> None:
    assert {kind.value for kind in Collection} == {
        "batches",
        "jobs",
        "shards",
        "capacity",
        "budgets",
        "costs",
        "identities",
        "meta",
    }


def test_work_objects_of_an_ended_job_are_deleted_and_those_of_a_running_one_kept(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    ended = stack.run(stack.upload("a.jsonl", lines("one")))
    gemini.faults = Faults(running_seconds=100_000)
    stack.run(stack.upload("b.jsonl", lines("two")), until=lambda job: job.spawned)
    running = len(stack.objects.list("work").objects)
    with stack.objects.create("work", f"{ended.job_id}/rows/late") as writer:
        writer.close()
    for _ in range(4):
        stack.advance(1300)
        stack.tick()
    assert running == len(stack.objects.list("work").objects) > 0


def test_a_refusal_costs_a_lone_upload_the_hold_off_and_not_hours(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("create", status=429, retry_seconds=60, times=2),))
    job = stack.run(stack.upload("a.jsonl", lines("word " * 1000)))
    assert job.ended_at is not None
    assert job.ended_at - job.created_at < timedelta(minutes=10)
