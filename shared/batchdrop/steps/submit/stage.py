"""Staging: a shard's lines are laid ready where its provider takes them from, and stay there for every attempt.

    file      uploaded to the service, in what its facts say is the life of a file
    work      rendered into WORK under the fence of who does it: the service, or its `create`, reads it there

What a shard's lines need beside them (a cache, the objects they name) is made first, because it stands in the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import CapacityError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.core.value import Failure
from batchdrop.ports import Staged
from batchdrop.steps import work
from batchdrop.steps.attach import File, attach, uris
from batchdrop.steps.cache import with_cache
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import dispatch, free
from batchdrop.steps.progress import job_of, keep
from batchdrop.steps.shard_lines import rendered, rendered_size
from batchdrop.steps.stack import stack_id
from batchdrop.steps.submit.leave import end, requeue
from batchdrop.steps.submit.lost_state import only_collected
from batchdrop.steps.submit.times import batch_deadline
from batchdrop.store import Stored

Submitting = Context[SubmitSettings]

FILE_MARGIN: Final = timedelta(hours=1)
"""A file that ends sooner than that is as good as gone."""


def stage(context: Submitting, stored: Stored[Shard]) -> Stored[Shard] | None:
    """Lay the lines ready unless they lie there already; None when the shard waits, or has ended."""
    shard, now = stored.value, context.now()
    account = context.provider_of(shard).batches.account()
    if only_collected(context, shard) or shard.lies_ready(account, now + FILE_MARGIN):
        return keep(context, stored, lambda shard: shard.still_staged(now, account))
    try:
        name = names.display_name(stack_id(context), shard.shard_id)
        job = with_cache(context, job_of(context, shard))
        attached = attach(context, stored, job)
        if attached is None:
            return None
        stored, files = attached
        lines = _lay_ready(context, job, stored.value, name, uris(files))
    except CapacityError as error:
        requeue(context, stored, error.retry_after_seconds)
        return None
    except PermanentError as error:
        end(context, stored, Failure(code=error.code, message=error.sentence))
        return None
    expires_at = _first_end(context, shard, lines, files)
    now, account = context.now(), context.provider_of(shard).batches.account()
    return keep(
        context,
        stored,
        lambda shard: shard.staged(now, lines.reference, expires_at, account),
    )


def stage_again(context: Submitting, stored: Stored[Shard]) -> None:
    """Queue a shard whose lines lie in the account of a key that was changed since."""
    shard, now = stored.value, context.now()
    keep(context, stored, lambda shard: shard.requeued_without_file(now))
    free(context, shard)
    dispatch(context, shard.pool)


def _lay_ready(
    context: Submitting, job: Job, shard: Shard, name: str, files: Mapping[str, str]
) -> Staged:
    """Render the lines to where they are taken from: a file of the service, or an object in WORK."""
    inputs = context.provider_of(shard).inputs
    size = rendered_size(context, job, shard, files)
    chunks = rendered(context, job, shard, files)
    if inputs is not None:
        staged = inputs.stage(chunks, size=size, name=name)
    else:
        staged = Staged(_in_work(context, shard, chunks, size))
    log("shard staged", shard_id=shard.shard_id, bytes=size)
    return staged


def _in_work(
    context: Submitting, shard: Shard, chunks: Iterable[bytes], size: int
) -> str:
    """Write the lines as a work object of their own and return its address.

    Raises:
        PermanentError: SIZE_MISMATCH, as a file service says it.
    """
    name = names.staged(shard.shard_id, shard.wire, shard.fence)
    info = work.put(context, name, chunks)
    if info.size != size:
        raise PermanentError(Code.SIZE_MISMATCH)
    return f"gs://{info.bucket}/{info.name}"


def _first_end(
    context: Submitting,
    shard: Shard,
    lines: Staged,
    files: Sequence[File],
) -> datetime | None:
    """Return when the first of the files ends that the batch needs: those its lines name must outlast it."""
    margin = batch_deadline(context, shard) - FILE_MARGIN
    named = [file.expires_at - margin for file in files]
    ends = named if lines.expires_at is None else [lines.expires_at, *named]
    return min(ends, default=None)
