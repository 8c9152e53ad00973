"""Converting: what is not plain Gemini JSONL becomes a work object of Gemini lines, see `core.conversion`.

Later steps know only lines and byte ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, cast

from batchdrop.core import conversion, names
from batchdrop.core.conversion import PARQUET, Findings, Opened
from batchdrop.core.dialects import Dialect
from batchdrop.core.errors import PermanentError
from batchdrop.core.jobs import Job
from batchdrop.core.records import Failure
from batchdrop.core.rendering import compile_recipe
from batchdrop.core.settings import SubmitSettings
from batchdrop.ports import ObjectInfo
from batchdrop.store import Stored
from batchdrop.usecases import work
from batchdrop.usecases.context import Context
from batchdrop.usecases.holding import MISSING
from batchdrop.usecases.lines import records
from batchdrop.usecases.ranged import RangedFile
from batchdrop.usecases.recipes import frozen

Planning = Context[SubmitSettings]


def as_records(context: Planning, stored: Stored[Job]) -> Stored[Job] | Failure:
    """Convert the upload unless it is plain Gemini JSONL; say what is wrong if it cannot be."""
    job, settings = stored.value, context.settings
    if job.records_object:
        return stored
    file = conversion.opened(
        job.source.object,
        records(context, job, 0),
        max_bytes=settings.max_upload_bytes,
        max_ratio=settings.max_gzip_ratio,
    )
    if file.failure is not None:
        return file.failure
    if file.dialect is Dialect.GEMINI and not file.zipped:
        return stored
    found = Findings()
    lines = _lines(context, job, file, found)
    if isinstance(lines, Failure):
        return lines
    name = names.records(job.job_id, job.fence)
    work.put(context, name, conversion.gathered(lines))
    changes = {
        "records_object": name,
        "converted": file.dialect is not Dialect.GEMINI,
        "dialect": file.kind,
        "dialect_url": found.url,
        "columns": found.columns,
        "warnings": found.sentences(),
        "updated_at": context.now(),
    }
    return context.store.change(stored, lambda job: job.with_(**changes), fence=job.fence)


def _lines(context: Planning, job: Job, file: Opened, found: Findings) -> Iterator[bytes] | Failure:
    most = context.settings.max_line_bytes
    if file.dialect is Dialect.GEMINI:
        return file.chunks
    if file.dialect is not Dialect.RECORDS:
        return conversion.translated(file, job.model, found, max_line_bytes=most)
    recipe = frozen(context, job)
    if not recipe.renders:
        return Failure(
            code=MISSING,
            message="The upload holds records, and no recipe above it says what to ask about them.",
            fix="Upload a recipe.yaml with a prompt to its folder or one above.",
        )
    seekable = _seekable(context, job, file) if file.suffix == PARQUET else None
    entries = conversion.entries(file, found, seekable=seekable, max_line_bytes=most)
    return conversion.rendered(compile_recipe(recipe), entries, found)


def _seekable(context: Planning, job: Job, file: Opened) -> BinaryIO:
    """Return the snapshot as a file; what gzip held goes to a work object first."""
    if file.zipped:
        info: ObjectInfo | None = work.put(context, names.unpacked(job.job_id, job.fence), file.chunks)
    else:
        bucket = context.settings.work_bucket
        info = context.objects.stat(bucket, names.source(job.job_id), generation=job.snapshot_generation)
    if info is None:
        raise PermanentError("the snapshot of the upload is gone", code="GONE")
    return cast("BinaryIO", RangedFile(context, info))
