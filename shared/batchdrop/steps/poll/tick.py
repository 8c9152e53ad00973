"""One tick: look at the batches that are due, wake the records that are due, dispatch; then sweep.

Looking takes no lease and writes only on a change. Which batches a tick looks at follows from their age alone
(every tick at first, then one tick in so many, spread by a hash), so nothing is written to remember it.
One shard's trouble never stops the tick.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from batchdrop.core import logs
from batchdrop.core.errors import BatchdropError
from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import PROJECT
from batchdrop.core.state.shard import Shard, ShardState
from batchdrop.ports import Batch, BatchState, Collection
from batchdrop.steps.context import Context
from batchdrop.steps.figures import queue_figures
from batchdrop.steps.next import wake
from batchdrop.steps.poll.report import write_report
from batchdrop.steps.poll.sweep import sweep
from batchdrop.steps.stack import beat
from batchdrop.steps.submit.dispatch import back_off, dispatch, free
from batchdrop.store import Stored

Polling = Context[PollSettings]

TICK = timedelta(minutes=1)
CANCEL_GRACE = timedelta(minutes=30)
"""How long after a cancel a batch may go on before its shard is ended without it."""
WAKE_AGAIN = timedelta(minutes=2)
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
    log(logs.TICK, severity="INFO", **done, **{name: swept[name] for name in logs.TICK_SWEPT}, **waiting)
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


def is_due(shard: Shard, now: datetime, settings: PollSettings) -> bool:
    """Decide by age alone whether this tick looks at a shard's batch."""
    age = now - (shard.submitted_at or shard.created_at)
    if age < timedelta(minutes=settings.look_first_minutes) or _must_cancel(shard, now):
        return True
    ticks = int(now.timestamp() / TICK.total_seconds())
    return (ticks + zlib.crc32(shard.shard_id.encode())) % settings.look_spread_ticks == 0


def _look(context: Polling, stored: Stored[Shard], done: dict[str, int]) -> None:
    shard, now = stored.value, context.now()
    batch = context.provider.get(shard.batch.name)
    if batch is None and shard.account != context.provider.account() and now < shard.deadline_at + CANCEL_GRACE:
        log("batch unreachable with this key", severity="ERROR", shard_id=shard.shard_id, batch=shard.batch.name)
    elif batch is None and now < (shard.submitted_at or now) + timedelta(seconds=context.settings.quarantine_seconds):
        log("batch not shown yet", severity="WARNING", shard_id=shard.shard_id, batch=shard.batch.name)
    elif batch is None:
        log("batch vanished", severity="ERROR", shard_id=shard.shard_id, batch=shard.batch.name)
        end_shard(context, stored, None)
        done["ended"] += 1
    elif batch.refused:
        requeue_refused(context, stored, batch)
        done["ended"] += 1
    elif batch.state.terminal:
        end_shard(context, stored, batch)
        done["ended"] += 1
    elif _overdue(shard, now):
        log("batch ended without an answer", severity="ERROR", shard_id=shard.shard_id, batch=batch.name)
        end_shard(context, stored, batch)
        done["ended"] += 1
    elif _must_cancel(shard, now) and shard.cancel_sent_at is None:
        context.provider.cancel(batch.name)
        context.store.change(stored, lambda shard: shard.cancel_sent(now, batch))
    elif batch.raw_state != shard.batch.raw_state:
        if batch.state is BatchState.UNKNOWN:
            log("unknown batch state", severity="ERROR", shard_id=shard.shard_id, state=batch.raw_state)
        context.store.change(stored, lambda shard: shard.seen(now, batch))


def _must_cancel(shard: Shard, now: datetime) -> bool:
    stuck = shard.batch_deadline_at is not None and now >= shard.batch_deadline_at
    return shard.stop is not None or now >= shard.deadline_at or stuck


def _overdue(shard: Shard, now: datetime) -> bool:
    return shard.cancel_sent_at is not None and now >= shard.cancel_sent_at + CANCEL_GRACE


def end_shard(context: Polling, stored: Stored[Shard], batch: Batch | None) -> None:
    """Record that the batch that was looked at will not change any more, free its capacity and wake the writer."""
    now, looked_at = context.now(), stored.value.batch.name
    shard = context.store.change(stored, lambda shard: shard.ended(now, looked_at, batch, now + WAKE_AGAIN)).value
    if shard.batch.name != looked_at:
        return
    log("batch ended", shard_id=shard.shard_id, batch=looked_at, state=shard.batch.state.value)
    wake(context, shard)
    free(context, shard, keep=shard.batch.state in (BatchState.CANCELLED, BatchState.CANCELLING))
    dispatch(context, shard.model)


def requeue_refused(context: Polling, stored: Stored[Shard], batch: Batch) -> None:
    """Queue a shard again whose batch was accepted and then refused for want of capacity: it ran nothing."""
    now = context.now()
    refused = context.store.change_if(stored, lambda shard: shard.refused_late(now, batch.name))
    if refused is None:  # another look did this already: the shard may wait for another batch by now
        return
    shard = refused.value
    log("batch refused late", severity="WARNING", shard_id=shard.shard_id, batch=batch.name)
    back_off(context, shard.model, None)
    free(context, shard)
    dispatch(context, shard.model)


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
            log(logs.JOB_OVERDUE, severity="ERROR", job_id=job.value.job_id, state=job.value.state.value)
        wake(context, job.value)
        done["woken"] += 1


def _dispatch_all(context: Polling, done: dict[str, int]) -> None:
    for document in context.store.documents.query(queries.ledgers()):
        if document.id != PROJECT:
            done["dispatched"] += dispatch(context, document.id)
