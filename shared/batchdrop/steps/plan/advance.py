"""What `submit` does with a wake of a job: the next step its document asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, LeaseLostError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.job import CANCEL, GRACE, Job, JobState
from batchdrop.core.value import Failure
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake, wake_if_complete
from batchdrop.steps.plan.enqueue import spawn
from batchdrop.steps.plan.hold import resumed
from batchdrop.steps.plan.plan import plan
from batchdrop.steps.plan.receive import end, fail, snapshot
from batchdrop.steps.progress import hand_back
from batchdrop.store import Stored

_S = JobState
STATES = frozenset({_S.RECEIVED, _S.PLANNING, _S.HELD, _S.RUNNING})
_CANCELLED: Final = Failure.coded(Code.CANCELLED)
_POISONED: Final = Failure(
    code=Code.POISONED,
    message="Processing this upload crashed repeatedly; it was given up.",
)
STOP_AGAIN = timedelta(minutes=1)
"""When a job's shards are told to stop again: meanwhile one of them may have named new children."""


def advance_job(context: Context[SubmitSettings], job_id: str) -> None:
    """Take a job as far as it goes now; its `due_at` drives every next step, so this never needs a retry."""
    stored = context.store.job(job_id)
    if stored is None:
        log("wake for an unknown job", severity="WARNING", job_id=job_id)
        return
    job = stored.value
    if job.state in STATES and not job.spawned:
        _claim_and_advance(context, stored)
    elif job.state is _S.RUNNING and job.wanted == CANCEL:
        _stop_shards(context, stored, _CANCELLED)
        _stop_again(context, stored)
    elif job.state.terminal and not job.published:
        wake(context, job)


def _claim_and_advance(context: Context[SubmitSettings], stored: Stored[Job]) -> None:
    """Own a job for one step, and say what becomes of it when the step fails."""
    lease = context.settings.lease_seconds
    stored = context.store.claim(stored, context.now(), lease, STATES)
    try:
        _advance(context, stored)
    except LeaseLostError:
        raise
    except BatchdropError as error:
        _after(context, stored, error)


def _after(
    context: Context[SubmitSettings], stored: Stored[Job], error: BatchdropError
) -> None:
    """End a job whose step failed for good, or still fails past its deadline; else try again later."""
    if isinstance(error, PermanentError):
        _give_up(context, stored, error)
        return
    job = context.store.reload(stored).value
    if context.now() < job.deadline_at + GRACE:
        hand_back(context, stored, error.code)
        return
    reason = error.sentence or error.code
    sentence = f"It could not begin before its deadline: {reason}."
    _give_up(context, stored, PermanentError(sentence, code=Code.OVERDUE))


def _give_up(
    context: Context[SubmitSettings], stored: Stored[Job], error: PermanentError
) -> None:
    """End a job that no other try can help; shards it has already are not sent."""
    if context.store.reload(stored).value.state is _S.RUNNING:
        stop = Failure(code=error.code, message=error.sentence)
        _stop_shards(context, stored, stop)
    fail(context, stored, error)


def _advance(context: Context[SubmitSettings], stored: Stored[Job]) -> None:
    """Take the one step that the job's state asks for, and those that follow from it at once."""
    job = stored.value
    if job.claims > context.settings.max_claims:
        end(context, stored, _S.FAILED, _POISONED)
        return
    if job.wanted == CANCEL and job.state is not _S.RUNNING:
        end(context, stored, _S.CANCELLED, None)
        return
    if job.state is _S.RECEIVED:
        stored = snapshot(context, stored)
    if stored.value.state is _S.HELD:
        stored = resumed(context, stored)
    if stored.value.state is _S.PLANNING:
        plan(context, stored)
    elif stored.value.state is _S.RUNNING:
        spawn(context, stored)


def _stop_shards(
    context: Context[SubmitSettings], stored: Stored[Job], stop: Failure
) -> None:
    """Tell every open shard of a job to stop; what is at the provider, `poll` cancels."""
    now = context.now()
    for entry in context.store.shards_of(stored.value.job_id):
        context.store.change(entry, lambda shard: shard.told_to_stop(now, stop))


def _stop_again(context: Context[SubmitSettings], stored: Stored[Job]) -> None:
    now = context.now()
    again_at = now + STOP_AGAIN
    context.store.change(stored, lambda job: job.due_again(now, again_at))
    wake_if_complete(context, stored.value.job_id)
