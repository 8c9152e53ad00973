"""Intake: an object generation in the input bucket becomes at most one job.

notification --> is it an upload (`core.upload.kinds`)?  no: acknowledged and counted, or refused (`refuse`)
does the record exist?  then it is the truth; look at it
is that generation still there?  no: GONE
--> RECEIVED --> snapshot into WORK, pinned to the generation --> PLANNING
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import ConflictError, ObjectExistsError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.recipe.recipe import RECIPE_NAME
from batchdrop.core.result.manifest import sendable
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job, Source
from batchdrop.core.state.job_state import JobState
from batchdrop.core.state.messages import Uploaded
from batchdrop.core.upload.kinds import Form, form_of
from batchdrop.core.upload.metadata import labels_of, team_of
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

_PASSED_OVER: Final = frozenset({Form.HIDDEN, Form.COMPONENT, Form.OTHER})
_GONE: Final = Failure(
    code=Code.GONE,
    message="The upload was deleted or replaced before it could be copied.",
    fix="Upload it again; a replacement runs as a job of its own.",
)

Receiving = Context[SubmitSettings]


def receive(context: Receiving, upload: Uploaded) -> str | None:
    """Make the upload's job unless it has one; return the job's id, or None when it is no upload.

    Raises:
        TransientError: The store or the bucket could not be reached and no record exists: deliver it again.
    """
    form = _form(context, upload)
    if form is Form.RECIPE:
        _take_recipe(context, upload)
        return None
    if form in _PASSED_OVER:
        log("object is not an upload", generation=upload.generation, form=form.value)
        return None

    job_id = names.job_id(upload.bucket, upload.name, upload.generation)
    if context.store.job(job_id) is not None:
        return job_id

    info = _look(context, upload)
    if not _is_upload(context, form, info):
        return None

    job = _received(context, upload, job_id, info)
    _add(context, finished_before(context, job))
    return job_id


def _form(context: Receiving, upload: Uploaded) -> Form:
    """Tell from bucket and name what an object is."""
    if upload.bucket != context.settings.input_bucket:
        return Form.OTHER
    return form_of(upload.name)


def _look(context: Receiving, upload: Uploaded) -> ObjectInfo | None:
    """Look at the generation that was uploaded; None when it is no longer there."""
    return context.objects.stat(
        upload.bucket, upload.name, generation=upload.generation
    )


def _is_upload(context: Receiving, form: Form, info: ObjectInfo | None) -> bool:
    """Tell whether an object gets a job: of a doubtful form it is looked into, and refused or passed over."""
    if form is Form.UPLOAD:
        return True
    return info is not None and taken(context, info, form)


def _add(context: Receiving, job: Job) -> None:
    """Store a new job, unless another delivery did so meanwhile."""
    try:
        context.store.add(job)
    except ConflictError:
        return

    log(
        "upload received",
        job_id=job.job_id,
        bytes=job.source.bytes,
        state=job.state.value,
    )


# ------------------------------------------------------------------------------------------------ a new recipe
def _take_recipe(context: Receiving, upload: Uploaded) -> None:
    """Check a recipe, and make jobs of the records below it that were refused for want of it."""
    if not report(context, upload):
        return

    for info in _below(context, upload.name.removesuffix(RECIPE_NAME)):
        if form_of(info.name) is Form.JSON and is_refused(context, info):
            _take_again(context, info)


def _below(context: Receiving, folder: str) -> Iterator[ObjectInfo]:
    """List the uploads below a folder, page by page while there is time."""
    bucket, token = context.settings.input_bucket, None
    while not context.time_left.over():
        page = context.objects.list(bucket, prefix=folder, page_token=token)
        yield from page.objects
        token = page.next_token
        if token is None:
            return


def _take_again(context: Receiving, info: ObjectInfo) -> None:
    """Receive an object as if it were announced now."""
    upload = Uploaded(info.bucket, info.name, info.generation)
    job_id = receive(context, upload)
    if job_id is not None:
        wake_planning(context, job_id)


# -------------------------------------------------------------------------------------------------- its bytes
def snapshot(context: Receiving, stored: Stored[Job]) -> Stored[Job]:
    """Copy the upload into WORK, pinned to its generation, and go to PLANNING; GONE when it is no longer there."""
    job, now = stored.value, context.now()
    source = job.source
    info = context.objects.stat(
        source.bucket, source.object, generation=source.generation
    )
    if info is None:
        return end(context, stored, JobState.GONE, _GONE)

    try:
        generation = _copied(context, job, info)
    except PermanentError as error:
        if error.code != Code.GONE:
            raise
        return end(context, stored, JobState.GONE, _GONE)

    return keep(context, stored, lambda job: job.snapshotted(now, generation))


def _copied(context: Receiving, job: Job, info: ObjectInfo) -> int:
    """Copy an upload into WORK, unless a crashed step did; return the copy's generation.

    Raises:
        PermanentError: SNAPSHOT, a copy of other bytes is there; GONE, the upload is not.
    """
    bucket, name = context.settings.work_bucket, names.source(job.job_id)
    try:
        return context.objects.copy(info, bucket, name).generation
    except ObjectExistsError:
        there = context.objects.stat(bucket, name)

    if there is None or there.crc32c != info.crc32c:
        sentence = "the snapshot has other bytes than the upload"
        raise PermanentError(sentence, code=Code.SNAPSHOT)
    return there.generation


# ----------------------------------------------------------------------------------------------------- its end
def end(
    context: Receiving, stored: Stored[Job], state: JobState, failure: Failure | None
) -> Stored[Job]:
    """End a job that has no output; its completion is published by `finalize`, now or when it is due."""
    ended = keep(context, stored, lambda job: job.ended(context.now(), state, failure))
    wake(context, ended.value)
    return ended


def fail(context: Receiving, stored: Stored[Job], error: PermanentError) -> None:
    """End a job that no other try can help, with the error as its report."""
    log(
        "job failed",
        severity="ERROR",
        job_id=stored.value.job_id,
        code=error.code,
    )
    end(context, stored, JobState.FAILED, Failure.of(error))


# ---------------------------------------------------------------------------------------------------- its document
def _received(
    context: Receiving, upload: Uploaded, job_id: str, info: ObjectInfo | None
) -> Job:
    """Return the job of an upload: RECEIVED, or GONE when the generation is no longer there."""
    now, settings = context.now(), context.settings
    metadata = dict(info.metadata) if info else {}
    labels, unsendable = sendable(labels_of(metadata))
    provider, model = routed(context.providers, settings.model)

    job = Job(
        job_id=job_id,
        state=JobState.RECEIVED,
        source=_source(upload, info, now),
        metadata=metadata,
        team=team_of(upload.name, labels),
        labels=labels,
        provider=provider,
        model=model,
        dialect=context.providers[provider].facts.dialect,
        warnings=tuple(map(_unsendable, unsendable)),
        created_at=now,
        updated_at=now,
        due_at=now + timedelta(seconds=RETRY_SECONDS),
        deadline_at=now + timedelta(hours=settings.job_deadline_hours),
    )

    return job if info else job.ended(now, JobState.GONE, _GONE)


def _source(upload: Uploaded, info: ObjectInfo | None, now: datetime) -> Source:
    """Describe the upload as it is; of one that is gone nothing is known but its name."""
    return Source(
        bucket=upload.bucket,
        object=upload.name,
        generation=upload.generation,
        crc32c=info.crc32c if info else "",
        bytes=info.size if info else 0,
        content_type=info.content_type if info else "",
        content_encoding=info.content_encoding if info else "",
        uploaded_at=info.created_at if info else now,
    )


def _unsendable(label: str) -> str:
    return f"METADATA_INVALID label-{label[:60]}: no message can carry this label"
