"""A look at one batch: what the provider says of it becomes the shard's next state.

    the provider says                              the shard
    it runs, in another word than recorded         keeps the word
    it runs, and must not any more                 the batch is told to cancel; half an hour later: ENDED without it
    it has ended, its results may still change     keeps the word and the parts, until two looks show the same
    it has ended                                   ENDED
    it was refused after it had been accepted      QUEUED: it ran nothing and costs nothing
    nothing, within the quarantine                 stays: services show a batch late
    nothing                                        ENDED: it is gone
    nothing, and the account is another            stays until after its deadline: it is out of reach

The tick takes this step for batches that are due; a wake on the topic `looks` takes it at once. A look takes no lease:
two of them may meet, so each change names the batch that was looked at and applies only while the shard has that one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.ports import Batch, Batches, BatchState, Cause
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import back_off, dispatch, free
from batchdrop.steps.next import wake
from batchdrop.store import Stored

Polling = Context[PollSettings]

CANCEL_GRACE: Final = timedelta(minutes=30)
"""How long after a cancel a batch may go on before its shard is ended without it."""
WAKE_AGAIN: Final = timedelta(minutes=2)


def look_at_shard(context: Polling, shard_id: str) -> None:
    """Look at the batch of a shard that somebody was told to look at."""
    stored = context.store.shard(shard_id)
    if stored is None:
        log("wake for an unknown shard", severity="WARNING", shard_id=shard_id)
    elif stored.value.state is ShardState.SUBMITTED:
        batches = context.provider_of(stored.value).batches
        look(context, stored, batches.get(stored.value.batch.name))


def look(context: Polling, stored: Stored[Shard], batch: Batch | None) -> bool:
    """Act on what the provider says of a submitted shard's batch; return whether the shard's wait for it is over."""
    shard, now = stored.value, context.now()
    batches = context.provider_of(shard).batches
    if batch is None:
        return _look_at_nothing(context, stored, batches)
    if batch.ran_nothing:
        requeue_refused(context, stored, batch)
        return True
    if batch.state.terminal:
        return _look_at_end(context, stored, batch)
    if shard.ignores_cancel(now, CANCEL_GRACE):
        log(
            "batch ended without an answer",
            severity="ERROR",
            shard_id=shard.shard_id,
            batch=batch.name,
        )
        end_shard(context, stored, batch)
        return True
    if shard.must_not_go_on(now) and shard.cancel_sent_at is None:
        batches.cancel(batch.name)
        context.store.change(stored, lambda shard: shard.cancel_sent(now, batch))
    elif batch.raw_state != shard.batch.raw_state:
        _keep_word(context, stored, batch)
    return False


def _look_at_end(context: Polling, stored: Stored[Shard], batch: Batch) -> bool:
    """End the shard when what its batch says is settled; services export late, and count late."""
    facts, now = context.provider_of(stored.value).facts, context.now()
    ref = stored.value.batch
    settled = not facts.settle_seconds or ref.settled(batch, now, facts)
    if settled:
        end_shard(context, stored, batch)
    elif not ref.knows(batch):
        context.store.change(stored, lambda shard: shard.seen(now, batch))
    return settled


def _keep_word(context: Polling, stored: Stored[Shard], batch: Batch) -> None:
    if batch.state is BatchState.UNKNOWN:
        log(
            "unknown batch state",
            severity="ERROR",
            shard_id=stored.value.shard_id,
            state=batch.raw_state,
        )
    now = context.now()
    context.store.change(stored, lambda shard: shard.seen(now, batch))


def _look_at_nothing(context: Polling, stored: Stored[Shard], batches: Batches) -> bool:
    """Decide what it means that the provider does not know the batch."""
    shard, now = stored.value, context.now()
    shown_by = (shard.submitted_at or now) + timedelta(
        seconds=context.settings.quarantine_seconds
    )
    if shard.account != batches.account() and now < shard.deadline_at + CANCEL_GRACE:
        log(
            "batch unreachable with this key",
            severity="ERROR",
            shard_id=shard.shard_id,
            batch=shard.batch.name,
        )
        return False
    if now < shown_by:
        log(
            "batch not shown yet",
            severity="WARNING",
            shard_id=shard.shard_id,
            batch=shard.batch.name,
        )
        return False
    log(
        "batch vanished",
        severity="ERROR",
        shard_id=shard.shard_id,
        batch=shard.batch.name,
    )
    end_shard(context, stored, None)
    return True


def end_shard(context: Polling, stored: Stored[Shard], batch: Batch | None) -> None:
    """Record that the batch that was looked at will not change any more, free its capacity and wake the writer."""
    now, looked_at = context.now(), stored.value.batch.name
    shard = context.store.change(
        stored, lambda shard: shard.ended(now, looked_at, batch, now + WAKE_AGAIN)
    ).value
    if shard.batch.name != looked_at:
        return
    log(
        "batch ended",
        shard_id=shard.shard_id,
        batch=looked_at,
        state=shard.batch.state.value,
    )
    if shard.batch.cause is Cause.OURS:
        log(
            "the provider could not read our lines",
            severity="ERROR",
            shard_id=shard.shard_id,
            batch=looked_at,
        )
    wake(context, shard)
    free(
        context,
        shard,
        keep=shard.batch.state in (BatchState.CANCELLED, BatchState.CANCELLING),
    )
    dispatch(context, shard.pool)


def requeue_refused(context: Polling, stored: Stored[Shard], batch: Batch) -> None:
    """Queue a shard again whose batch was accepted and then refused for want of capacity: it ran nothing."""
    now = context.now()
    refused = context.store.change_if(
        stored, lambda shard: shard.refused_late(now, batch.name)
    )
    if (
        refused is None
    ):  # another look did this already: the shard may wait for another batch by now
        return
    shard = refused.value
    log(
        "batch refused late",
        severity="WARNING",
        shard_id=shard.shard_id,
        batch=batch.name,
    )
    back_off(context, shard, None, made_at=batch.created_at)
    free(context, shard)
    dispatch(context, shard.pool)
