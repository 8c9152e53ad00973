"""One directed test for each guard of the protocol: it fails when the guard is off (see `test_mutation`)."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.core.errors import LeaseLostError
from batchdrop.core.settings import PollSettings, SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.shard_state import ShardState
from batchdrop.ports import Topic
from batchdrop.steps.stack import stack_id
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, create_by_hand, lines, wrapped


class Jumping:
    """Records whose clock jumps once, right after an intent was written."""

    def __init__(self, inner: Any, stack: Stack, seconds: float) -> None:
        self._inner = inner
        self._stack = stack
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def replace(self, document: Any, *, index: Any, data: Any) -> Any:
        found = self._inner.replace(document, index=index, data=data)
        if index.get("state") == ShardState.CREATING.value and self._seconds:
            self._stack.clock.ahead += timedelta(seconds=self._seconds)
            self._seconds = 0
        return found


class Overtaken:
    """Records where others go on, once, right before a replacement."""

    def __init__(self, inner: Any, others: Callable[[], object]) -> None:
        self._inner = inner
        self._others = [others]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def replace(self, document: Any, *, index: Any, data: Any) -> Any:
        while self._others:
            self._others.pop()()
        return self._inner.replace(document, index=index, data=data)


class Dozing:
    """A provider whose caller is paused, once, when it has seen a list of batches."""

    def __init__(self, inner: Any, stack: Stack, seconds: float) -> None:
        self._inner = inner
        self._stack = stack
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def list_batches(self, token: str | None = None) -> Any:
        page = self._inner.list_batches(token)
        self._stack.advance(self._seconds)
        self._seconds = 0
        return page


def name_of(stack: Stack, job_id: str) -> str:
    return names.display_name(stack_id(stack.context(PollSettings)), names.shard_id(job_id, 0))


def creates(gemini: GeminiEmulator, display_name: str) -> int:
    return sum(batch["metadata"]["displayName"] == display_name for batch in gemini.batches())


def test_a_paused_worker_cannot_overwrite_its_successor(stack: Stack) -> None:
    info = stack.upload("a.jsonl", lines("one"))
    stack.receive_only(info)
    store = stack.context(SubmitSettings).store
    stored = store.job(stack.find_by(info).job_id)
    assert stored is not None
    states = {stored.value.state}
    paused = store.claim(stored, stack.clock.now(), 600, states)
    stack.advance(700)
    taken = store.claim(store.reload(paused), stack.clock.now(), 600, states)
    with pytest.raises(LeaseLostError):
        store.change(paused, lambda job: job.warned(stack.clock.now(), "paused"), fence=paused.value.fence)
    changed = store.change(taken, lambda job: job.warned(stack.clock.now(), "successor"), fence=taken.value.fence)
    assert changed.value.warnings == ("successor",)


def test_a_batch_that_appears_late_is_adopted_not_created_again(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(late_create_seconds=300, calls=(CallFault("create", lose=True, times=1),))
    job = stack.run(stack.upload("a.jsonl", lines("one")))
    assert_accounted(stack, job)
    assert gemini.calls["create"] == 1
    assert not gemini.stats()["duplicate_display_names"]


def test_a_listing_from_before_the_end_of_the_quarantine_proves_nothing(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(list_lag_seconds=200, calls=(CallFault("create", lose=True, times=1),))
    dozing = wrapped(stack, provider=Dozing(stack.provider, stack, 3600))
    job = dozing.run(dozing.upload("a.jsonl", lines("one")))
    assert_accounted(dozing, job)
    assert gemini.calls["create"] == 1


def test_a_create_is_not_sent_after_its_intents_deadline(
    stack: Stack, gemini: GeminiEmulator, log: io.StringIO
) -> None:
    slow = wrapped(stack, documents=Jumping(stack.documents, stack, 60))
    job = slow.run(slow.upload("a.jsonl", lines("one")))
    assert "INTENT_LATE" in log.getvalue()
    assert_accounted(slow, job)
    assert gemini.calls["create"] == 1


def test_a_lost_wake_is_sent_again_by_the_tick(stack: Stack) -> None:
    info = stack.upload("a.jsonl", lines("one"))
    stack.deliver_one()
    for topic in (Topic.SHARDS, Topic.BATCHES_FINISHED):
        lost = stack.topics.lease(topic, 600)
        while lost is None:
            stack.tick()
            lost = stack.topics.lease(topic, 600)
        stack.topics.ack(lost)
        stack.advance(130)
        stack.tick()
        again = stack.topics.lease(topic, 600)
        assert again is not None, f"a wake of {topic} was lost"
        assert again.data == lost.data
        assert stack.handle(again)[1] == 204
        stack.topics.ack(again)
    assert_accounted(stack, stack.run(info))


def test_a_job_that_ends_while_it_is_looked_at_is_not_due_again(stack: Stack, gemini: GeminiEmulator) -> None:
    """Else it would be woken for ever and never expire: found by seed 1781 of the simulation."""
    gemini.faults = Faults(running_seconds=300)
    info = stack.upload("a.jsonl", lines("one"))
    job_id = stack.run(info, until=lambda job: job.spawned).job_id
    stack.advance(700)
    overtaken = wrapped(stack, documents=Overtaken(stack.documents, lambda: stack.run(info)))
    overtaken.context(SubmitSettings).wake(Topic.BATCHES_FINISHED, job_id)
    wake = stack.topics.lease(Topic.BATCHES_FINISHED, 600)
    assert wake is not None
    assert overtaken.handle(wake)[1] == 204
    job = stack.find_by(info)
    assert job.cleaned
    assert job.due_at is None


def test_all_pages_of_the_list_are_read_before_a_create_is_repeated(stack: Stack, gemini: GeminiEmulator) -> None:
    lost = CallFault("create", lose=True, times=1)
    gemini.faults = Faults(running_seconds=7200, page_size=1, list_lag_seconds=60, calls=(lost,))
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda _: gemini.calls["create"] == 1)
    assert all(shard.state == "CREATING" for shard in stack.shards(stack.find_by(info).job_id)), (
        "seen before the others"
    )
    for number in range(3):
        create_by_hand(stack, f"somebody's {number}")
    ours = name_of(stack, stack.find_by(info).job_id)
    stack.advance(1500)
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    assert gemini.stats()["duplicate_display_names"] == [], "created again, behind pages that nobody read"
    gemini.faults = Faults()
    stack.advance(60)
    assert creates(gemini, ours) == 1


def test_a_failed_look_up_is_not_not_found(stack: Stack, gemini: GeminiEmulator) -> None:
    lost = CallFault("create", lose=True, times=1)
    gemini.faults = Faults(running_seconds=72_000, calls=(lost, CallFault("list", status=500)))
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda _: gemini.calls["create"] == 1)
    for _ in range(40):
        stack.advance(60)
        stack.tick()
        stack.deliver()
    assert gemini.calls["create"] == 1, "created again although nobody could look"
    gemini.faults = Faults(running_seconds=72_000)
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    assert creates(gemini, name_of(stack, stack.find_by(info).job_id)) == 1


def test_of_two_batches_the_oldest_is_adopted_and_the_other_cancelled_and_reported(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    first_look = CallFault("list", status=500, times=1)
    gemini.faults = Faults(running_seconds=600, calls=(CallFault("create", lose=True, times=1), first_look))
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda _: gemini.calls["create"] == 1)
    stack.advance(5)
    second = create_by_hand(stack, name_of(stack, stack.find_by(info).job_id))
    job = stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    [shard] = stack.shards(job.job_id)
    assert shard.batch.name != second
    assert shard.batch.duplicates == (second,)
    found = stack.provider.get(second)
    assert found is not None
    assert found.state == "CANCELLED"
    job = stack.run(info)
    assert [batch["duplicate_of"] for batch in stack.manifest(job)["batches"]] == [None, shard.batch.name]


def test_a_batch_that_is_not_shown_yet_is_waited_for_and_not_done_again(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(late_create_seconds=300)
    job = stack.run(stack.upload("a.jsonl", lines("one")))
    assert_accounted(stack, job)
    assert job.counts.results == 1
    assert gemini.calls["create"] == 1
