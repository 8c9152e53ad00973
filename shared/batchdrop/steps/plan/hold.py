"""Holding: a job that waits for a person or a file says so once, looks again from time to time, and ends in the end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.logs import log
from batchdrop.core.result.manifest import done_message
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.why import RELEASABLE
from batchdrop.core.value import Failure
from batchdrop.ports import Topic
from batchdrop.steps.context import Context
from batchdrop.steps.plan.identities import SAME_AS
from batchdrop.steps.progress import keep
from batchdrop.store import Stored

Planning = Context[SubmitSettings]

MISSING: Final = "RECIPE_MISSING"
HOLDS: Final = frozenset({MISSING, "RECIPE_INVALID", *RELEASABLE, SAME_AS})
"""What a job is held for; everything else ends it."""
SOONEST: Final = timedelta(minutes=1)
LATEST: Final = timedelta(minutes=15)


def holds(context: Planning, job: Job, failure: Failure) -> bool:
    """Tell whether a failure holds the job, or ends it: for what it is, or because it was held long enough."""
    return failure.code in HOLDS and context.now() < _until(context, job, failure)


def hold(context: Planning, stored: Stored[Job], failure: Failure) -> None:
    """Hold the job; say so once for each reason; look again after a quarter of the time it has waited."""
    now = context.now()
    said = stored.value.held_for == failure.code

    def held(job: Job) -> Job:
        since, until = _since(job, failure) or now, _until(context, job, failure)
        again = min(max((now - since) / 4, SOONEST), LATEST)
        ends = None if failure.code == SAME_AS else until
        return job.held(
            now, failure, since=since, until=ends, due_at=min(now + again, until)
        )

    stored = keep(context, stored, held)
    if said:
        return
    log("job held", severity="WARNING", job_id=stored.value.job_id, code=failure.code)
    data, attributes = done_message(stored.value)
    context.topics.publish(Topic.JOBS_COMPLETED, data, attributes)
    context.store.change(stored, lambda job: job.said_held(now, failure.code))


def resumed(context: Planning, stored: Stored[Job]) -> Stored[Job]:
    """Take a held job back to PLANNING, where it meets its gates again; released, it passes those of cost.

    Its deadline moves by the time it was held: waiting for a person is no part of it.
    A job that was not planned yet looks for its recipe again; afterwards it stays what it was planned with.
    """
    return keep(context, stored, lambda job: job.resumed(context.now()))


def _since(job: Job, failure: Failure) -> datetime | None:
    """Return since when the job has waited for this very thing."""
    return job.held_at if job.held_for in ("", failure.code) else None


def _until(context: Planning, job: Job, failure: Failure) -> datetime:
    """Return when the wait is given up; another job is waited for until it ends, and it has a deadline itself."""
    settings, now = context.settings, context.now()
    if failure.code == SAME_AS:
        return now + LATEST
    length = (
        timedelta(minutes=settings.held_minutes)
        if failure.code == MISSING
        else timedelta(days=settings.held_days)
    )
    return (_since(job, failure) or now) + length
