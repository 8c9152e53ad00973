"""Submission: a dispatched shard becomes a batch at the provider, at most one of which is ever adopted.

    STAGING --upload--> STAGED --intent--> CREATING --create--> SUBMITTED
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

from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.errors import (
    BatchdropError,
    CapacityError,
    LeaseLostError,
    PermanentError,
    TransientError,
)
from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.batch import BatchRef
from batchdrop.core.state.batch import Intent as StoredIntent
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.value import Failure
from batchdrop.ports import (
    Batch,
    BatchKind,
    Busy,
    Intent,
    Refused,
    Sight,
    Unit,
    Unknown,
)
from batchdrop.steps.attach import attach, uris
from batchdrop.steps.cache import with_cache
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import back_off, dispatch, free
from batchdrop.steps.next import wake
from batchdrop.steps.progress import hand_back, job_of, keep
from batchdrop.steps.shard_lines import rendered, rendered_size
from batchdrop.steps.stack import (
    PAUSED_SECONDS,
    may_cancel,
    paused,
    recovered_at,
    stack_id,
)
from batchdrop.store import Stored

_S = ShardState
STATES = frozenset({_S.STAGING, _S.STAGED, _S.CREATING})
FIRST_LOOK_SECONDS = 3.0
"""After a create without an answer: most such batches are listed by then."""
INTENT_SECONDS = 30.0
"""A create must be sent this soon after its intent; a pause in between makes the worker stop."""
FILE_MARGIN = timedelta(hours=1)
_STATE_LOST: Final = Failure(
    code="STATE_LOST",
    message="What was known of this upload was lost with the stack's documents, no batch of it was found, and it is not"
    " run unasked: upload it again, or run `batchdrop rerun`.",
)

Submitting = Context[SubmitSettings]


def advance_shard(context: Submitting, shard_id: str) -> None:
    """Take a shard as far as it goes now; its `due_at` drives every next step, so this never needs a retry."""
    stored = context.store.shard(shard_id)
    if stored is None:
        log("wake for an unknown shard", severity="WARNING", shard_id=shard_id)
        return
    if stored.value.state is _S.QUEUED:
        _queued(context, stored)
        return
    if stored.value.state not in STATES:
        return
    stored = context.store.claim(
        stored, context.now(), context.settings.lease_seconds, STATES
    )
    try:
        _advance(context, stored)
    except LeaseLostError:
        raise
    except BatchdropError as error:
        hand_back(
            context, stored, error.code, seconds=context.settings.reconcile_seconds
        )


def _advance(context: Submitting, stored: Stored[Shard]) -> None:
    if (
        stored.value.state is _S.CREATING
    ):  # whatever else is true of the shard: its batch may be running
        found = _reconcile(context, stored)
        if found is None:
            return
        stored = found
    if (
        stored.value.claims > context.settings.max_claims
        and stored.value.state in STATES
    ):
        stop = Failure(
            code="POISONED",
            message="submitting this shard crashed repeatedly; it was given up",
        )
        _end(context, stored, stop)
        return
    if stored.value.state in STATES:
        stop = stored.value.must_stop(context.now())
        if stop is not None:
            _end(context, stored, stop)
            return
        if _waits_for_resume(context, stored):
            return
    if stored.value.state is _S.STAGING:
        staged = _stage(context, stored)
        if staged is None:
            return
        stored = staged
    if stored.value.state is _S.STAGED:
        _create(context, stored)


def _waits_for_resume(context: Submitting, stored: Stored[Shard]) -> bool:
    """Give the lease back while the stack is paused: nothing new may be staged or created; tell whether it is."""
    if not paused(context):
        return False
    hand_back(context, stored, "PAUSED", seconds=PAUSED_SECONDS)
    return True


def _queued(context: Submitting, stored: Stored[Shard]) -> None:
    stop = stored.value.must_stop(context.now())
    if stop is None:
        dispatch(context, stored.value.pool)
    else:
        _end(context, stored, stop)


def _stage(context: Submitting, stored: Stored[Shard]) -> Stored[Shard] | None:
    """Upload the rendered shard unless a file that will outlive the wait is there already."""
    shard, now = stored.value, context.now()
    provider = context.provider_of(shard)
    account = provider.batches.account()
    if _only_collected(context, shard):
        return keep(context, stored, lambda shard: shard.still_staged(now, account))
    outlives = (
        shard.file_expires_at is None or now + FILE_MARGIN < shard.file_expires_at
    )
    if shard.file and outlives and shard.account == account:
        return keep(context, stored, lambda shard: shard.still_staged(now, account))
    name = names.display_name(stack_id(context), shard.shard_id)
    try:
        job = with_cache(context, job_of(context, shard))
        attached = attach(context, stored, job)
        if attached is None:
            return None
        stored, files = attached
        size = rendered_size(context, job, shard, uris(files))
        staged = provider.batches.stage(
            rendered(context, job, shard, uris(files)), size=size, name=name
        )
    except CapacityError as error:
        _requeue(context, stored, error.retry_after_seconds)
        return None
    except PermanentError as error:
        _end(context, stored, Failure(code=error.code, message=error.sentence))
        return None
    log("shard staged", shard_id=shard.shard_id, bytes=size)
    margin = _batch_deadline(context, shard) - FILE_MARGIN
    ends = [
        end
        for end in (staged.expires_at, *(file.expires_at - margin for file in files))
        if end is not None
    ]
    expires_at = min(ends, default=None)
    now, account = context.now(), provider.batches.account()
    return keep(
        context,
        stored,
        lambda shard: shard.staged(now, staged.reference, expires_at, account),
    )


def _create(context: Submitting, stored: Stored[Shard]) -> None:
    """Write the intent, then send one create call; or look first, where a batch may be running unknown to us."""
    if context.time_left.remaining() < context.settings.create_timeout_seconds:
        hand_back(context, stored, "TIME_OVER", seconds=0)
    elif _waits_for_resume(context, stored):
        return
    elif stored.value.account != context.provider_of(stored.value).batches.account():
        _stage_again(context, stored)
    else:
        # Asked before the intent: between its deadline's check and the call there is nothing a worker could pause in.
        intent = _intent(context, stored.value, stored.value.attempts + 1)
        look_first = _may_have_run_before(context, stored.value)
        stored = _intended(context, stored)
        if look_first:
            hand_back(context, stored, "STATE_LOST", seconds=0)
        else:
            _send(context, stored, intent)


def _stage_again(context: Submitting, stored: Stored[Shard]) -> None:
    """Queue a shard whose file is of a key that was changed since."""
    shard, now = stored.value, context.now()
    keep(context, stored, lambda shard: shard.requeued_without_file(now))
    free(context, shard)
    dispatch(context, shard.pool)


def _intended(context: Submitting, stored: Stored[Shard]) -> Stored[Shard]:
    """Write the intent and check its deadline again.

    Raises:
        TransientError: INTENT_LATE, this worker was paused in between; nothing was sent.
    """
    before, now = context.clock.monotonic(), context.now()
    intent = StoredIntent(
        attempt=stored.value.attempts + 1,
        at=now,
        deadline=now + timedelta(seconds=INTENT_SECONDS),
    )
    stored = keep(context, stored, lambda shard: shard.intended(now, intent))
    late = (
        context.clock.monotonic() - before > INTENT_SECONDS
        or context.now() > intent.deadline
    )
    if late:
        keep(context, stored, lambda shard: shard.not_sent(context.now()))
        raise TransientError("paused between intent and create", code="INTENT_LATE")
    return stored


def _intent(context: Submitting, shard: Shard, attempt: int) -> Intent:
    """Return what a provider is told of a shard: enough to create its batch, and to find it."""
    return Intent(
        name=names.display_name(stack_id(context), shard.shard_id),
        model=shard.model,
        kind=BatchKind(shard.batch_kind),
        staged=shard.file or "",
        requests=shard.requests,
        attempt=attempt,
        timeout_seconds=context.settings.create_timeout_seconds,
        past=frozenset(shard.never_adopted),
    )


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
            _end(context, stored, Failure(code=created.code, message=created.message))
        case Busy(unit=None):
            keep(context, stored, lambda shard: shard.not_created(context.now()))
            raise TransientError(created.message, code=created.code)
        case Busy():
            _requeue(context, stored, created.retry_after_seconds, created.unit)
        case Unknown():
            context.clock.pause(FIRST_LOOK_SECONDS, FIRST_LOOK_SECONDS)
            _reconcile(context, stored)


def _may_have_run_before(context: Submitting, shard: Shard) -> bool:
    """True for a shard whose batch was not looked for since documents were lost that may have named it.

    However often it was tried before: what a restored document says of that is older than what was done.
    """
    recovered = recovered_at(context)
    if recovered is None or (
        shard.sought_at is not None and shard.sought_at >= recovered
    ):
        return False
    return job_of(context, shard).value.source.uploaded_at < recovered


def _only_collected(context: Submitting, shard: Shard) -> bool:
    """True for a shard of which a batch that runs is adopted, and nothing is made: no file, no cache, no batch."""
    return not context.settings.documents_last and _may_have_run_before(context, shard)


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
    now = context.now()
    deadline = now + _batch_deadline(context, stored.value)
    log(
        "batch submitted",
        shard_id=stored.value.shard_id,
        batch=batch.name,
        duplicates=len(duplicates),
    )
    return keep(context, stored, lambda shard: shard.submitted(now, ref, deadline))


def _reconcile(context: Submitting, stored: Stored[Shard]) -> Stored[Shard] | None:
    """Find out whether an intent became a batch; None while that is not known yet."""
    shard, settings = stored.value, context.settings
    batches = context.provider_of(shard).batches
    looked_at = (
        context.now()
    )  # before the listing: a pause after it does not make what it did not show lost
    found = batches.find(
        _intent(context, shard, shard.attempts), context.time_left.over
    )
    if found.sight is Sight.COULD_NOT_LOOK:
        raise TransientError(
            "the provider's batches could not be seen whole", code=found.code
        )
    if found.sight is Sight.IN_DOUBT:
        hand_back(context, stored, "IN_DOUBT", seconds=settings.reconcile_seconds)
        return None
    if found.sight is Sight.OURS:
        oldest, *others = found.batches
        for other in others:
            if may_cancel(context, other):
                batches.cancel(other.name)
            log(
                "duplicate batch found",
                severity="ERROR",
                shard_id=shard.shard_id,
                batch=other.name,
            )
        return adopt(context, stored, oldest, tuple(batch.name for batch in others))
    if shard.account != batches.account():
        log(
            "batch unreachable with this key", severity="ERROR", shard_id=shard.shard_id
        )
        hand_back(
            context, stored, "ACCOUNT_CHANGED", seconds=settings.reconcile_seconds
        )
        return None
    quiet_until = _last_intent(context, shard) + timedelta(
        seconds=settings.quarantine_seconds
    )
    if looked_at < quiet_until:
        wait = min(
            settings.reconcile_seconds,
            max((quiet_until - context.now()).total_seconds(), 0),
        )
        hand_back(context, stored, "QUARANTINE", seconds=wait)
        return None
    if _only_collected(context, shard):
        _end(context, stored, _STATE_LOST)
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


def _last_intent(context: Submitting, shard: Shard) -> datetime:
    """Return when a create call of this shard was last intended, as far as its document can know.

    One that was restored may have forgotten a later intent, up to the moment of the recovery.
    """
    recovered, known = (
        recovered_at(context),
        shard.intent.at if shard.intent else shard.updated_at,
    )
    return known if recovered is None else max(known, recovered)


def _requeue(
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


def _end(context: Submitting, stored: Stored[Shard], stop: Failure) -> None:
    """End a shard that has no batch: its lines become error rows, or nothing when a parent has rows for them."""
    shard, now = stored.value, context.now()
    if _rows_needed(context, shard):
        ended = keep(
            context, stored, lambda shard: shard.ended_without_batch(now, stop)
        ).value
    else:
        ended = keep(context, stored, lambda shard: shard.cancelled(now, stop)).value
    log(
        "shard ended without a batch",
        severity="WARNING",
        shard_id=shard.shard_id,
        code=stop.code,
    )
    free(context, shard)
    wake(context, ended)
    dispatch(context, shard.pool)


def _rows_needed(context: Submitting, shard: Shard) -> bool:
    """Tell whether a shard without a batch writes rows: a redo need not, unless its lines can be answered at once."""
    redo = shard.kind.repeats and shard.state is not _S.CREATING
    return not redo or job_of(context, shard).value.finish == "standard"


def _batch_deadline(context: Submitting, shard: Shard) -> timedelta:
    facts = context.provider_of(shard).facts
    return timedelta(
        seconds=context.settings.batch_deadline_seconds(facts, shard.model)
    )
