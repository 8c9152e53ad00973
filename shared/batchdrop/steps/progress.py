"""Progress: what a step keeps of its work, and how it gives its document back.

    claim --> step --> keep --> keep --> the next state         the work is done
                         |        +----> go_on_later            the time is over: a new message goes on
                         +-------------> hand_back              it failed in a way time can mend: the tick wakes it

All of it under the fence of the claim: a worker that lost its lease meanwhile changes nothing and gets LeaseLostError.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake
from batchdrop.store import Stored

RETRY_SECONDS: Final = 30.0
"""After a failure that time can mend."""

R = TypeVar("R", Job, Shard)


def keep(
    context: Context[CommonSettings],
    stored: Stored[R],
    transition: Callable[[R], R | None],
) -> Stored[R]:
    """Apply a transition while the lease is ours.

    Raises:
        LeaseLostError: Another worker owns the document.
    """
    return context.store.change(stored, transition, fence=stored.value.fence)


def hand_back(
    context: Context[CommonSettings],
    stored: Stored[R],
    code: str,
    *,
    seconds: float = RETRY_SECONDS,
    severity: str = "INFO",
    last: Callable[[R], R] = lambda value: value,
) -> None:
    """Give the lease back and say why; the tick wakes the document when it is due.

    It is read again first: the step that failed may have kept something. Who has handed it back already, with a
    change of state or because it goes on later, has said when it is due, and that stays.

    Args:
        context: The call's surroundings.
        stored: The document as claimed, or as read since.
        code: Why it waits.
        seconds: Until it is due.
        severity: Of the line in the log.
        last: A change that is made together with it.

    Raises:
        LeaseLostError: Another worker owns the document.
    """
    now = context.now()
    due_at = now + timedelta(seconds=seconds)

    def handed_back(value: R) -> R | None:
        if value.lease_until is None:
            return None
        return last(value.handed_back(now, due_at))

    fence = stored.value.fence
    stored = context.store.change(
        context.store.reload(stored), handed_back, fence=fence
    )
    _say_waits(stored.value, code, severity)


def _say_waits(value: Job | Shard, code: str, severity: str) -> None:
    state = value.state.value
    if isinstance(value, Shard):
        message, ids = "shard waits", {"shard_id": value.shard_id}
    else:
        message, ids = "job waits", {"job_id": value.job_id}
    log(message, severity=severity, **ids, state=state, code=code)


def go_on_later(
    context: Context[CommonSettings],
    stored: Stored[R],
    progress: Callable[[R], R] = lambda value: value,
    *,
    seconds: float = 0,
) -> None:
    """Keep where the step is and give the lease back in one change, then wake the document; the tick wakes it again.

    Args:
        context: The call's surroundings.
        stored: The document as claimed, or as read since.
        progress: Keeps where the step is.
        seconds: Until it is due; only what is due now is woken here.
    """
    now = context.now()
    due_at = now + timedelta(seconds=seconds)
    stored = keep(
        context, stored, lambda value: progress(value).handed_back(now, due_at)
    )
    if not seconds:
        wake(context, stored.value)


def job_of(context: Context[CommonSettings], shard: Shard) -> Stored[Job]:
    """Read a shard's job.

    Raises:
        PermanentError: DOCUMENT_GONE.
    """
    stored = context.store.job(shard.job_id)
    if stored is None:
        raise PermanentError("the shard's job is gone", code=Code.DOCUMENT_GONE)
    return stored
