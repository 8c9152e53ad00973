"""Converting: what is not plain Gemini JSONL becomes a work object of Gemini lines.

Later steps know only lines and byte ranges.
"""

from __future__ import annotations

from batchdrop.core import names
from batchdrop.core.jobs import Job
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.sniffing import GZIP, SNIFFED_BYTES, gunzip
from batchdrop.store import Stored
from batchdrop.usecases import work
from batchdrop.usecases.context import Context
from batchdrop.usecases.lines import records

Planning = Context[SubmitSettings]


def as_records(context: Planning, stored: Stored[Job]) -> Stored[Job]:
    """Undo gzip into a work object, so that later steps know only lines and byte ranges."""
    job = stored.value
    if job.records_object or not head(context, job).startswith(GZIP):
        return stored
    settings = context.settings
    packed = records(context, job, 0)
    plain = gunzip(packed, max_bytes=settings.max_upload_bytes, max_ratio=settings.max_gzip_ratio)
    info = work.put(context, names.records(job.job_id, job.fence), plain)
    now = context.now()
    return context.store.change(
        stored, lambda job: job.with_(records_object=info.name, updated_at=now), fence=job.fence
    )


def head(context: Planning, job: Job) -> bytes:
    """Return the first bytes of the job's lines."""
    return b"".join(records(context, job, 0, SNIFFED_BYTES))
