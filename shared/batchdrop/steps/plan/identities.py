"""Identities at work: of equal requests one runs, the others wait for it, and one of them takes over if it fails.

    identities/<digest>  absent                      created with the job's id: the job runs
                         names a job that runs       HELD (SAME_AS), looked at again until that job has ended
                         names a complete job        DUPLICATE: that job's rows answer the upload
                         names one that ended else   taken over by compare-and-set: the job runs

There is no query and no list of those who wait: each looks for itself, so nothing is lost with a lost message. A
document lives as long as the window; a job that crashed behind its creation finds its own id there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.errors import ConflictError, TransientError
from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.identity import identity
from batchdrop.core.state.job import Job, JobState, SameRows
from batchdrop.core.value import Failure
from batchdrop.ports import Collection, Document
from batchdrop.steps.context import Context
from batchdrop.store import ATTEMPTS

Planning = Context[SubmitSettings]

SAME_AS: Final = "SAME_AS"
SCHEMA: Final = "batchdrop.identity/1"
PROVIDER: Final = "gemini"


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
    for _ in range(ATTEMPTS):
        document = context.store.documents.get(Collection.IDENTITY, digest)
        other = None if document is None else _other(context, job, document)
        if other is not None:
            return other
        if _taken(context, job, digest, document):
            return None
    raise TransientError("an identity kept changing under us", code="CONTENTION")


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


def _other(context: Planning, job: Job, document: Document) -> Job | None:
    """Return the job a document names if that runs, or is complete and not too old."""
    job_id = str(document.data["job_id"])
    stored = None if job_id == job.job_id else context.store.job(job_id)
    if stored is None:
        return None
    other = stored.value
    if not other.state.terminal:
        return other
    lives = context.now() < datetime.fromisoformat(str(document.data["until"]))
    return other if lives and answers(other) else None


def answers(job: Job) -> bool:
    """Tell whether an ended job's rows are all that another run of the same request could give.

    Rejected lines do not count against it: the same content is rejected again.
    """
    return job.state is JobState.DONE and job.counts.errors == 0


def _taken(context: Planning, job: Job, digest: str, document: Document | None) -> bool:
    """Name the job in the document; False when another one was faster."""
    if document is not None and document.data["job_id"] == job.job_id:
        return True
    until = context.now() + timedelta(days=context.settings.duplicate_days)
    data = {"schema": SCHEMA, "job_id": job.job_id, "until": until.isoformat()}
    index = {"expire_at": until}
    try:
        if document is None:
            context.store.documents.create(Collection.IDENTITY, digest, index=index, data=data)
        else:
            context.store.documents.replace(document, index=index, data=data)
            log("request taken over", job_id=job.job_id, before=str(document.data["job_id"]))
    except ConflictError:
        return False
    return True
