"""The transitions of jobs and shards: each sets all that it means, names the batch it is about, and is typed."""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from batchdrop.core.errors import LeaseLostError, PermanentError
from batchdrop.core.state.batch import BatchRef, Intent, NoBatch
from batchdrop.core.state.cursors import Counts, PlanCursor
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.state.job_steps import Resolved, Result, SameRows
from batchdrop.core.state.segment import Segments
from batchdrop.core.state.shard import Child, Route, Shard, ShardKind
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.value import Failure, Value
from batchdrop.ports import Batch, BatchState
from tests.unit.test_lease import NOW, job, shard

LATER = NOW + timedelta(hours=1)
DEADLINE = NOW + timedelta(hours=9)
STOP = Failure(code="CANCELLED", message="stopped")
INTENT = Intent(attempt=1, at=NOW, deadline=LATER)
CHILD = Child(shard_id="c", kind=ShardKind.AGAIN, round=1, requests=1, tokens=1, bytes=1, lists=(), list_key="")
RESULT = Result(counts=Counts(), verdict="complete", cost=None, tokens={}, manifest="output/manifest.json")


def batch(name: str = "b0", state: BatchState = BatchState.FAILED) -> Batch:
    return Batch(name, "bd.x", "m", state, f"BATCH_STATE_{state}", NOW)


def submitted(name: str = "b0") -> Shard:
    return shard(state="SUBMITTED", batch=BatchRef(name=name), deadline_at=DEADLINE, intent=INTENT, file="f")


SHARD_TRANSITIONS: dict[str, Callable[[Shard], Shard | None]] = {
    "claimed": lambda it: it.claimed(NOW, 60),
    "handed_back": lambda it: it.handed_back(NOW, LATER),
    "taken_over": lambda it: it.taken_over(NOW),
    "dispatched": lambda it: it.dispatched(NOW, LATER),
    "found_too_large": lambda it: it.found_too_large(NOW),
    "with_attached": lambda it: it.with_attached(NOW, "list"),
    "staged": lambda it: it.staged(NOW, "file", LATER, "account"),
    "still_staged": lambda it: it.still_staged(NOW, "key"),
    "requeued": lambda it: it.requeued(NOW),
    "requeued_without_file": lambda it: it.requeued_without_file(NOW),
    "intended": lambda it: it.intended(NOW, INTENT),
    "not_sent": lambda it: it.not_sent(NOW),
    "unseen": lambda it: it.unseen(NOW),
    "proved_lost": lambda it: it.proved_lost(LATER, NOW),
    "not_created": lambda it: it.not_created(NOW),
    "submitted": lambda it: it.submitted(NOW, BatchRef(name="b1"), LATER),
    "ended_without_batch": lambda it: it.ended_without_batch(NOW, STOP),
    "cancelled": lambda it: it.cancelled(NOW, STOP),
    "seen": lambda it: it.seen(NOW, batch()),
    "cancel_sent": lambda it: it.cancel_sent(NOW, batch()),
    "ended": lambda it: it.ended(NOW, "b0", batch(), LATER),
    "refused_late": lambda it: it.refused_late(NOW, "b0"),
    "with_duplicate": lambda it: it.with_duplicate("b9"),
    "answered": lambda it: it.answered(NOW, "answers"),
    "without_quota": lambda it: it.without_quota(),
    "writing": lambda it: it.writing(NOW),
    "with_segments": lambda it: it.with_segments(Segments()),
    "with_results_lost": lambda it: it.with_results_lost(NOW, "GONE"),
    "rows_written": lambda it: it.rows_written(NOW, Segments(), (), 0),
    "taken_apart": lambda it: it.taken_apart(NOW, (CHILD,)),
    "abandoned": lambda it: it.abandoned(NOW),
    "settled": lambda it: it.settled(NOW),
    "told_to_stop": lambda it: it.told_to_stop(NOW, STOP),
    "stopped_here": lambda it: it.stopped_here(NOW, STOP),
}
CHANGING = {"_with", "_moved", "_known"}
QUESTIONS = {"leased", "knows", "must_stop", "lies_ready", "sought_since", "must_not_go_on", "ignores_cancel"}


def methods(model: type[Value]) -> dict[str, Callable[..., object]]:
    """Return what our own classes define, public and callable."""
    ours = (owner for owner in model.__mro__ if owner.__module__.startswith("batchdrop") and owner is not Value)
    return {
        name: value
        for owner in ours
        for name, value in vars(owner).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def after(it: Shard, transition: Callable[[Shard], Shard | None]) -> ShardState:
    """Return the state a transition leads to; the old one when it is refused."""
    try:
        changed = transition(it)
    except (PermanentError, LeaseLostError):
        return it.state
    return it.state if changed is None else changed.state


# ------------------------------------------------------------------------------------------------- typed
@pytest.mark.parametrize("model", [Job, Shard])
def test_no_transition_takes_fields_by_name(model: type[Value]) -> None:
    loose = {
        name
        for name, method in methods(model).items()
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind is inspect.Parameter.VAR_KEYWORD
        or (parameter.name != "self" and parameter.annotation in (inspect.Parameter.empty, "object", "Any"))
    }
    assert loose == set()


def test_a_misspelt_field_is_an_error_of_the_types_and_when_it_runs() -> None:
    """The comments are part of the test: pyright reports one that hides nothing."""
    staging = shard(state="STAGING")
    with pytest.raises(TypeError):
        staging.staged(NOW, "f", None, acount="a")  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        staging.handed_back(NOW, None, lease_untill=None)  # pyright: ignore[reportCallIssue]


def test_a_transition_that_is_written_with_a_misspelt_field_stores_nothing() -> None:
    class Pair(Value):
        left: int = 0

        def turned(self) -> Pair:
            return self._with(lefft=1)

    with pytest.raises(TypeError, match="Pair has no field lefft"):
        Pair().turned()


importlib.import_module("batchdrop.handling")
"""All steps, and with them every class of stored values."""


def values(model: type[Value] = Value) -> Iterator[type[Value]]:
    """Yield every class of stored values."""
    for kind in model.__subclasses__():
        yield kind
        yield from values(kind)


@pytest.mark.parametrize("model", [kind for kind in values() if kind.__module__.startswith("batchdrop")])
def test_every_field_that_a_transition_names_exists(model: type[Value]) -> None:
    """What pyright cannot see: the names inside the transitions themselves."""
    source = ast.parse(textwrap.dedent(inspect.getsource(model)))
    calls = (node for node in ast.walk(source) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    changing = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in CHANGING)
    named = {keyword.arg for call in changing for keyword in call.keywords if keyword.arg is not None}
    assert named <= set(model.model_fields)


def test_what_a_recipe_resolves_is_named_as_the_jobs_fields_are() -> None:
    assert {field.name for field in dataclasses.fields(Resolved)} <= set(Job.model_fields)


def test_every_transition_of_a_shard_is_tried_here() -> None:
    assert set(SHARD_TRANSITIONS) == set(methods(Shard)) - QUESTIONS


# ------------------------------------------------------------------------------------------------- leases
SHARD_ENDS = [
    ("CREATING", "requeued", DEADLINE),
    ("STAGED", "requeued_without_file", DEADLINE),
    ("CREATING", "submitted", LATER),
    ("STAGED", "ended_without_batch", NOW),
    ("STAGED", "cancelled", None),
    ("SUBMITTED", "refused_late", DEADLINE),
    ("SETTLING", "settled", None),
]


@pytest.mark.parametrize(("state", "name", "due_at"), SHARD_ENDS, ids=str)
def test_what_ends_a_step_of_a_shard_gives_the_lease_back(state: str, name: str, due_at: object) -> None:
    owned = shard(state=state, batch=BatchRef(name="b0"), deadline_at=DEADLINE).claimed(NOW, 60)
    changed = SHARD_TRANSITIONS[name](owned)
    assert changed is not None
    assert (changed.lease_until, changed.claims, changed.due_at, changed.fence) == (None, 0, due_at, 1)


JOB_ENDS: list[tuple[str, Callable[[Job], Job], object]] = [
    ("PLANNING", lambda it: it.held(NOW, STOP, since=NOW, until=None, due_at=LATER), LATER),
    ("PLANNING", lambda it: it.does_not_run(NOW, PlanCursor(), STOP), NOW),
    ("RUNNING", lambda it: it.queued(NOW, LATER), LATER),
    ("FINALIZING", lambda it: it.finished(NOW, RESULT), NOW),
    ("PLANNING", lambda it: it.ended(NOW, JobState.CANCELLED, None), NOW),
]


@pytest.mark.parametrize(("state", "transition", "due_at"), JOB_ENDS)
def test_what_ends_a_step_of_a_job_gives_the_lease_back(
    state: str, transition: Callable[[Job], Job], due_at: object
) -> None:
    changed = transition(job(state=state).claimed(NOW, 60))
    assert (changed.lease_until, changed.claims, changed.due_at, changed.fence) == (None, 0, due_at, 1)


def test_progress_in_the_middle_of_a_step_keeps_the_lease() -> None:
    owned = shard(state="WRITING").claimed(NOW, 60)
    for kept in (owned.answered(NOW, "x"), owned.with_attached(NOW, "x")):
        assert (kept.lease_until, kept.claims) == (owned.lease_until, 0)


# ------------------------------------------------------------------------------------------- looks at batches
@pytest.mark.parametrize("name", ["seen", "cancel_sent", "ended", "refused_late"])
def test_a_look_changes_a_shard_only_while_it_waits_for_the_batch_that_was_looked_at(name: str) -> None:
    look = SHARD_TRANSITIONS[name]
    assert look(submitted("b0")) is not None
    assert look(submitted("b1")) is None
    for state in set(ShardState) - {ShardState.SUBMITTED}:
        assert look(shard(state=state, batch=BatchRef(name="b0"))) is None


def test_a_late_refusal_queues_the_shard_with_its_file_and_remembers_the_batch() -> None:
    queued = submitted().cancel_sent(NOW, batch())
    assert queued is not None
    queued = queued.refused_late(NOW, "b0")
    assert queued is not None
    assert (queued.state, queued.file, queued.past) == (ShardState.QUEUED, "f", ("b0",))
    assert (queued.batch, queued.intent, queued.cancel_sent_at) == (BatchRef(), None, None)
    assert queued.with_duplicate("b0") is None, "a batch that ran nothing is no orphan"


def test_the_only_way_back_from_submitted_is_a_late_refusal() -> None:
    back = {name for name, transition in SHARD_TRANSITIONS.items() if after(submitted(), transition) == "QUEUED"}
    assert back == {"refused_late"}


def test_a_duplicate_found_before_a_late_refusal_is_not_forgotten() -> None:
    first = submitted().with_duplicate("twin")
    assert first is not None
    queued = first.refused_late(NOW, "b0")
    assert queued is not None
    again = queued.model_copy(update={"state": ShardState.CREATING}).submitted(NOW, BatchRef(name="b1"), LATER)
    assert (again.batch.name, again.batch.duplicates) == ("b1", ("twin",))


def test_the_batchs_last_word_is_kept_when_it_vanishes() -> None:
    running = submitted().seen(NOW, batch(state=BatchState.RUNNING))
    assert running is not None
    gone = running.ended(NOW, "b0", None, LATER)
    assert gone is not None
    assert (gone.batch.name, gone.batch.state, gone.batch.raw_state) == ("b0", NoBatch.GONE, "BATCH_STATE_RUNNING")


# ------------------------------------------------------------------------------------------------ CREATING
KNOWS = {"submitted", "proved_lost", "not_sent", "not_created", "requeued", "ended_without_batch"}
"""After a create's own answer, or after `find`."""


def test_nobody_leaves_creating_but_who_knows_whether_there_is_a_batch() -> None:
    doubtful = shard(state="CREATING", intent=INTENT, attempts=1, batch=BatchRef(name="b0"))
    left = {name for name, transition in SHARD_TRANSITIONS.items() if after(doubtful, transition) != "CREATING"}
    assert left == KNOWS


def test_an_intent_without_a_call_does_not_count_as_an_attempt() -> None:
    staged = shard(state="STAGED", attempts=3)
    intended = staged.intended(NOW, Intent(attempt=4, at=NOW, deadline=LATER))
    assert (intended.attempts, intended.not_sent(NOW).attempts, intended.not_created(NOW).attempts) == (4, 3, 4)
    assert intended.not_sent(NOW).intent is intended.not_created(NOW).intent is None


# ---------------------------------------------------------------------------------------- kinds and routes
def test_a_shard_says_why_it_exists_and_how_it_runs_in_two_fields() -> None:
    late = shard(kind="late", route="standard")
    assert (late.kind, late.route) == (ShardKind.LATE, Route.STANDARD)
    assert late.route.asks
    assert late.kind.repeats
    assert not shard().route.asks


@pytest.mark.parametrize("state", ["", "NONE", "TOO_LARGE", "GONE", "SUCCEEDED", "UNKNOWN"])
def test_a_batchs_state_is_typed_and_stored_as_its_word(state: str) -> None:
    stored = BatchRef.model_validate({"name": "b", "state": state})
    assert isinstance(stored.state, NoBatch if state in set(NoBatch) else BatchState)
    assert stored.model_dump(mode="json")["state"] == state


def test_a_split_shard_ends_split_and_every_other_one_written() -> None:
    settling = shard(state="SETTLING")
    half = CHILD.model_copy(update={"kind": ShardKind.HALF})
    assert settling.model_copy(update={"children": (half,)}).settled(NOW).state is ShardState.SPLIT
    assert settling.model_copy(update={"children": (CHILD,)}).settled(NOW).state is ShardState.WRITTEN


# --------------------------------------------------------------------------------------------------- jobs
def test_a_duplicate_is_answered_by_another_jobs_rows_and_a_rejection_says_why() -> None:
    planning = job(state="PLANNING")
    same = planning.does_not_run(NOW, PlanCursor(), SameRows("other", "output/manifest.json"))
    assert (same.final_state, same.duplicate_of, same.failure) == (JobState.DUPLICATE, "other", None)
    rejected = planning.does_not_run(NOW, PlanCursor(), STOP)
    assert (rejected.final_state, rejected.duplicate_of, rejected.failure) == (JobState.REJECTED, None, STOP)


def test_the_time_a_job_was_held_moves_its_deadline() -> None:
    held = job(state="PLANNING", deadline_at=DEADLINE).held(NOW, STOP, since=NOW, until=LATER, due_at=LATER)
    resumed = held.asked(LATER, "release").resumed(LATER)
    assert (resumed.state, resumed.deadline_at) == (JobState.PLANNING, DEADLINE + timedelta(hours=1))
    assert (resumed.wanted, resumed.cost_released, resumed.failure, resumed.held_seconds) == ("", True, None, 3600)
    assert not held.resumed(LATER).cost_released


def test_a_shard_that_is_owned_is_told_to_stop_without_being_woken() -> None:
    owned = shard(state="STAGING").claimed(NOW, 60)
    told = owned.told_to_stop(NOW, STOP)
    assert told is not None
    assert (told.stop, told.due_at, told.lease_until) == (STOP, owned.due_at, owned.lease_until)
    assert told.told_to_stop(NOW, STOP) is None
