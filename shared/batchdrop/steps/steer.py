"""Steering: what a person may ask of a job, and why not. The functions do what is asked.

cancel   any job that has not ended; nothing takes it back
release  a job held for its cost; nothing else can be wished away
rerun    an ended one: its upload becomes a generation of its own, with `again` in its metadata
"""

from __future__ import annotations

import json

from batchdrop.core.errors import PermanentError
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import CANCEL, Job, JobState
from batchdrop.core.state.why import RELEASABLE
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake
from batchdrop.store import Stored

Steering = Context[CommonSettings]


def ask(context: Steering, stored: Stored[Job], wanted: str) -> None:
    """Note what a person wants of a job and wake it.

    Raises:
        PermanentError: It makes no sense; the sentence says why.
    """
    now = context.now()

    def asked(job: Job) -> Job:
        reason = _senseless(job, wanted)
        if reason:
            raise PermanentError(reason, code="NOT_POSSIBLE")
        return job.asked(now, wanted)

    wake(context, context.store.change(stored, asked).value)


def rerun(context: Steering, job: Job) -> str:
    """Upload what a job was made of once more, as another request; return the new job's id.

    Raises:
        PermanentError: The job has not ended, or its upload is no longer there.
    """
    source = job.source
    if not job.state.terminal:
        raise PermanentError(
            f"the job has not ended: {job.state.value}", code="NOT_POSSIBLE"
        )
    info = context.objects.stat(source.bucket, source.object)
    place = f"{source.bucket}/{source.object}"
    if info is None:
        raise PermanentError(
            f"the upload {place} is gone; upload it again", code="GONE"
        )
    if info.generation != source.generation:
        raise PermanentError(
            f"the upload {place} was replaced; its new content is a job of its own",
            code="GONE",
        )
    metadata = {**info.metadata, "again": context.now().isoformat()}
    copy = context.objects.copy(
        info,
        info.bucket,
        info.name,
        if_generation_match=info.generation,
        metadata=metadata,
    )
    if context.settings.local_dir is not None:
        _announce(context, copy)
    return names.job_id(copy.bucket, copy.name, copy.generation)


def _senseless(job: Job, wanted: str) -> str:
    """Say why a job cannot do what is wanted; empty when it can."""
    if job.state.terminal:
        return f"the job has ended: {job.state.value}"
    if wanted == CANCEL:
        return ""
    if job.wanted == CANCEL:
        return "the job was told to cancel, and that is not taken back"
    if job.state is not JobState.HELD or job.failure is None:
        return f"the job is not held: it is {job.state.value}"
    if job.failure.code not in RELEASABLE:
        return (
            f"nobody can release it from this: {job.failure.message} {job.failure.fix}"
        )
    return ""


def _announce(context: Steering, info: ObjectInfo) -> None:
    """Say that there is an upload, as Cloud Storage does by itself."""
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": info.bucket,
        "objectId": info.name,
        "objectGeneration": str(info.generation),
    }
    context.topics.publish(
        Topic.UPLOADS, json.dumps({"rerun": True}).encode(), attributes
    )
