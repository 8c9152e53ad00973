"""Creating: the intent is stored, one create call is sent, and what it proves is recorded.

    mark --> intent stored --> deadline checked again --> create --> Batch      adopted
                                                              |      Refused    the lines' answer
                                                              |      Busy       back to the queue, or again later
                                                              +----- Unknown    looked for, never sent again before

`mark` is what a service without names is asked before the intent: the batch can only be newer. Where a batch may be
running unknown to restored documents there is no mark, and the intent is followed by a look instead of a call.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import TransientError
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.batch import Intent as StoredIntent
from batchdrop.core.state.shard import Shard
from batchdrop.core.value import Failure
from batchdrop.ports import Batch, Busy, Intent, Mark, Refused, Unknown
from batchdrop.steps.context import Context
from batchdrop.steps.progress import hand_back, keep
from batchdrop.steps.submit.leave import end, requeue, waits_for_resume
from batchdrop.steps.submit.lost_state import may_have_run_before
from batchdrop.steps.submit.reconcile import adopt, intent_of, reconcile
from batchdrop.steps.submit.stage import stage_again
from batchdrop.steps.submit.times import create_seconds
from batchdrop.store import Stored

Submitting = Context[SubmitSettings]

INTENT_SECONDS: Final = 30.0
"""A create must be sent this soon after its intent; a pause in between makes the worker stop."""
FIRST_LOOK_SECONDS: Final = 3.0
"""After a create without an answer: most such batches are listed by then."""


def create(context: Submitting, stored: Stored[Shard]) -> None:
    """Write the intent, then send one create call; or look first, where a batch may be running unknown to us."""
    shard, batches = stored.value, context.provider_of(stored.value).batches
    if context.time_left.remaining() < create_seconds(context, shard):
        hand_back(context, stored, Code.TIME_OVER, seconds=0)
    elif waits_for_resume(context, stored):
        return
    elif shard.account != batches.account():
        stage_again(context, stored)
    else:
        look_first = may_have_run_before(context, shard)
        mark = None if look_first else batches.mark()
        # Asked before the intent: between its deadline's check and the call there is nothing a worker could pause in.
        intent = intent_of(context, shard, shard.attempts + 1, mark)
        stored = _intended(context, stored, mark)
        if look_first:
            hand_back(context, stored, Code.STATE_LOST, seconds=0)
        else:
            _send(context, stored, intent)


def _intended(
    context: Submitting, stored: Stored[Shard], mark: Mark | None
) -> Stored[Shard]:
    """Write the intent and check its deadline again.

    Raises:
        TransientError: INTENT_LATE, this worker was paused in between; nothing was sent.
    """
    before, now = context.clock.monotonic(), context.now()
    intent = StoredIntent(
        attempt=stored.value.attempts + 1,
        at=now,
        deadline=now + timedelta(seconds=INTENT_SECONDS),
        mark=mark,
    )
    stored = keep(context, stored, lambda shard: shard.intended(now, intent))
    waited = context.clock.monotonic() - before
    late = waited > INTENT_SECONDS or context.now() > intent.deadline
    if late:
        keep(context, stored, lambda shard: shard.not_sent(context.now()))
        raise TransientError("paused between intent and create", code=Code.INTENT_LATE)
    return stored


def _send(context: Submitting, stored: Stored[Shard], intent: Intent) -> None:
    """Send one create call and record what is known.

    Raises:
        TransientError: The provider could not be asked; nothing was created.
    """
    created = context.provider_of(stored.value).batches.create(intent)
    match created:
        case Batch():
            adopt(context, stored, created, ())
        case Refused():
            end(context, stored, Failure(code=created.code, message=created.message))
        case Busy(unit=None):
            keep(context, stored, lambda shard: shard.not_created(context.now()))
            raise TransientError(created.message, code=created.code)
        case Busy():
            requeue(context, stored, created.retry_after_seconds, created.unit)
        case Unknown():
            context.clock.pause(FIRST_LOOK_SECONDS, FIRST_LOOK_SECONDS)
            reconcile(context, stored)
