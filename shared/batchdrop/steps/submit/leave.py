"""Leaving submission without a batch: back to the queue, to the shard's end, or for as long as the stack is paused."""

from __future__ import annotations

from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.value import Failure
from batchdrop.ports import Unit
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import back_off, dispatch, free
from batchdrop.steps.next import wake
from batchdrop.steps.progress import hand_back, job_of, keep
from batchdrop.steps.stack import PAUSED_SECONDS, paused
from batchdrop.store import Stored

Submitting = Context[SubmitSettings]


def requeue(
    context: Submitting,
    stored: Stored[Shard],
    retry_after_seconds: float | None,
    unit: Unit | None = None,
) -> None:
    """Put a refused shard back in the queue with its file; nothing was created."""
    shard = stored.value
    back_off(context, shard, retry_after_seconds, unit)
    keep(context, stored, lambda shard: shard.requeued(context.now()))
    free(context, shard)


def end(context: Submitting, stored: Stored[Shard], stop: Failure) -> None:
    """End a shard that has no batch: its lines become error rows, or nothing when a parent has rows for them."""
    shard, now = stored.value, context.now()
    transition = (
        Shard.ended_without_batch if _rows_needed(context, shard) else Shard.cancelled
    )
    ended = keep(context, stored, lambda shard: transition(shard, now, stop)).value
    log(
        "shard ended without a batch",
        severity="WARNING",
        shard_id=shard.shard_id,
        code=stop.code,
    )
    free(context, shard)
    wake(context, ended)
    dispatch(context, shard.pool)


def waits_for_resume(context: Submitting, stored: Stored[Shard]) -> bool:
    """Give the lease back while the stack is paused: nothing new may be staged or created; tell whether it is."""
    if not paused(context):
        return False
    hand_back(context, stored, "PAUSED", seconds=PAUSED_SECONDS)
    return True


def _rows_needed(context: Submitting, shard: Shard) -> bool:
    """Tell whether a shard without a batch writes rows: a redo need not, unless its lines can be answered at once."""
    redo = shard.kind.repeats and shard.state is not ShardState.CREATING
    return not redo or job_of(context, shard).value.finish == "standard"
