"""Progress: what a step keeps, how it gives a document back, and who takes the next step."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.core.clock import TimeLeft
from batchdrop.core.errors import LeaseLostError
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import JobState
from batchdrop.core.state.messages import Wake
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.ports import Topic
from batchdrop.steps.context import Context
from batchdrop.steps.next import topic_of, wake
from batchdrop.steps.progress import RETRY_SECONDS, go_on_later, hand_back, keep
from batchdrop.store import Store, Stored
from tests.unit.test_lease import NOW, job, shard

JOB_ID, SHARD_ID = "f" * 32, "f" * 32 + "-00000"


@dataclass
class Still:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    def pause(self, least: float, most: float) -> None:
        """Nothing waits."""


@dataclass
class Told:
    """Topics that remember what was published."""

    messages: list[tuple[Topic, bytes]] = field(default_factory=list[tuple[Topic, bytes]])

    def publish(self, topic: Topic, data: bytes) -> None:
        self.messages.append((topic, data))


@pytest.fixture
def told() -> Told:
    """What was published."""
    return Told()


@pytest.fixture
def context(told: Told) -> Context[CommonSettings]:
    """A context on records in memory, without objects and provider: progress needs neither."""
    clock, none = Still(), cast("Any", None)
    store = Store(SqliteDocuments(":memory:"), clock.pause)
    return Context(none, none, store, cast("Any", told), none, clock, TimeLeft(clock, 0, 1))


def claimed(context: Context[CommonSettings], state: str = "WRITING") -> Stored[Shard]:
    value = shard(shard_id=SHARD_ID, job_id=JOB_ID, state=state)
    return context.store.claim(context.store.add(value), NOW, 600, {ShardState(state)})


def test_what_is_handed_back_is_due_later_and_owned_by_nobody(context: Context[CommonSettings], told: Told) -> None:
    hand_back(context, claimed(context), "WHY")
    value = context.store.shard(SHARD_ID)
    assert value is not None
    assert (value.value.lease_until, value.value.claims) == (None, 0)
    assert value.value.due_at == NOW + timedelta(seconds=RETRY_SECONDS)
    assert told.messages == [], "the tick wakes it"


def test_what_the_step_kept_before_it_failed_is_kept(context: Context[CommonSettings]) -> None:
    stored = claimed(context)
    keep(context, stored, lambda shard: shard.answered(NOW, "group 1"))
    hand_back(context, stored, "WHY", last=lambda shard: shard.with_results_lost(NOW, "LOST"))
    value = context.store.reload(stored).value
    assert (value.answers, value.results_lost, value.lease_until) == (("group 1",), "LOST", None)


def test_what_was_handed_back_already_stays_due_when_it_said(context: Context[CommonSettings]) -> None:
    stored = claimed(context)
    go_on_later(context, stored, seconds=7)
    hand_back(context, stored, "WHY", seconds=99, last=lambda shard: shard.with_results_lost(NOW, "LOST"))
    value = context.store.reload(stored).value
    assert (value.due_at, value.results_lost) == (NOW + timedelta(seconds=7), "")


@pytest.mark.parametrize("step", [hand_back, keep, go_on_later])
def test_a_step_that_lost_its_lease_changes_nothing(context: Context[CommonSettings], step: Any) -> None:
    stored = claimed(context)
    late = NOW + timedelta(seconds=700)
    successor = context.store.claim(context.store.reload(stored), late, 600, {ShardState.WRITING})
    arguments: dict[Any, list[Any]] = {hand_back: ["WHY"], keep: [Shard.without_quota], go_on_later: []}
    with pytest.raises(LeaseLostError):
        step(context, stored, *arguments[step])
    assert context.store.reload(successor).value == successor.value


def test_going_on_keeps_where_the_step_is_in_the_same_change_and_wakes(
    context: Context[CommonSettings], told: Told
) -> None:
    stored = claimed(context)
    go_on_later(context, stored, lambda shard: shard.answered(NOW, "group 1"))
    again = context.store.reload(stored)
    assert (again.value.answers, again.value.due_at, again.value.lease_until) == (("group 1",), NOW, None)
    assert again.document.version == stored.document.version + 1
    assert told.messages == [(Topic.BATCHES_FINISHED, Wake(JOB_ID, SHARD_ID).encode())]


# -------------------------------------------------------------------------------------------- who is next
SUBMIT = {"QUEUED", "STAGING", "STAGED", "CREATING"}


@pytest.mark.parametrize("state", list(ShardState))
def test_a_shards_next_step_is_taken_by_who_can(
    state: ShardState, context: Context[CommonSettings], told: Told
) -> None:
    value = shard(shard_id=SHARD_ID, job_id=JOB_ID, state=state)
    wake(context, value)
    topic = Topic.SHARDS if state in SUBMIT else Topic.BATCHES_FINISHED
    shard_id = None if state.terminal else SHARD_ID
    assert told.messages == [(topic, Wake(JOB_ID, shard_id).encode())], "a shard that is over wakes its job"


@pytest.mark.parametrize(
    ("fields", "topic"),
    [
        ({"state": "RECEIVED"}, Topic.SHARDS),
        ({"state": "PLANNING"}, Topic.SHARDS),
        ({"state": "HELD"}, Topic.SHARDS),
        ({"state": "RUNNING"}, Topic.SHARDS),
        ({"state": "RUNNING", "spawned": True}, Topic.BATCHES_FINISHED),
        ({"state": "RUNNING", "spawned": True, "wanted": "cancel"}, Topic.SHARDS),
        ({"state": "FINALIZING"}, Topic.BATCHES_FINISHED),
        ({"state": "FINALIZING", "wanted": "cancel"}, Topic.BATCHES_FINISHED),
        *(({"state": state}, Topic.BATCHES_FINISHED) for state in JobState if state.terminal),
    ],
    ids=str,
)
def test_a_jobs_next_step_is_taken_by_who_can(fields: dict[str, object], topic: Topic) -> None:
    assert topic_of(job(**fields)) is topic


# ------------------------------------------------------------------------------------------ one place each
STEPS = Path(__file__).resolve().parents[2] / "shared" / "batchdrop" / "steps"
ELSEWHERE = {
    "documents": set[str](),
    "wake": {"next.py", "context.py"},
    "lease_until": {"progress.py"},
    "model_copy": set[str](),
}
"""Attributes that no step touches but these."""


@pytest.mark.parametrize("attribute", ELSEWHERE)
def test_each_idea_has_one_place(attribute: str) -> None:
    """Documents are the store's, wakes are sent by `next`, leases given back by `progress`, values changed by name."""
    users = {
        path.name
        for path in STEPS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == attribute
    }
    assert users <= ELSEWHERE[attribute]
