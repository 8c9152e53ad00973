"""Reconciling: whether an intent became a batch is found out by looking, as often and as long as that takes.

    find says         the shard
    could not look    stays in doubt
    ours              adopts the oldest; the others are cancelled and reported
    in doubt          stays in doubt while a batch that may be its own runs: batches of other shards are left out
    none              stays in doubt until the quarantine is over (and, where its provider shows a batch late, a second
                      look some time after the first says the same); then nothing was created

A batch without a name of ours gets an owner before its shard records it: a document that is created once, so that of
two shards that may take it one does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import TransientError
from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.batch import BatchRef, Owner
from batchdrop.core.state.shard import Shard
from batchdrop.core.value import Failure
from batchdrop.ports import Batch, BatchKind, Found, Intent, Mark, Sight
from batchdrop.steps.context import Context
from batchdrop.steps.progress import hand_back, keep
from batchdrop.steps.stack import may_cancel, stack_id
from batchdrop.steps.submit.leave import end
from batchdrop.steps.submit.lost_state import last_intent, only_collected
from batchdrop.steps.submit.times import batch_deadline, create_seconds
from batchdrop.store import Stored

Submitting = Context[SubmitSettings]

_STATE_LOST: Final = Failure(
    code=Code.STATE_LOST,
    message="What was known of this upload was lost with the stack's documents, no batch of it was found, and it is not"
    " run unasked: upload it again, or run `batchdrop rerun`.",
)


def intent_of(
    context: Submitting, shard: Shard, attempt: int, mark: Mark | None
) -> Intent:
    """Return what a provider is told of a shard: enough to create its batch, and to find it."""
    return Intent(
        name=names.display_name(stack_id(context), shard.shard_id),
        model=shard.model,
        kind=BatchKind(shard.batch_kind),
        staged=shard.file or "",
        requests=shard.requests,
        wire=shard.wire,
        mark=mark,
        attempt=attempt,
        timeout_seconds=create_seconds(context, shard),
        past=frozenset(shard.never_adopted),
    )


def reconcile(context: Submitting, stored: Stored[Shard]) -> Stored[Shard] | None:
    """Find out whether an intent became a batch; None while that is not known yet.

    Raises:
        TransientError: Not everything was seen.
    """
    # Before the listing: a pause after it does not make what it did not show lost.
    looked_at = context.now()
    found = _found(context, stored.value)
    if found.sight is Sight.COULD_NOT_LOOK:
        raise TransientError(
            "the provider's batches could not be seen whole", code=found.code
        )
    if found.sight is Sight.OURS:
        return _adopt_oldest(context, stored, found.batches)
    if found.sight is Sight.IN_DOUBT and _nobodys(context, stored.value, found):
        _wait(context, stored, "IN_DOUBT")
        return None
    return _none(context, stored, looked_at)


def _found(context: Submitting, shard: Shard) -> Found:
    intent = intent_of(context, shard, shard.attempts, shard.mark)
    batches = context.provider_of(shard).batches
    return batches.find(intent, context.time_left.over)


def _nobodys(context: Submitting, shard: Shard, found: Found) -> bool:
    """Tell whether one of the batches in doubt has no owner, or this very shard: the others are decided."""
    owners = (
        context.store.owners.get(names.owner(shard.provider, batch.name))
        for batch in found.batches
    )
    return any(owner is None or owner.shard_id == shard.shard_id for owner in owners)


def _adopt_oldest(
    context: Submitting, stored: Stored[Shard], ours: tuple[Batch, ...]
) -> Stored[Shard]:
    oldest, *others = ours
    for other in others:
        if may_cancel(context, other):
            context.provider_of(stored.value).batches.cancel(other.name)
        log(
            "duplicate batch found",
            severity="ERROR",
            shard_id=stored.value.shard_id,
            batch=other.name,
        )
    return adopt(context, stored, oldest, tuple(batch.name for batch in others))


def adopt(
    context: Submitting,
    stored: Stored[Shard],
    batch: Batch,
    duplicates: tuple[str, ...],
) -> Stored[Shard]:
    """Record the batch as the shard's own; the first recorded adoption is final."""
    ref = BatchRef(
        name=batch.name,
        state=batch.state,
        raw_state=batch.raw_state,
        created_at=batch.created_at,
        duplicates=duplicates,
    )
    _own(context, stored.value, batch)
    now = context.now()
    deadline = now + batch_deadline(context, stored.value)
    log(
        "batch submitted",
        shard_id=stored.value.shard_id,
        batch=batch.name,
        duplicates=len(duplicates),
    )
    return keep(context, stored, lambda shard: shard.submitted(now, ref, deadline))


def _own(context: Submitting, shard: Shard, batch: Batch) -> None:
    """Say whose a batch is that carries no name.

    Raises:
        TransientError: BATCH_OWNED, it is another shard's.
    """
    if context.provider_of(shard).facts.names_batches:
        return
    expires_at = context.now() + timedelta(days=context.settings.record_days)
    owner = context.store.owners.ensure(
        names.owner(shard.provider, batch.name),
        Owner(shard_id=shard.shard_id),
        {"expire_at": expires_at},
    )
    if owner.shard_id != shard.shard_id:
        raise TransientError("the batch is another shard's", code="BATCH_OWNED")


def _none(
    context: Submitting, stored: Stored[Shard], looked_at: datetime
) -> Stored[Shard] | None:
    """Wait until a look that shows no batch proves that there is none; then say so."""
    shard = stored.value
    if shard.account != context.provider_of(shard).batches.account():
        log(
            "batch unreachable with this key", severity="ERROR", shard_id=shard.shard_id
        )
        _wait(context, stored, "ACCOUNT_CHANGED")
        return None
    quarantine = timedelta(seconds=context.settings.quarantine_seconds)
    quiet_until = last_intent(context, shard) + quarantine
    if looked_at < quiet_until:
        _wait(context, stored, "QUARANTINE", until=quiet_until)
        return None
    proof_at = _proof_at(context, shard, looked_at)
    if looked_at < proof_at:
        stored = keep(context, stored, lambda shard: shard.unseen(looked_at))
        _wait(context, stored, "QUARANTINE", until=proof_at)
        return None
    if only_collected(context, shard):
        end(context, stored, _STATE_LOST)
        return None
    log(
        "create proved lost",
        severity="WARNING",
        shard_id=shard.shard_id,
        attempt=shard.attempts,
    )
    return keep(
        context, stored, lambda shard: shard.proved_lost(context.now(), looked_at)
    )


def _proof_at(context: Submitting, shard: Shard, looked_at: datetime) -> datetime:
    """Return when a look that shows no batch is proof: some time after the first that showed none."""
    facts = context.provider_of(shard).facts
    apart = timedelta(seconds=facts.proof_seconds)
    return (shard.unseen_at or looked_at) + apart


def _wait(
    context: Submitting,
    stored: Stored[Shard],
    code: str,
    until: datetime | None = None,
) -> None:
    """Give the lease back and look again in a while, or at that time if it is sooner."""
    seconds = context.settings.reconcile_seconds
    if until is not None:
        left = (until - context.now()).total_seconds()
        seconds = min(seconds, max(left, 0))
    hand_back(context, stored, code, seconds=seconds)
