"""Intake: an object generation in the input bucket becomes at most one job.

notification --> is it an upload (`core.upload.kinds`)?  no: acknowledged and counted, or refused (`refuse`)
does the record exist?  then it is the truth; look at it
is that generation still there?  no: GONE
--> RECEIVED --> snapshot into WORK, pinned to the generation --> PLANNING
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from batchdrop.core.errors import (
    ConflictError,
    ObjectExistsError,
    PermanentError,
)
from batchdrop.core.logs import log
from batchdrop.core.recipe.recipe import RECIPE_NAME
from batchdrop.core.result.manifest import sendable
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job, JobState, Source
from batchdrop.core.state.messages import Uploaded
from batchdrop.core.upload.kinds import Form, form_of
from batchdrop.core.value import Failure
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context, routed
from batchdrop.steps.next import wake, wake_planning
from batchdrop.steps.plan.recipes import report
from batchdrop.steps.plan.recover import finished_before
from batchdrop.steps.plan.refuse import taken
from batchdrop.steps.progress import RETRY_SECONDS, keep
from batchdrop.steps.refusals import is_refused
from batchdrop.store import Stored

_TEAM_LABEL = "team"
_PASSED_OVER: Final = frozenset({Form.HIDDEN, Form.COMPONENT, Form.OTHER})

Receiving = Context[SubmitSettings]


def receive(context: Receiving, upload: Uploaded) -> str | None:
    """Make the upload's job unless it has one; return the job's id, or None when it is no upload.

    Raises:
        TransientError: The store or the bucket could not be reached and no record exists: deliver it again.
    """
    form = (
        form_of(upload.name)
        if upload.bucket == context.settings.input_bucket
        else Form.OTHER
    )
    if form is Form.RECIPE:
        if report(context, upload):
            _take_what_waited(context, upload.name)
        return None
    if form in _PASSED_OVER:
        log("object is not an upload", generation=upload.generation, form=form.value)
        return None
    job_id = names.job_id(upload.bucket, upload.name, upload.generation)
    if context.store.job(job_id) is not None:
        return job_id
    info = context.objects.stat(
        upload.bucket, upload.name, generation=upload.generation
    )
    if form is not Form.UPLOAD and (info is None or not taken(context, info, form)):
        return None
    job = finished_before(context, _received(context, upload, job_id, info))
    try:
        context.store.add(job)
    except ConflictError:
        return job_id
    log("upload received", job_id=job_id, bytes=job.source.bytes, state=job.state.value)
    return job_id


def _take_what_waited(context: Receiving, recipe: str) -> None:
    """Make jobs of the records below a new recipe that were refused for want of it."""
    folder, token = recipe.removesuffix(RECIPE_NAME), None
    while not context.time_left.over():
        page = context.objects.list(
            context.settings.input_bucket, prefix=folder, page_token=token
        )
        for info in page.objects:
            if form_of(info.name) is Form.JSON and is_refused(context, info):
                job_id = receive(
                    context, Uploaded(info.bucket, info.name, info.generation)
                )
                if job_id is not None:
                    wake_planning(context, job_id)
        token = page.next_token
        if token is None:
            return


def snapshot(context: Receiving, stored: Stored[Job]) -> Stored[Job]:
    """Copy the upload into WORK, pinned to its generation, and go to PLANNING; GONE when it is no longer there."""
    job, now = stored.value, context.now()
    info = context.objects.stat(
        job.source.bucket, job.source.object, generation=job.source.generation
    )
    if info is None:
        return end(context, stored, JobState.GONE, _gone())
    try:
        copy = context.objects.copy(
            info, context.settings.work_bucket, names.source(job.job_id)
        )
        generation = copy.generation
    except ObjectExistsError:
        there = context.objects.stat(
            context.settings.work_bucket, names.source(job.job_id)
        )
        if there is None or there.crc32c != info.crc32c:
            raise PermanentError(
                "the snapshot has other bytes than the upload", code="SNAPSHOT"
            ) from None
        generation = there.generation
    except PermanentError as error:
        if error.code != "GONE":
            raise
        return end(context, stored, JobState.GONE, _gone())
    return keep(context, stored, lambda job: job.snapshotted(now, generation))


def end(
    context: Receiving, stored: Stored[Job], state: JobState, failure: Failure | None
) -> Stored[Job]:
    """End a job that has no output; its completion is published by `finalize`, now or when it is due."""
    ended = keep(context, stored, lambda job: job.ended(context.now(), state, failure))
    wake(context, ended.value)
    return ended


def fail(context: Receiving, stored: Stored[Job], error: PermanentError) -> None:
    """End a job that no other try can help, with the error as its report."""
    log("job failed", severity="ERROR", job_id=stored.value.job_id, code=error.code)
    end(
        context,
        stored,
        JobState.FAILED,
        Failure(code=error.code, message=error.sentence),
    )


def _received(
    context: Receiving, upload: Uploaded, job_id: str, info: ObjectInfo | None
) -> Job:
    now = context.now()
    metadata = dict(info.metadata) if info else {}
    given = {
        key.removeprefix("label-"): value
        for key, value in metadata.items()
        if key.startswith("label-")
    }
    labels, unsendable = sendable(given)
    folder, slash, _ = upload.name.partition("/")
    team = labels.get(_TEAM_LABEL) or (folder if slash else "")
    source = Source(
        bucket=upload.bucket,
        object=upload.name,
        generation=upload.generation,
        crc32c=info.crc32c if info else "",
        bytes=info.size if info else 0,
        content_type=info.content_type if info else "",
        content_encoding=info.content_encoding if info else "",
        uploaded_at=info.created_at if info else now,
    )
    provider, model = routed(context.providers, context.settings.model)
    return Job(
        job_id=job_id,
        state=JobState.RECEIVED if info else JobState.GONE,
        source=source,
        metadata=metadata,
        team=team,
        labels=labels,
        provider=provider,
        model=model,
        warnings=tuple(
            f"METADATA_INVALID label-{name[:60]}: no message can carry this label"
            for name in unsendable
        ),
        failure=None if info else _gone(),
        ended_at=None if info else now,
        created_at=now,
        updated_at=now,
        due_at=now + timedelta(seconds=RETRY_SECONDS) if info else now,
        deadline_at=now + timedelta(hours=context.settings.job_deadline_hours),
    )


def _gone() -> Failure:
    return Failure(
        code="GONE",
        message="The upload was deleted or replaced before it could be copied.",
        fix="Upload it again; a replacement runs as a job of its own.",
    )
