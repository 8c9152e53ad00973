"""Holding: a job that waits for a person or a file says so once, looks again from time to time, and ends in the end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.codes import Code
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

MISSING: Final = str(Code.RECIPE_MISSING)
HOLDS: Final = frozenset({MISSING, Code.RECIPE_INVALID, *RELEASABLE, SAME_AS})
"""What a job is held for; everything else ends it."""
SOONEST: Final = timedelta(minutes=1)
LATEST: Final = timedelta(minutes=15)


def holds(context: Planning, job: Job, failure: Failure) -> bool:
    """Tell whether a failure holds the job, or ends it: for what it is, or because it was held long enough."""
    if failure.code not in HOLDS:
        return False
    return context.now() < _until(context, job, failure.code)


def hold(context: Planning, stored: Stored[Job], failure: Failure) -> None:
    """Hold the job; say so once for each reason; look again after a quarter of the time it has waited."""
    now = context.now()
    said = stored.value.held_for == failure.code
    stored = keep(context, stored, lambda job: _held(context, job, failure, now))
    if not said:
        _say(context, stored, failure.code, now)


def _held(context: Planning, job: Job, failure: Failure, now: datetime) -> Job:
    """Return the job as it waits, and when it looks again."""
    since = job.waits_since(failure.code) or now
    until = _until(context, job, failure.code)
    return job.held(
        now,
        failure,
        since=since,
        until=None if failure.code == SAME_AS else until,
        due_at=min(_next_look(since, now), until),
    )


def _next_look(since: datetime, now: datetime) -> datetime:
    """Return when to look again: the longer it has waited, the later."""
    quarter = (now - since) / 4
    pause = min(max(quarter, SOONEST), LATEST)
    return now + pause


def _say(context: Planning, stored: Stored[Job], code: str, now: datetime) -> None:
    """Publish that a job is held, and remember for what."""
    log(
        "job held",
        severity="WARNING",
        job_id=stored.value.job_id,
        code=code,
    )

    data, attributes = done_message(stored.value)
    context.topics.publish(Topic.JOBS_COMPLETED, data, attributes)
    context.store.change(stored, lambda job: job.said_held(now, code))


def resumed(context: Planning, stored: Stored[Job]) -> Stored[Job]:
    """Take a held job back to PLANNING, where it meets its gates again; released, it passes those of cost.

    Its deadline moves by the time it was held: waiting for a person is no part of it.
    A job that was not planned yet looks for its recipe again; afterwards it stays what it was planned with.
    """
    return keep(context, stored, lambda job: job.resumed(context.now()))


def _until(context: Planning, job: Job, code: str) -> datetime:
    """Return when the wait is given up; another job is waited for until it ends, and it has a deadline itself."""
    now = context.now()
    if code == SAME_AS:
        return now + LATEST

    since = job.waits_since(code) or now
    return since + _patience(context.settings, code)


def _patience(settings: SubmitSettings, code: str) -> timedelta:
    """Return how long a job waits for a file, or for a person."""
    if code == MISSING:
        return timedelta(minutes=settings.held_minutes)
    return timedelta(days=settings.held_days)
