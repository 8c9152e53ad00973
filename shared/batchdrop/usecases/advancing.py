"""What `submit` does with a wake of a job: the next step its record asks for."""

from __future__ import annotations

from batchdrop.core.errors import BatchdropError, LeaseLostError
from batchdrop.core.jobs import Job, JobState
from batchdrop.core.logs import log
from batchdrop.core.records import Failure
from batchdrop.core.settings import SubmitSettings
from batchdrop.ports import Topic
from batchdrop.store import Stored
from batchdrop.usecases.context import Context
from batchdrop.usecases.intake import end, release_job, snapshot
from batchdrop.usecases.planning import plan, spawn

_S = JobState
STATES = frozenset({_S.RECEIVED, _S.PLANNING, _S.RUNNING})


def advance_job(context: Context[SubmitSettings], job_id: str) -> None:
    """Take a job as far as it goes now; its `due_at` drives every next step, so this never needs a retry."""
    stored = context.store.job(job_id)
    if stored is None:
        log("wake for an unknown job", severity="WARNING", job_id=job_id)
        return
    job = stored.value
    if job.state.terminal:
        if not job.published:
            context.wake(Topic.BATCHES_FINISHED, job_id)
        return
    if job.state not in STATES or (job.state is _S.RUNNING and job.spawned):
        return
    stored = context.store.claim(stored, context.now(), context.settings.lease_seconds, STATES)
    try:
        _advance(context, stored)
    except LeaseLostError:
        raise
    except BatchdropError as error:
        release_job(context, stored, error)


def _advance(context: Context[SubmitSettings], stored: Stored[Job]) -> None:
    if stored.value.claims > context.settings.max_claims:
        failure = Failure(code="POISONED", message="Processing this upload crashed repeatedly; it was given up.")
        end(context, stored, _S.FAILED, failure)
        return
    if stored.value.state is _S.RECEIVED:
        stored = snapshot(context, stored)
    if stored.value.state is _S.PLANNING:
        plan(context, stored)
    elif stored.value.state is _S.RUNNING:
        spawn(context, stored)
    elif stored.value.state.terminal:
        context.wake(Topic.BATCHES_FINISHED, stored.value.job_id)
