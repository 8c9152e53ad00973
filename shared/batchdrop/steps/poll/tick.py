"""One tick: look at the batches that are due, wake the documents that are due, dispatch; then sweep.

Which batches a tick looks at follows from their age alone (every tick at first, then one tick in so many, spread by a
hash), so nothing is written to remember it. One shard's trouble never stops the tick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from batchdrop.core import logs
from batchdrop.core.errors import BatchdropError
from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import is_pool
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.ports import Collection
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import dispatch
from batchdrop.steps.figures import queue_figures
from batchdrop.steps.next import wake
from batchdrop.steps.poll.look import is_due, look
from batchdrop.steps.poll.report import write_report
from batchdrop.steps.poll.sweep import sweep
from batchdrop.steps.stack import beat
from batchdrop.store import Stored

Polling = Context[PollSettings]

OVERDUE = timedelta(hours=2)
"""From a job's deadline until somebody is told that it has not ended: its batches are cancelled and written first."""
IN_FLIGHT = 1000


def tick(context: Polling) -> dict[str, int]:
    """Do one tick within the time budget; return what was done, by name."""
    done: dict[str, int] = dict.fromkeys(logs.TICK_DONE, 0)
    beat(context)
    _guarded(done, lambda: _look_at_batches(context, done))
    _guarded(done, lambda: _wake_due(context, done))
    _guarded(done, lambda: _dispatch_all(context, done))
    swept: Counter[str] = Counter()
    _guarded(done, lambda: _sweep(context, done, swept))
    waiting: dict[str, int | None] = dict.fromkeys(logs.TICK_QUEUE)
    _guarded(done, lambda: waiting.update(queue_figures(context)))
    log(
        logs.TICK,
        severity="INFO",
        **done,
        **{name: swept[name] for name in logs.TICK_SWEPT},
        **waiting,
    )
    return done


def _sweep(context: Polling, done: dict[str, int], swept: Counter[str]) -> None:
    done["swept"] = int(sweep(context, swept))
    if done["swept"]:
        write_report(context)


def _guarded(done: dict[str, int], step: Callable[[], None]) -> None:
    try:
        step()
    except BatchdropError as error:
        done["failed"] += 1
        log("a step of the tick failed", severity="ERROR", code=error.code)


def _look_at_batches(context: Polling, done: dict[str, int]) -> None:
    for stored in context.store.shards(queries.submitted(IN_FLIGHT)):
        if context.time_left.over():
            return
        if is_due(stored.value, context.now(), context.settings):
            done["looked"] += 1
            _guarded(done, lambda stored=stored: _look(context, stored, done))


def _look(context: Polling, stored: Stored[Shard], done: dict[str, int]) -> None:
    done["ended"] += look(context, stored)


def _wake_due(context: Polling, done: dict[str, int]) -> None:
    """Wake what is due: lost wakes, ended leases, deadlines, continuations and unpublished completions."""
    now, limit = context.now(), context.settings.due_limit
    for shard in context.store.shards(queries.due(Collection.SHARD, now, limit)):
        if shard.value.state is ShardState.SUBMITTED:
            continue
        wake(context, shard.value)
        done["woken"] += 1
    for job in context.store.jobs(queries.due(Collection.JOB, now, limit)):
        if now > job.value.deadline_at + OVERDUE and not job.value.state.terminal:
            log(
                logs.JOB_OVERDUE,
                severity="ERROR",
                job_id=job.value.job_id,
                state=job.value.state.value,
            )
        wake(context, job.value)
        done["woken"] += 1


def _dispatch_all(context: Polling, done: dict[str, int]) -> None:
    for name, _ in context.store.ledgers.found(queries.ledgers()):
        if is_pool(name):
            done["dispatched"] += dispatch(context, name)
