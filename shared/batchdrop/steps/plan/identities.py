"""Identities at work: of equal requests one runs, the others wait for it, and one of them takes over if it fails.

    identities/<digest>  absent                      created with the job's id: the job runs
                         names a job that runs       HELD (SAME_AS), looked at again until that job has ended
                         names a complete job        DUPLICATE: that job's rows answer the upload
                         names one that ended else   taken over by compare-and-set: the job runs

The document lists who waits; the job it names wakes them when it has ended. Each of them looks for itself as well
(`holding`), so nothing is lost with a lost message or a full list. A document lives as long as the window; a job that
crashed behind its creation finds its own id there.

    waiter   enters the list -> reads the holder's state -> HELD        a wake that finds it still at work is lost, and
    holder   ends -> reads the list -> wakes -> its end is recorded     made up for by its own next look, in a minute
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from batchdrop.core.errors import ConflictError, TransientError
from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings, SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.identity import identity
from batchdrop.core.state.job import Job, JobState, SameRows
from batchdrop.core.value import Failure, Value
from batchdrop.ports import Collection, Document, Topic
from batchdrop.steps.context import Context
from batchdrop.store import ATTEMPTS, LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS

Planning = Context[SubmitSettings]

SAME_AS: Final = "SAME_AS"
WAITING: Final = 100
"""Jobs that an identity lists as waiting; those beyond look for themselves only."""
SCHEMA: Final = "batchdrop.identity/1"
PROVIDER: Final = "gemini"


class Holder(Value):
    """Which job answers a request, until when that counts, and who waits for its end."""

    job_id: str
    until: datetime
    waiting: tuple[str, ...] = ()

    def joined_by(self, job_id: str) -> Holder:
        """A job waits for its end."""
        return self._with(waiting=(*self.waiting, job_id))


def identify(job: Job, content: str, attached: str) -> str:
    """Return the identity of a job whose lines were all read."""
    return identity(
        content,
        attached,
        metadata=job.metadata,
        team=job.team,
        recipe=job.recipe_digest,
        model=f"{PROVIDER}:{job.model}",
        form=f"{job.dialect} {job.dialect_url}",
    )


def original(context: Planning, job: Job, digest: str) -> Job | None:
    """Return the job that answers this request already; None: from now on it is this one.

    Raises:
        TransientError: Others kept changing the document.
    """
    if not context.settings.duplicate_days:
        return None
    other = None
    for _ in range(ATTEMPTS):
        document = context.store.documents.get(Collection.IDENTITY, digest)
        holder = None if document is None else Holder.model_validate(document.data)
        other = None if holder is None else _other(context, job, holder)
        if document is None or holder is None or other is None:
            if _taken(context, job, digest, document, holder):
                return None
        elif other.state.terminal or job.job_id in holder.waiting or len(holder.waiting) >= WAITING:
            return other
        else:
            _enter(context, job, document, holder)
    if other is not None:
        return other  # it waits without being on the list
    raise TransientError("an identity kept changing under us", code="CONTENTION")


def wake_waiting(context: Context[CommonSettings], job: Job) -> None:
    """Wake those who wait for an ended job; who took over from it has inherited them, and wakes them itself."""
    document = context.store.documents.get(Collection.IDENTITY, job.plan.identity) if job.plan.identity else None
    holder = None if document is None else Holder.model_validate(document.data)
    if holder is not None and holder.job_id == job.job_id:
        for job_id in holder.waiting:
            context.wake(Topic.SHARDS, job_id)


def same_as(other: Job) -> Failure:
    """Say why a job waits for another one."""
    return Failure(
        code=SAME_AS,
        message=f"Job {other.job_id} ({other.source.object}) asks the same and has not ended.",
        fix="When it is complete its rows answer this upload too; when it ends otherwise this one runs. "
        "To run both, upload it with the metadata again=WORD.",
    )


def rows_of(context: Planning, other: Job) -> SameRows:
    """Return what a duplicate's record says of the job that answers it."""
    name = names.output_prefix(other.source.object, other.job_id) + "manifest.json"
    manifest = other.manifest or f"{context.settings.output_bucket}/{name}"
    return SameRows(other.job_id, manifest)


def _other(context: Planning, job: Job, holder: Holder) -> Job | None:
    """Return the job a document names if that runs, or is complete and not too old."""
    stored = None if holder.job_id == job.job_id else context.store.job(holder.job_id)
    if stored is None:
        return None
    other = stored.value
    if not other.state.terminal:
        return other
    return other if context.now() < holder.until and answers(other) else None


def answers(job: Job) -> bool:
    """Tell whether an ended job's rows are all that another run of the same request could give.

    Rejected lines do not count against it: the same content is rejected again.
    """
    return job.state is JobState.DONE and job.counts.errors == 0


def _taken(context: Planning, job: Job, digest: str, document: Document | None, before: Holder | None) -> bool:
    """Name the job in the document; False when another one was faster."""
    if before is not None and before.job_id == job.job_id:
        return True
    until = context.now() + timedelta(days=context.settings.duplicate_days)
    waiting = tuple(job_id for job_id in before.waiting if job_id != job.job_id) if before else ()
    data, index = _dump(Holder(job_id=job.job_id, until=until, waiting=waiting)), {"expire_at": until}
    try:
        if document is None:
            context.store.documents.create(Collection.IDENTITY, digest, index=index, data=data)
        else:
            context.store.documents.replace(document, index=index, data=data)
    except ConflictError:
        return False
    if before is not None:
        log("request taken over", job_id=job.job_id, before=before.job_id)
    return True


def _enter(context: Planning, job: Job, document: Document, holder: Holder) -> None:
    """Put the job on the list of those who wait; whether that won, the next look tells."""
    data = _dump(holder.joined_by(job.job_id))
    try:
        context.store.documents.replace(document, index=document.index, data=data)
    except ConflictError:
        context.store.pause(LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS)


def _dump(holder: Holder) -> dict[str, Any]:
    return {"schema": SCHEMA, **holder.model_dump(mode="json")}
