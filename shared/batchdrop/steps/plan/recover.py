"""What is known of an upload when the stack's documents were lost: its output, if it is complete, is not made again."""

from __future__ import annotations

from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.steps.context import Context
from batchdrop.steps.stack import recovered_at


def finished_before(context: Context[CommonSettings], job: Job) -> Job:
    """Return an upload's job as it ended before the documents were lost, or the job as it is.

    Only names are looked at: counts and costs are those of the manifest. The end is not announced again.
    """
    recovered = recovered_at(context)
    if recovered is None or job.source.uploaded_at >= recovered:
        return job

    bucket = context.settings.output_bucket
    manifest = job.manifest_name
    page = context.objects.list(bucket, prefix=manifest, page_size=1)
    if manifest not in {info.name for info in page.objects}:
        return job

    log("upload was answered before the documents were lost", job_id=job.job_id)
    return job.finished_before(context.now(), f"{bucket}/{manifest}")
