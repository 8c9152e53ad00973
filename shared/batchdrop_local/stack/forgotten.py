"""Uploads that a stack without its documents has not answered: what it says of them where running them costs money."""

from __future__ import annotations

from typing import Final

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.core.upload.kinds import is_upload
from batchdrop.steps.context import Context
from batchdrop.steps.stack import recovered_at

_NOT_RUN: Final = (
    "What was known of {count} unanswered earlier {uploads} was lost with the emulators' memory. Batches under way\n"
    "are looked for and collected; nothing else of {them} is run, because the real API is paid. To run one: touch its\n"
    "file, upload it again, or `batchdrop rerun JOB` once its job has ended."
)


def not_run(context: Context[CommonSettings]) -> str:
    """Say how many old uploads are not run, and how to run one; empty when there is none."""
    count = _unanswered(context)
    if not count:
        return ""
    return _NOT_RUN.format(
        count=count,
        uploads="upload" if count == 1 else "uploads",
        them="it" if count == 1 else "them",
    )


def _unanswered(context: Context[CommonSettings]) -> int:
    """Count the uploads from before the documents were lost whose output has no manifest."""
    recovered = recovered_at(context)
    if recovered is None:
        return 0
    settings, token, count = context.settings, None, 0
    while True:
        page = context.objects.list(settings.input_bucket, page_token=token)
        for info in page.objects:
            if is_upload(info.name) and info.created_at < recovered:
                job_id = names.job_id(info.bucket, info.name, info.generation)
                manifest = f"{names.output_prefix(info.name, job_id)}manifest.json"
                count += context.objects.stat(settings.output_bucket, manifest) is None
        token = page.next_token
        if token is None:
            return count
