"""Identities at work: of equal requests one runs, the others wait for it, and one of them takes over if it fails.

    identities/<digest>  absent                      created with the job's id: the job runs
                         names a job that runs       HELD (SAME_AS), looked at again until that job has ended
                         names a complete job        DUPLICATE: that job's rows answer the upload
                         names one that ended else   taken over by compare-and-set: the job runs

The document lists who waits; the job it names wakes them when it has ended. Each of them looks for itself as well
(`plan.hold`), so nothing is lost with a lost message or a full list. A document lives as long as the window; a job that
crashed behind its creation finds its own id there.

    waiter   enters the list -> reads the holder's state -> HELD        a wake that finds it still at work is lost, and
    holder   ends -> reads the list -> wakes -> its end is recorded     made up for by its own next look, in a minute
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.identity import Claim, identity
from batchdrop.core.state.job import Job
from batchdrop.core.state.job_steps import SameRows
from batchdrop.core.value import Failure
from batchdrop.steps.context import Context

Planning = Context[SubmitSettings]

SAME_AS: Final = "SAME_AS"


def identify(job: Job, content: str, attached: str) -> str:
    """Return the identity of a job whose lines were all read."""
    return identity(
        content,
        attached,
        metadata=job.metadata,
        team=job.team,
        recipe=job.recipe_digest,
        model=f"{job.provider}:{job.model}",
        form=f"{job.dialect} {job.dialect_url}",
    )


def original(context: Planning, job: Job, digest: str) -> Job | None:
    """Return the job that answers this request already; None: from now on it is this one.

    Raises:
        TransientError: Others kept changing the document.
    """
    days = context.settings.duplicate_days
    if not days:
        return None

    until = context.now() + timedelta(days=days)
    answering = _claimed(context, job, digest, until)
    if isinstance(answering, Claim) and answering.job_id != job.job_id:
        # On the list now, but perhaps after the other's end woke those on it: look once more.
        answering = _claimed(context, job, digest, until)

    return answering if isinstance(answering, Job) else None


def _claimed(context: Planning, job: Job, digest: str, until: datetime) -> Claim | Job:
    """Claim a request for a job, or put it on the list of those who wait; return the claim, or who answers already."""

    def claimed(claim: Claim) -> Claim | Job:
        if claim.job_id == job.job_id:
            return claim

        other = _other(context, job, claim)
        if other is None:
            return claim.taken_by(job.job_id, until)

        if other.state.terminal or claim.lists(job.job_id):
            return other
        return claim.joined_by(job.job_id)

    index = {"expire_at": until}
    return context.store.identities.change(digest, Claim(), claimed, index)


def _other(context: Planning, job: Job, claim: Claim) -> Job | None:
    """Return the job that answers the request if that runs, or is complete and not too old."""
    stored = context.store.job(claim.job_id) if claim.job_id else None
    if stored is None:
        return None

    other = stored.value
    if not other.state.terminal:
        return other
    if claim.lives(context.now()) and other.answers_the_same:
        return other

    log("request taken over", job_id=job.job_id, before=claim.job_id)
    return None


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
    bucket = context.settings.output_bucket
    manifest = other.manifest or f"{bucket}/{other.manifest_name}"
    return SameRows(other.job_id, manifest)
