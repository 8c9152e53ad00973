"""Submission: a dispatched shard becomes a batch at the provider, at most one of which is ever adopted.

    STAGING --stage--> STAGED --intent--> CREATING --create--> SUBMITTED
                          ^                  |  in doubt (timeout, crash, 5xx): never repeat
                          |                  v
                          +-- quarantine -- reconcile: `find`, by what was known before the call
                              is over,        ours      -> adopt the oldest, cancel the others
                              none            in doubt, none, could not look -> wait

Where the stack's documents were lost or restored, an upload from before has its batches looked for first, once: the
first intent since then is not followed by a create but by the same look and quarantine. A stack whose documents do
not last (`documents_last`) ends it there, unless its batch is found.

`intent` is written before the call with a deadline: a worker that was paused past it does not send. The
quarantine outlasts the deadline, the server's own timeout and the lag of its listing, so that a batch that is not in a
listing begun after it was never created. Creating is idempotent at no provider.
"""

from __future__ import annotations

from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, LeaseLostError
from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.value import Failure
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import dispatch
from batchdrop.steps.progress import hand_back
from batchdrop.steps.submit.create import create
from batchdrop.steps.submit.leave import end, waits_for_resume
from batchdrop.steps.submit.reconcile import reconcile
from batchdrop.steps.submit.stage import stage
from batchdrop.store import Stored

_S = ShardState
STATES = frozenset({_S.STAGING, _S.STAGED, _S.CREATING})
_POISONED: Final = Failure(
    code=Code.POISONED,
    message="submitting this shard crashed repeatedly; it was given up",
)

Submitting = Context[SubmitSettings]


def advance_shard(context: Submitting, shard_id: str) -> None:
    """Take a shard as far as it goes now; its `due_at` drives every next step, so this never needs a retry."""
    stored = context.store.shard(shard_id)
    if stored is None:
        log("wake for an unknown shard", severity="WARNING", shard_id=shard_id)
    elif stored.value.state is _S.QUEUED:
        _queued(context, stored)
    elif stored.value.state in STATES:
        _claimed(context, stored)


def _queued(context: Submitting, stored: Stored[Shard]) -> None:
    stop = stored.value.must_stop(context.now())
    if stop is None:
        dispatch(context, stored.value.pool)
    else:
        end(context, stored, stop)


def _claimed(context: Submitting, stored: Stored[Shard]) -> None:
    lease_seconds = context.settings.lease_seconds
    stored = context.store.claim(stored, context.now(), lease_seconds, STATES)
    try:
        _advance(context, stored)
    except LeaseLostError:
        raise
    except BatchdropError as error:
        hand_back(
            context, stored, error.code, seconds=context.settings.reconcile_seconds
        )


def _advance(context: Submitting, stored: Stored[Shard]) -> None:
    known: Stored[Shard] | None = stored
    if stored.value.state is _S.CREATING:
        # Whatever else is true of the shard: its batch may be running.
        known = reconcile(context, stored)
    if known is None or known.value.state not in STATES:
        return
    stop = _must_end(context, known.value)
    if stop is not None:
        end(context, known, stop)
        return
    if waits_for_resume(context, known):
        return
    if known.value.state is _S.STAGING:
        known = stage(context, known)
    if known is not None:
        create(context, known)


def _must_end(context: Submitting, shard: Shard) -> Failure | None:
    """Return why no batch is made of it (any more)."""
    if shard.claims > context.settings.max_claims:
        return _POISONED
    return shard.must_stop(context.now())
