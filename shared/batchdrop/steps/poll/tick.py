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
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.state.shard import Shard, ShardState
from batchdrop.core.value import Failure
from batchdrop.ports import Batch, BatchState, Collection, Topic
from batchdrop.steps.context import Context
from batchdrop.steps.figures import queue_figures
from batchdrop.steps.poll.report import write_report
from batchdrop.steps.poll.sweep import sweep
from batchdrop.steps.stack import beat
from batchdrop.steps.submit.dispatch import dispatch, free
from batchdrop.store import Stored

Polling = Context[PollSettings]

TICK = timedelta(minutes=1)
CANCEL_GRACE = timedelta(minutes=30)
"""How long after a cancel a batch may go on before its shard is ended without it."""
WAKE_AGAIN = timedelta(minutes=2)
OVERDUE = timedelta(hours=2)
"""From a job's deadline until somebody is told that it has not ended: its batches are cancelled and written first."""
IN_FLIGHT = 1000

_SUBMIT_STATES = frozenset({ShardState.QUEUED, ShardState.STAGING, ShardState.STAGED, ShardState.CREATING})


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
    elif batch.state.terminal:
        end_shard(context, stored, batch)
        done["ended"] += 1
    elif _overdue(shard, now):
        log("batch ended without an answer", severity="ERROR", shard_id=shard.shard_id, batch=batch.name)
        end_shard(context, stored, batch)
        done["ended"] += 1
    elif _must_cancel(shard, now) and shard.cancel_sent_at is None:
        context.provider.cancel(batch.name)
        context.store.change(stored, lambda value: _seen(value, batch, now, cancelled=True))
    elif batch.raw_state != shard.batch.raw_state:
        if batch.state is BatchState.UNKNOWN:
            log("unknown batch state", severity="ERROR", shard_id=shard.shard_id, state=batch.raw_state)
        context.store.change(stored, lambda value: _seen(value, batch, now, cancelled=False))


def _must_cancel(shard: Shard, now: datetime) -> bool:
    stuck = shard.batch_deadline_at is not None and now >= shard.batch_deadline_at
    return shard.stop is not None or now >= shard.deadline_at or stuck


def _overdue(shard: Shard, now: datetime) -> bool:
    return shard.cancel_sent_at is not None and now >= shard.cancel_sent_at + CANCEL_GRACE


def _seen(shard: Shard, batch: Batch, now: datetime, *, cancelled: bool) -> Shard | None:
    if shard.state is not ShardState.SUBMITTED:
        return None
    ref = shard.batch.with_(state=batch.state.value, raw_state=batch.raw_state)
    sent = now if cancelled and shard.cancel_sent_at is None else shard.cancel_sent_at
    return shard.with_(batch=ref, cancel_sent_at=sent, updated_at=now)


def end_shard(context: Polling, stored: Stored[Shard], batch: Batch | None) -> None:
    """Record that a batch will not change any more, let its capacity go and wake the writer."""
    now = context.now()

    def ended(shard: Shard) -> Shard | None:
        if shard.state is not ShardState.SUBMITTED:
            return None
        return shard.moved(ShardState.ENDED, now, batch=_ref(shard, batch), due_at=now + WAKE_AGAIN, **_why(shard))

    def _why(shard: Shard) -> dict[str, Failure]:
        stop = shard.stop
        if stop is None and now >= shard.deadline_at:
            stop = Failure(code="DEADLINE", message="the job's deadline passed before this line was answered")
        return {} if stop is None else {"stop": stop}

    shard = context.store.change(stored, ended).value
    log("batch ended", shard_id=shard.shard_id, batch=shard.batch.name, state=shard.batch.state)
    context.wake(Topic.BATCHES_FINISHED, shard.job_id, shard.shard_id)
    free(context, shard, keep=shard.batch.state in (BatchState.CANCELLED, BatchState.CANCELLING))
    dispatch(context, shard.model)


def _ref(shard: Shard, batch: Batch | None) -> object:
    if batch is None:
        return shard.batch.with_(state="GONE")
    return shard.batch.with_(
        state=batch.state.value,
        raw_state=batch.raw_state,
        output_file=batch.output_file,
        ended_at=batch.ended_at,
        error_code=batch.error_code,
        error_message=batch.error_message,
    )


def _wake_due(context: Polling, done: dict[str, int]) -> None:
    """Wake what is due: lost wakes, ended leases, deadlines, continuations and unpublished completions."""
    now, limit = context.now(), context.settings.due_limit
    for shard in context.store.shards(queries.due(Collection.SHARD, now, limit)):
        if shard.value.state is ShardState.SUBMITTED:
            continue
        topic = Topic.SHARDS if shard.value.state in _SUBMIT_STATES else Topic.BATCHES_FINISHED
        context.wake(topic, shard.value.job_id, shard.value.shard_id)
        done["woken"] += 1
    for job in context.store.jobs(queries.due(Collection.JOB, now, limit)):
        if now > job.value.deadline_at + OVERDUE and not job.value.state.terminal:
            log(logs.JOB_OVERDUE, severity="ERROR", job_id=job.value.job_id, state=job.value.state.value)
        context.wake(topic_of(job.value), job.value.job_id)
        done["woken"] += 1


def topic_of(job: Job) -> Topic:
    """Return who takes a job's next step: `submit` until its shards exist, then `write`."""
    planning = job.state in (JobState.RECEIVED, JobState.PLANNING, JobState.HELD)
    unspawned = job.state is JobState.RUNNING and (not job.spawned or job.wanted != "")
    return Topic.SHARDS if planning or unspawned else Topic.BATCHES_FINISHED


def _dispatch_all(context: Polling, done: dict[str, int]) -> None:
    for document in context.store.documents.query(queries.ledgers()):
        if document.id != PROJECT:
            done["dispatched"] += dispatch(context, document.id)
