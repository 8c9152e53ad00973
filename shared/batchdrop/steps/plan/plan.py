"""Planning: one streaming pass over the snapshot makes ranges, shards and rejections.

    PLANNING --lines examined, cut, rejections written--> time over? save the cursor, continue in a new message
             --all rejected? strict? model?------------> REJECTED (through FINALIZING, with its report)
             --the same request? `identities`----------> HELD until the other ended, DUPLICATE, or goes on
             --gates of cost---------------------------> HELD
             --RUNNING with the plan's checksum--------> commit point; then the shards are created, idempotently

A later step begins at a range's end, so a line is examined once by a step that is kept. Objects a step writes
carry its fence: what a step that lost its lease wrote is never read.
"""

from __future__ import annotations

from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.cursors import PlanCursor
from batchdrop.core.state.job import Job
from batchdrop.core.state.job_steps import Passed, SameRows
from batchdrop.core.value import Failure
from batchdrop.steps.cache import decided, refuse_cache
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake
from batchdrop.steps.plan.convert import as_records
from batchdrop.steps.plan.enqueue import spawn
from batchdrop.steps.plan.gates import (
    refuse_file,
    refuse_length,
    refuse_model,
    refuse_plan,
    with_duplicates,
)
from batchdrop.steps.plan.hold import hold, holds
from batchdrop.steps.plan.identities import identify, original, rows_of, same_as
from batchdrop.steps.plan.price import estimated, hours_of, last_run, refuse_cost
from batchdrop.steps.plan.reading import Pass
from batchdrop.steps.plan.recipes import resolved
from batchdrop.steps.progress import go_on_later, keep
from batchdrop.store import Stored

Planning = Context[SubmitSettings]
_UNREADABLE: Final = frozenset(
    {
        Code.GZIP_INVALID,
        Code.GZIP_BOMB,
        Code.ARRAY_INVALID,
        Code.PARQUET_BOMB,
        Code.TABLE_INVALID,
        Code.RECIPE_WITHOUT_PROMPT,
    }
)
"""What is wrong with a file as a whole: its job is refused. Any other permanent error is a defect of the stack."""


def plan(context: Planning, stored: Stored[Job]) -> None:
    """Plan the job as far as the time allows; its change to RUNNING is the commit point."""
    cursor = stored.value.plan
    if cursor.identity:
        _decide(context, stored, cursor)
        return

    prepared = _prepared(context, stored) if cursor.step == 0 else stored
    if isinstance(prepared, Failure):
        _refuse(context, stored, cursor, prepared)
    elif prepared is not None:
        _read(context, prepared)


# --------------------------------------------------------------------------------------------- before the lines
def _prepared(context: Planning, stored: Stored[Job]) -> Stored[Job] | Failure | None:
    """Find the job's recipe, look at the file as a whole, make lines of it; None when a new message goes on."""
    with_recipe = resolved(context, stored)
    if isinstance(with_recipe, Failure):
        return with_recipe

    failure = refuse_file(context, with_recipe.value)
    if failure is not None:
        return failure

    try:
        return as_records(context, with_recipe)
    except PermanentError as error:
        if error.code in _UNREADABLE:
            return Failure.of(error, Code(error.code).fix)
        raise


# ---------------------------------------------------------------------------------------------------- the lines
def _read(context: Planning, stored: Stored[Job]) -> None:
    """Read lines until they end or the time is over; then the plan is judged, or a new message goes on."""
    job = stored.value
    step = Pass(context, job)
    finished = step.run()
    cursor = step.cursor()

    failure = refuse_length(context, cursor)
    if failure is not None:
        _refuse(context, stored, cursor, failure)
    elif finished:
        _judge(context, stored, cursor, step.content())
    else:
        log("planning continues", job_id=job.job_id, line=cursor.line)
        go_on_later(context, stored, lambda job: job.with_plan(context.now(), cursor))


def _judge(
    context: Planning, stored: Stored[Job], cursor: PlanCursor, content: str
) -> None:
    """Say what a plan of all lines asks, unless it must not run."""
    job = stored.value
    able = refuse_plan(context, job, cursor) or refuse_model(context, stored, cursor)
    if isinstance(able, Failure):
        _refuse(context, stored, cursor, able)
        return

    identity = identify(job, content, cursor.attached)
    whole = cursor.ended(identity, with_duplicates(context, cursor))
    _decide(context, able, whole)


# ------------------------------------------------------------------------------------------------- the decision
def _decide(context: Planning, stored: Stored[Job], cursor: PlanCursor) -> None:
    """Let a planned job run, unless another one answers the same request or a gate is closed."""
    job = stored.value
    other = original(context, job, cursor.identity)
    if other is not None and other.state.terminal:
        _end(context, stored, cursor, rows_of(context, other))
        return

    passed = _gates(context, job, cursor) if other is None else same_as(other)
    if isinstance(passed, Failure):
        _refuse(context, stored, cursor, passed)
    else:
        _run(context, stored, cursor, passed)


def _gates(context: Planning, job: Job, cursor: PlanCursor) -> Failure | Passed:
    """Let a planned job pass its gates of cost; return what they found out, for its record."""
    last = last_run(context, job)
    now = context.now()
    hours = hours_of(last) or context.settings.cache_hours
    caching = decided(context, job, cursor, hours)
    cost = estimated(context, job, cursor, caching, last)

    failure = refuse_cache(job, caching) or refuse_cost(context, job, cost)
    if failure is not None:
        return failure

    month = now.strftime("%Y-%m") if cost.likely is not None else ""
    return Passed(caching, cost.as_json(), month)


def _run(
    context: Planning, stored: Stored[Job], cursor: PlanCursor, passed: Passed
) -> None:
    """Commit the plan, then create its shards."""
    now = context.now
    stored = keep(context, stored, lambda job: job.planned(now(), cursor, passed))

    log(
        "job planned",
        job_id=stored.value.job_id,
        requests=cursor.requests,
        shards=cursor.shards,
    )

    spawn(context, stored)


def _refuse(
    context: Planning, stored: Stored[Job], cursor: PlanCursor, failure: Failure
) -> None:
    """Hold the job for what a person can mend, or reject it."""
    if not holds(context, stored.value, failure):
        _end(context, stored, cursor, failure)
        return

    now = context.now()
    plan = stored.value.plan.or_further(cursor)
    stored = keep(context, stored, lambda job: job.with_plan(now, plan))
    hold(context, stored, failure)


def _end(
    context: Planning,
    stored: Stored[Job],
    cursor: PlanCursor,
    reason: Failure | SameRows,
) -> None:
    """End a job that does not run; its report (rejections, manifest) is written by `finalize`."""
    now = context.now
    ended = keep(context, stored, lambda job: job.does_not_run(now(), cursor, reason))

    job = ended.value
    code = job.failure.code if job.failure else ""
    log(
        "job does not run",
        job_id=job.job_id,
        state=str(job.final_state),
        code=code,
    )
    wake(context, job)
