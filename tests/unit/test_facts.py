"""What documents say of themselves: facts that steps and sweeps act on, pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from batchdrop.core.money.budgets import Budget, Hold
from batchdrop.core.money.spent import cache_entry, settled_by, work_of
from batchdrop.core.state.batch import BatchRef, NoBatch
from batchdrop.core.state.caching import CacheUse, Caching
from batchdrop.core.state.children import child_of, open_lines, runs, shard_of, stuck, taken_apart
from batchdrop.core.state.needed import holds_capacity, may_adopt, needs_work, uses_cache, uses_file
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Route, ShardKind
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.state.stack import HEARTBEAT, MARKS, SILENCE, Identity, Stack
from batchdrop.core.value import Failure
from batchdrop.ports import BatchState, Cause
from tests.unit.test_lease import NOW, job, shard

STOP = Failure(code="CANCELLED", message="stopped")
CACHED = Caching(wanted=True, reason="", uses=(CacheUse(name="c1", tokens=1000, created_at=NOW),))


# ------------------------------------------------------------------------------------------------ needed
@pytest.mark.parametrize(
    ("state", "batch", "adopts", "holds"),
    [
        ("QUEUED", "", True, True),
        ("CREATING", "", True, True),
        ("CREATING", "b", False, True),
        ("SUBMITTED", "b", False, True),
        ("ENDED", "", False, False),
        ("WRITTEN", "b", False, False),
    ],
)
def test_a_shard_may_adopt_a_batch_until_it_has_one_or_has_ended(
    state: str, batch: str, adopts: bool, holds: bool
) -> None:
    it = shard(state=state, batch=BatchRef(name=batch))
    assert (may_adopt(it), holds_capacity(it)) == (adopts, holds)


def test_a_file_is_used_while_it_is_staged_by_who_names_it_and_by_who_has_attachments() -> None:
    assert uses_file(shard(state="STAGING"), "f")
    assert uses_file(shard(state="SUBMITTED", file="f"), "f")
    assert uses_file(shard(state="SUBMITTED", attached=("list",)), "f")
    assert not uses_file(shard(state="SUBMITTED", file="other"), "f")
    assert not uses_file(shard(state="WRITTEN", file="f", attached=("list",)), "f")


def test_a_cache_is_used_by_a_job_that_names_it_and_has_not_ended() -> None:
    assert uses_cache(job(state="RUNNING", caching=CACHED), "c1")
    assert not uses_cache(job(state="RUNNING", caching=CACHED), "c2")
    assert not uses_cache(job(state="RUNNING"), "c1")
    assert not uses_cache(job(state="DONE", caching=CACHED), "c1")


def test_work_objects_are_needed_until_the_job_is_cleaned() -> None:
    assert needs_work(job(state="RUNNING"))
    assert needs_work(job(state="DONE"))
    assert not needs_work(job(state="DONE", cleaned=True))


# ---------------------------------------------------------------------------------------------- children
@pytest.mark.parametrize(
    ("batch", "stop", "requests", "apart"),
    [
        (BatchRef(state=NoBatch.TOO_LARGE), STOP, 1, True),
        (BatchRef(state=BatchState.FAILED), None, 2, True),
        (BatchRef(state=BatchState.FAILED), None, 1, False),
        (BatchRef(state=BatchState.FAILED), STOP, 2, False),
        (BatchRef(state=BatchState.FAILED, parts=("p",)), None, 2, False),
        (BatchRef(state=BatchState.FAILED, cause=Cause.OURS), None, 2, False),
        (BatchRef(state=BatchState.SUCCEEDED), None, 2, False),
    ],
)
def test_what_failed_whole_is_taken_apart_but_not_what_we_made_wrongly(
    batch: BatchRef, stop: Failure | None, requests: int, apart: bool
) -> None:
    assert taken_apart(shard(batch=batch, stop=stop, requests=requests), 1) is apart


def test_a_batch_that_was_cut_short_would_hang_again() -> None:
    assert stuck(shard(batch=BatchRef(state=BatchState.EXPIRED)))
    assert stuck(shard(batch=BatchRef(state=BatchState.SUCCEEDED), cancel_sent_at=NOW))
    assert not stuck(shard(batch=BatchRef(state=BatchState.SUCCEEDED)))


def test_open_lines_are_counted_by_the_try_that_can_help_them() -> None:
    segments = [
        Segment(range=0, open_list="a", open={"again": 2, "longer": 1}),
        Segment(range=1, open_list="b", open={"longer": 3}),
        Segment(range=2),
    ]
    longer = open_lines(segments, ShardKind.LONGER)
    assert (longer.count, longer.lists, longer.key) == (4, ("a", "b"), "longer")
    assert open_lines(segments, ShardKind.LATE).count == 0


@pytest.mark.parametrize(("pieces", "lengths"), [(1, [5]), (2, [3, 2]), (3, [2, 2, 1]), (9, [1] * 5)])
def test_lines_are_cut_into_runs_of_about_the_same_length(pieces: int, lengths: list[int]) -> None:
    cut = runs(range(5), pieces)
    assert [len(run) for run in cut] == lengths
    assert [number for run in cut for number in run] == list(range(5))


def test_a_child_takes_its_share_and_begins_where_its_route_says() -> None:
    parent = shard(requests=4, tokens=100, bytes=1000, attached_bytes=10)
    lines = open_lines([Segment(range=0, open_list="a", open={"late": 1})], ShardKind.LATE)
    late = child_of(parent, ShardKind.LATE, 0, 1, lines)
    assert (late.requests, late.tokens, late.bytes, late.attached_bytes, late.route) == (1, 25, 250, 3, Route.STANDARD)
    begun = shard_of(parent, late, NOW + HEARTBEAT, "wire", NOW)
    assert (begun.state, begun.due_at, begun.parent) == (ShardState.ENDED, NOW, parent.shard_id)
    half = child_of(parent, ShardKind.HALF, 0, 0, lines)
    queued = shard_of(parent, half, NOW + HEARTBEAT, "wire", NOW)
    assert (queued.state, queued.due_at, queued.route) == (ShardState.QUEUED, NOW + HEARTBEAT, Route.BATCH)


# ------------------------------------------------------------------------------------------------- stack
def marked_by_another(minutes: int) -> Identity:
    return Identity(stack_id="s", created_at=NOW, mark="theirs", marked_at=NOW - timedelta(minutes=minutes))


def test_another_stack_is_met_while_its_mark_is_fresh() -> None:
    stack = Stack(stack_id="s", founded=True, marks=("mine",), marked_at=NOW)
    assert stack.meets_another(marked_by_another(1), NOW)
    assert not stack.meets_another(marked_by_another(13), NOW)
    assert not stack.meets_another(stack.identity("mine", NOW), NOW)
    assert not stack.meets_another(None, NOW)


def test_a_stack_was_heard_for_one_heartbeat_and_not_while_it_is_stopped() -> None:
    stack = Stack(stack_id="s", founded=True, marks=("mine",), marked_at=NOW)
    assert stack.was_heard(NOW)
    assert not stack.was_heard(NOW + HEARTBEAT)
    stopped = stack.stopped(NOW + SILENCE)
    assert not stopped.was_heard(NOW)
    assert stopped.is_stopped(NOW)
    assert not stopped.is_stopped(NOW + SILENCE)


def test_documents_that_do_not_know_the_last_mark_count_as_lost() -> None:
    stack = Stack(stack_id="s", founded=True, marks=("mine",), marked_at=NOW)
    assert stack.marked("next", stack.identity("mine", NOW), NOW).recovered_at is None
    assert stack.marked("next", marked_by_another(20), NOW).recovered_at == NOW
    assert stack.marked("next", None, NOW).recovered_at == NOW
    assert len(Stack(marks=("m",) * MARKS).marked("next", None, NOW).marks) == MARKS


def test_an_object_of_another_id_takes_the_place_of_the_document() -> None:
    proposed = Stack(stack_id="new", created_at=NOW, marks=("mine",))
    assert proposed.founded_as(proposed.identity("mine", NOW), NOW).recovered_at is None
    lost = proposed.founded_as(marked_by_another(1), NOW)
    assert (lost.stack_id, lost.founded, lost.recovered_at) == ("s", True, NOW)
    assert lost.stopped_until == marked_by_another(1).silent_at


# ------------------------------------------------------------------------------------------------- costs
def test_work_without_a_row_is_unseen_where_the_batch_was_cut_short() -> None:
    missing = [Segment(range=0, by_outcome={"missing": 1}, usage={"input": 2}, failed={"input": 1})]
    cut = shard(batch=BatchRef(name="b", state=BatchState.CANCELLED))
    whole = shard(batch=BatchRef(name="b", state=BatchState.SUCCEEDED))
    work = work_of(job(), cut, missing * 2)
    assert (work.unseen, work.usage, work.failed) == (True, {"input": 4}, {"input": 2})
    assert not work_of(job(), whole, missing).unseen
    assert not work_of(job(), cut, [Segment(range=0)]).unseen
    assert work_of(job(), whole.with_results_lost(NOW, "GONE"), []).unseen


def test_a_cache_of_a_model_without_a_rate_has_no_amount_but_a_reason() -> None:
    entry = cache_entry(job(model="nobody-knows-it", caching=CACHED), NOW + timedelta(hours=2), {})
    assert (entry.amount, entry.reason) == (None, "NO_STORAGE_RATE")
    assert entry.usage == {"cache_made": 1000, "cache_token_hours": 2000}


@pytest.mark.parametrize(
    ("cost", "spent"),
    [({"amount": "2.5"}, "2.5"), ({"amount": None}, "7"), (None, "0")],
)
def test_what_a_job_held_stays_counted_where_its_cost_is_not_known(cost: dict[str, str] | None, spent: str) -> None:
    it = job(cost=cost)
    budget = Budget(holds={it.job_id: Hold(amount=Decimal(7), scopes=("stack",))})
    settled = settled_by(budget, it)
    assert (settled.holds, settled.spent) == ({}, {"stack": Decimal(spent)})
