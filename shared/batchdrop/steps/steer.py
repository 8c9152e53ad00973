"""Steering: what a person may ask of a job, and why not. The functions do what is asked.

cancel   any job that has not ended; nothing takes it back
release  a job held for its cost; nothing else can be wished away
rerun    an ended one: its upload becomes a generation of its own, with `again` in its metadata
"""

from __future__ import annotations

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job, Source
from batchdrop.core.state.wishes import senseless
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context
from batchdrop.steps.next import announce, wake
from batchdrop.store import Stored

Steering = Context[CommonSettings]


def ask(context: Steering, stored: Stored[Job], wanted: str) -> None:
    """Note what a person wants of a job and wake it.

    Raises:
        PermanentError: It makes no sense; the sentence says why.
    """
    now = context.now()

    def asked(job: Job) -> Job:
        reason = senseless(job, wanted)
        if reason:
            raise PermanentError(reason, code=Code.NOT_POSSIBLE)
        return job.asked(now, wanted)

    wake(context, context.store.change(stored, asked).value)


def rerun(context: Steering, job: Job) -> str:
    """Upload what a job was made of once more, as another request; return the new job's id.

    Raises:
        PermanentError: The job has not ended, or its upload is no longer there.
    """
    if not job.state.terminal:
        raise PermanentError(
            f"the job has not ended: {job.state.value}", code=Code.NOT_POSSIBLE
        )
    upload = _upload_of(context, job.source)
    again = {"again": context.now().isoformat()}
    copy = context.objects.copy(
        upload,
        upload.bucket,
        upload.name,
        if_generation_match=upload.generation,
        metadata={**upload.metadata, **again},
    )
    if context.settings.local_dir is not None:
        announce(context, copy, "rerun")
    return names.job_id(copy.bucket, copy.name, copy.generation)


def _upload_of(context: Steering, source: Source) -> ObjectInfo:
    """Return a job's upload as it is.

    Raises:
        PermanentError: GONE, or another one took its place.
    """
    info = context.objects.stat(source.bucket, source.object)
    place = f"{source.bucket}/{source.object}"
    if info is None:
        raise PermanentError(
            f"the upload {place} is gone; upload it again", code=Code.GONE
        )
    if info.generation != source.generation:
        raise PermanentError(
            f"the upload {place} was replaced; its new content is a job of its own",
            code=Code.GONE,
        )
    return info
