"""Gates: what a job must pass before its first batch exists, each refusal with a code and a way to mend it."""

from __future__ import annotations

from batchdrop.core.codes import Code
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.cursors import Counts, PlanCursor
from batchdrop.core.state.job import Job
from batchdrop.core.upload.keys import repeated
from batchdrop.core.value import Failure
from batchdrop.ports import BatchKind
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.progress import keep
from batchdrop.store import Stored

Planning = Context[SubmitSettings]


def refuse_file(context: Planning, job: Job) -> Failure | None:
    """Say why a file cannot be JSONL, from its size and its first bytes."""
    if job.plan.step:
        return None
    if job.source.bytes == 0:
        return Failure(
            code=Code.EMPTY_UPLOAD,
            message="The upload is empty.",
            fix="Upload one request a line.",
        )
    if job.source.bytes > context.settings.max_upload_bytes:
        return Failure(
            code=Code.UPLOAD_TOO_LARGE,
            message=f"The upload is larger than {context.settings.max_upload_bytes} bytes.",
            fix="Cut it into several files.",
        )
    allowed = context.settings.allowed_models()
    if allowed and not allowed & {job.model, f"{job.provider}/{job.model}"}:
        return _unknown_model("This stack does not allow the model.")
    if context.provider_of(job).batches.model_info(job.model) is None:
        return _unknown_model("The provider does not know the model.")
    return None


def refuse_model(
    context: Planning, stored: Stored[Job], cursor: PlanCursor
) -> Stored[Job] | Failure:
    """Say why the model cannot run a planned job's kind of requests; warn when the provider does not tell."""
    job, now = stored.value, context.now()
    info = context.provider_of(job).batches.model_info(job.model)
    if info is None:
        return _unknown_model("The provider does not know the model.")
    kind, models = BatchKind(cursor.batch_kind), context.language_of(job).models
    if not info.said:
        warning = f"MODEL_UNSAID: the provider does not say what {job.model} can do; the batches will show."
        return keep(context, stored, lambda job: job.warned(now, warning))
    if kind in info.batches:
        return stored
    if models is None:
        return Failure.coded(Code.MODEL_CANNOT)
    return models.cannot(job.model, kind)


def _unknown_model(message: str) -> Failure:
    return Failure(
        code=Code.UNKNOWN_MODEL,
        message=message,
        fix="Set the object metadata `model`, or the stack's default, to a model it allows.",
    )


def refuse_plan(context: Planning, job: Job, cursor: PlanCursor) -> Failure | None:
    """Say why a planned job must not run."""
    if cursor.requests == 0:
        blank = cursor.counts.rejections == 0
        code = Code.EMPTY_UPLOAD if blank else Code.ALL_LINES_REJECTED
        message = (
            "The upload holds only blank lines."
            if blank
            else Code.ALL_LINES_REJECTED.sentence
        )
        return Failure(
            code=code, message=message, fix="See rejections.jsonl." if not blank else ""
        )
    if job.policy == "strict" and cursor.counts.rejections:
        return Failure(
            code=Code.STRICT_POLICY,
            message=f"{cursor.counts.rejections} lines were rejected and the policy is strict.",
            fix="Mend the lines in rejections.jsonl and upload the file again.",
        )
    return None


def refuse_length(context: Planning, cursor: PlanCursor) -> Failure | None:
    """Say why an upload has too many lines, as soon as a planning step has seen them."""
    if cursor.counts.lines <= context.settings.max_lines:
        return None
    return Failure(
        code=Code.TOO_MANY_LINES,
        message=f"The upload has more than {context.settings.max_lines} lines.",
        fix="Cut it into several files.",
    )


def with_duplicates(context: Planning, cursor: PlanCursor) -> Counts:
    """Count the lines whose key an earlier line has, exactly, unless there are too many keys."""
    if cursor.counts.duplicate_keys is None:
        return cursor.counts
    hashes = (work.get(context, name) for name in cursor.keys)
    return cursor.counts.with_duplicate_keys(repeated(hashes))
