"""A stack that starts alone: what the dead one had leased is worked on at once, not when the lease would have ended."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchdrop.adapters.local.sqlite_topics import Leased, SqliteTopics
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard_state import ShardState
from batchdrop.ports import Collection, Query, Topic
from batchdrop.steps.take_over import take_over
from batchdrop.store import Store
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.fault.killing import CLOCK, NO_FAULTS, Crash, KillableStack, Scenario, Trap, begin, check, killable, run
from tests.harness import Stack, lines

REDO = Scenario("redo round", lines("one", "two [[emulate:error-once=13]]", "three [[emulate:missing-once]]"))
SEED = 20261125
SAMPLE = 60
SOON_SECONDS = 300.0
"""Half a lease; an undisturbed run takes less too."""


class StartedAgain(KillableStack):
    """A stack whose one process dies with a crash, with all its workers, and is started again at once."""

    in_doubt: bool = False
    """A create may be under way: only the provider's list and the quarantine can tell."""

    def handle(self, message: Leased) -> tuple[str, int]:
        """Handle a message; after a crash start again."""
        try:
            return Stack.handle(self, message)
        except Crash:
            self.start_again()
            return "", 0

    def tick(self) -> None:
        """Tick; after a crash start again."""
        try:
            Stack.tick(self)
        except Crash:
            self.start_again()

    def start_again(self) -> None:
        """Do what the embedded stack does before it serves."""
        with self.at_peace():
            creating = Query(Collection.SHARD, equal=(("state", ShardState.CREATING.value),), limit=1)
            self.in_doubt = self.in_doubt or bool(self.documents.query(creating))
            take_over(self.context(CommonSettings))
            assert isinstance(self.topics, SqliteTopics)
            self.topics.hand_back()


def points(emulator: GeminiEmulator) -> Iterator[tuple[int, str]]:
    """Yield a seeded sample of the places where a process can die."""
    with tempfile.TemporaryDirectory() as folder:
        trap, _ = run(REDO, emulator, Path(folder), frozenset())
    found = trap.points_after(0)
    yield from sorted(random.Random(SEED).sample(found, min(SAMPLE, len(found))))


def test_after_a_crash_anywhere_a_start_goes_on_at_once(emulator: GeminiEmulator) -> None:
    doubtful = 0
    for point in points(emulator):
        with tempfile.TemporaryDirectory() as folder:
            stack = killable(emulator, Path(folder), Trap(frozenset({point})), NO_FAULTS, {}, StartedAgain)
            info = begin(stack, REDO)
            before = CLOCK.ahead
            job = stack.run(info, rounds=5000)
            seconds = (CLOCK.ahead - before).total_seconds()
            check(stack, job, REDO)
        doubtful += stack.in_doubt
        assert seconds < SOON_SECONDS or stack.in_doubt, f"{point}: {seconds:.0f} s"
    assert doubtful < SAMPLE / 3


def test_leases_are_let_go_under_a_new_fence_and_what_is_free_stays_as_it_was(stack: Stack) -> None:
    first = stack.upload("a.jsonl", lines("one"))
    second = stack.upload("b.jsonl", lines("two"))
    for info in (first, second):
        stack.receive_only(info)
    context = stack.context(CommonSettings)
    store: Store = context.store
    held, free = (store.job(stack.find_by(info).job_id) for info in (first, second))
    assert held is not None
    assert free is not None
    held = store.claim(held, stack.clock.now(), 600, {held.value.state})
    assert take_over(context) == 1
    after: Job = store.reload(held).value
    assert (after.lease_until, after.fence, after.claims) == (None, held.value.fence + 1, held.value.claims)
    assert after.due_at is not None
    assert after.due_at <= stack.clock.now()
    assert store.reload(free).document.version == free.document.version
    assert take_over(context) == 0


@pytest.mark.embedded_only("Pub/Sub delivers again by itself when its deadline ends; only one process can know better")
def test_messages_of_a_dead_consumer_are_delivered_again_at_once(stack: Stack) -> None:
    assert isinstance(stack.topics, SqliteTopics)
    stack.upload("a.jsonl", lines("one"))
    message = stack.topics.lease(Topic.UPLOADS, 600)
    assert message is not None
    assert stack.topics.lease(Topic.UPLOADS, 600) is None
    assert stack.topics.hand_back() == 1
    again = stack.topics.lease(Topic.UPLOADS, 600)
    assert again is not None
    assert (again.id, again.attempt) == (message.id, 2)
