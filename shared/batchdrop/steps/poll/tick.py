"""One tick: look at the batches that are due, wake the documents that are due, dispatch; then sweep.

One shard's trouble never stops the tick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from batchdrop.core.errors import BatchdropError
from batchdrop.core.logs import (
    JOB_OVERDUE,
    TICK,
    TICK_DONE,
    TICK_QUEUE,
    TICK_SWEPT,
    log,
)
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import is_pool
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import dispatch
from batchdrop.steps.figures import queue_figures
from batchdrop.steps.next import wake
from batchdrop.steps.poll.in_flight import Told, due_shards
from batchdrop.steps.poll.look import look
from batchdrop.steps.poll.report import write_report
from batchdrop.steps.poll.sweep import sweep
from batchdrop.steps.stack import beat
from batchdrop.store import Stored

Polling = Context[PollSettings]

OVERDUE = timedelta(hours=2)
"""From a job's deadline until somebody is told that it has not ended: its batches are cancelled and written first."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a tick did, what its sweeps found and what waits after it, by the names of its line in the log."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TICK_DONE, 0))
    swept: Counter[str] = field(default_factory=Counter[str])
    waiting: dict[str, int | None] = field(
        default_factory=lambda: dict[str, int | None].fromkeys(TICK_QUEUE)
    )

    def fields(self) -> dict[str, int | None]:
        """Return the fields of the tick's line."""
        swept = {name: self.swept[name] for name in TICK_SWEPT}
        return {**self.counts, **swept, **self.waiting}


def tick(context: Polling) -> dict[str, int]:
    """Do one tick within the time budget; return what was done, by name."""
    done = Done()
    beat(context)
    for part in (_look_at_batches, _wake_due, _dispatch_all, _sweep, _measure):
        _guarded(done, partial(part, context, done))
    log(TICK, severity="INFO", **done.fields())
    return done.counts


def _guarded(done: Done, part: Callable[[], None]) -> None:
    """Do a part of the tick; what goes wrong in it does not stop the others."""
    try:
        part()
    except BatchdropError as error:
        done.counts["failed"] += 1
        log("a step of the tick failed", severity="ERROR", code=error.code)


def _look_at_batches(context: Polling, done: Done) -> None:
    told = Told(context)
    for stored in due_shards(context):
        done.counts["looked"] += 1
        _guarded(done, partial(_look, context, done, told, stored))


def _look(context: Polling, done: Done, told: Told, stored: Stored[Shard]) -> None:
    done.counts["ended"] += look(context, stored, told.of(stored.value))


def _wake_due(context: Polling, done: Done) -> None:
    """Wake what is due: lost wakes, ended leases, deadlines, continuations and unpublished completions."""
    now = context.now()
    limit = context.settings.due_limit
    for shard in context.store.due_shards(now, limit):
        if shard.value.state is ShardState.SUBMITTED:
            continue
        wake(context, shard.value)
        done.counts["woken"] += 1
    for job in context.store.due_jobs(now, limit):
        _report_overdue(job.value, now)
        wake(context, job.value)
        done.counts["woken"] += 1


def _report_overdue(job: Job, now: datetime) -> None:
    """Tell somebody of a job that has not ended long after its deadline."""
    if job.state.terminal or now <= job.deadline_at + OVERDUE:
        return
    log(
        JOB_OVERDUE,
        severity="ERROR",
        job_id=job.job_id,
        state=job.state.value,
    )


def _dispatch_all(context: Polling, done: Done) -> None:
    for name, _ in context.store.ledgers.found(queries.ledgers()):
        if is_pool(name):
            done.counts["dispatched"] += dispatch(context, name)


def _sweep(context: Polling, done: Done) -> None:
    swept = sweep(context, done.swept)
    if swept:
        done.counts["swept"] = 1
        write_report(context)


def _measure(context: Polling, done: Done) -> None:
    done.waiting.update(queue_figures(context))
