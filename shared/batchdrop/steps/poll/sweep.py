"""Sweeps: what was lost is found, what nobody needs any more is removed. A few pages at a time, by cursors.

    uploads        an object without a job: its event was lost, so it is announced again (`lost_uploads`)
    batches        one of ours whose shard recorded another one, or ended without one: paid for in vain, so it is
                   cancelled (unless it is older than documents that were lost) and reported
    files          one of ours that no shard uses: deleted
    caches         of running jobs: renewed; of ended and unknown jobs, and those no document names: deleted
    work           an object of an ended job, written late by a worker that was paused: deleted
    reservations   of shards that have ended: let go

A batch whose shard is unknown is only reported: other stacks and people share the project. Objects older than the
sweep looks back are left alone, and job documents live longer than that, so nothing runs twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Final

from pydantic import Field

from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import names, queries
from batchdrop.core.state.capacity import Reservation, let_go
from batchdrop.core.state.needed import (
    holds_capacity,
    may_adopt,
    needs_work,
    uses_cache,
    uses_file,
    was_left,
)
from batchdrop.core.value import Value
from batchdrop.ports import (
    Batch,
    Batches,
    Cache,
    Caches,
    Files,
    ObjectInfo,
    ProviderFile,
)
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import change_ledger
from batchdrop.steps.poll.lost_uploads import Pass, find_lost_uploads
from batchdrop.steps.stack import may_cancel, stack_id

Sweeping = Context[PollSettings]

_CURSORS: Final = "sweep"
FILE_AGE: Final = timedelta(hours=1)
"""A younger file may belong to a staging under way."""
WORK_AGE: Final = timedelta(hours=1)
"""A younger work object may belong to a job that is just being cleaned."""


class Cursors(Value):
    """Where each sweep goes on, and when."""

    next_at: datetime | None = None
    uploads: Pass = Pass()
    pages: dict[str, str | None] = Field(default_factory=dict[str, str | None])

    def due(self, now: datetime) -> bool:
        """Tell whether it is time for the next sweep."""
        return self.next_at is None or now >= self.next_at


Page = Callable[[Sweeping, str | None, Counter[str]], str | None]


def sweep(context: Sweeping, found: Counter[str]) -> bool:
    """Sweep if it is time; return whether it was, and add up what was found (`logs.TICK_SWEPT`)."""
    table = context.store.meta(Cursors)
    kept = table.get(_CURSORS) or Cursors()
    if not kept.due(context.now()):
        return False
    uploads = find_lost_uploads(context, kept.uploads, found)
    pages = {
        name: _some_pages(context, page, kept.pages.get(name), found)
        for name, page in _pages(context).items()
    }
    free_leaked(context, found)
    cursors = Cursors(
        next_at=context.later(context.settings.sweep_seconds),
        uploads=uploads,
        pages=pages,
    )
    # When another tick was faster, its cursors are as good as these.
    table.change(_CURSORS, Cursors(), lambda _: cursors)
    return True


def _pages(context: Sweeping) -> dict[str, Page]:
    """Return what is swept by pages, under the names of their cursors: of each provider what it has."""
    pages: dict[str, Page] = {}
    for name, provider in context.providers.items():
        batches, files, caches = provider.batches, provider.files, provider.caches
        pages[f"batches.{name}"] = partial(find_orphan_batches, batches)
        if files is not None:
            pages[f"files.{name}"] = partial(delete_unused_files, files)
        if caches is not None:
            pages[f"caches.{name}"] = partial(keep_or_delete_caches, caches)
    return pages | {"work": delete_unused_work}


def _some_pages(
    context: Sweeping, page: Page, token: str | None, found: Counter[str]
) -> str | None:
    for _ in range(context.settings.sweep_pages):
        if context.time_left.over():
            return token
        token = page(context, token, found)
        if token is None:
            return None
    return token


# --------------------------------------------------------------------------------------------- batches
def find_orphan_batches(
    batches: Batches, context: Sweeping, token: str | None, found: Counter[str]
) -> str | None:
    """Cancel batches of one page whose shard recorded another one; return the next page's token."""
    page = batches.list(token)
    stack = stack_id(context)
    young = context.now() - timedelta(minutes=context.settings.orphan_minutes)
    for batch in page.batches:
        shard_id = names.shard_of_display_name(stack, batch.display_name)
        if shard_id is not None and batch.created_at < young:
            found["swept_batches"] += _check_batch(context, batches, batch, shard_id)
    return page.next_token


def _check_batch(
    context: Sweeping, batches: Batches, batch: Batch, shard_id: str
) -> bool:
    """Report a batch that its shard does not name; return whether it is one."""
    stored = context.store.shard(shard_id)
    if stored is None:
        _report("batch of an unknown shard", shard_id, batch)
        return False
    shard = stored.value
    if shard.knows(batch.name) or may_adopt(shard):
        return False
    _report("orphan batch found", shard_id, batch, adopted=shard.batch.name)
    if may_cancel(context, batch):
        batches.cancel(batch.name)
    context.store.change(
        stored,
        lambda shard: shard.with_duplicate(batch.name),
    )
    return True


def _report(message: str, shard_id: str, batch: Batch, **more: str) -> None:
    log(
        message,
        severity="ERROR",
        shard_id=shard_id,
        batch=batch.name,
        **more,
    )


# ----------------------------------------------------------------------------------------------- files
def delete_unused_files(
    files: Files, context: Sweeping, token: str | None, found: Counter[str]
) -> str | None:
    """Delete files of one page that no shard uses any more; return the next page's token."""
    page = files.list_files(token)
    stack = stack_id(context)
    old = context.now() - FILE_AGE
    for file in page.files:
        shard_id = names.shard_of_display_name(stack, file.display_name)
        if shard_id is not None and file.created_at < old:
            found["swept_files"] += _delete_unused(context, files, file, shard_id)
    return page.next_token


def _delete_unused(
    context: Sweeping, files: Files, file: ProviderFile, shard_id: str
) -> bool:
    """Delete a file unless its shard uses it; return whether it was deleted."""
    stored = context.store.shard(shard_id)
    if stored is not None and uses_file(stored.value, file.name):
        return False
    files.delete_file(file.name)
    log("unused file deleted", shard_id=shard_id)
    return True


# ---------------------------------------------------------------------------------------------- caches
def keep_or_delete_caches(
    caches: Caches, context: Sweeping, token: str | None, found: Counter[str]
) -> str | None:
    """Renew the caches of one page that running jobs use, delete what no job uses; return the next page's token."""
    page = caches.list_caches(token)
    stack = stack_id(context)
    for cache in page.caches:
        job_id = names.job_of_cache_name(stack, cache.display_name)
        if job_id is not None:
            found["swept_caches"] += _keep_or_delete(context, caches, cache, job_id)
    return page.next_token


def _keep_or_delete(
    context: Sweeping, caches: Caches, cache: Cache, job_id: str
) -> bool:
    """Renew a cache or delete it; return whether it was deleted. A young one may be about to be named."""
    stored = context.store.job(job_id)
    if stored is not None and uses_cache(stored.value, cache.name):
        _keep_alive(context, caches, cache)
        return False
    young = context.ago(context.settings.lease_seconds)
    if cache.created_at >= young:
        return False
    caches.delete_cache(cache.name)
    log(
        "unused cache deleted",
        severity="WARNING",
        job_id=job_id,
        cache=cache.name,
    )
    return True


def _keep_alive(context: Sweeping, caches: Caches, cache: Cache) -> None:
    """Let a cache live on once half of its time is over."""
    seconds = context.settings.cache_seconds
    if cache.expires_at < context.later(seconds / 2):
        caches.keep_cache(cache.name, seconds)


# ------------------------------------------------------------------------------------------------ work
def delete_unused_work(
    context: Sweeping, token: str | None, found: Counter[str]
) -> str | None:
    """Delete work objects of one page whose job has ended and was cleaned; return the next page's token."""
    page = context.objects.list(context.settings.work_bucket, page_token=token)
    young = context.now() - WORK_AGE
    old = (info for info in page.objects if info.created_at < young)
    for job_id, objects in groupby(old, _folder):
        if _needs_work(context, job_id):
            continue
        for info in objects:
            context.objects.delete(
                info.bucket,
                info.name,
                generation=info.generation,
            )
        found["swept_work"] += 1
        log("unused work objects deleted", job_id=job_id)
    return page.next_token


def _folder(info: ObjectInfo) -> str:
    """Return the id of the job that a work object belongs to."""
    return info.name.partition("/")[0]


def _needs_work(context: Sweeping, job_id: str) -> bool:
    """False also for a job whose document has expired: it existed before its objects."""
    stored = context.store.job(job_id)
    return stored is not None and needs_work(stored.value)


# ---------------------------------------------------------------------------------------- reservations
def free_leaked(context: Sweeping, found: Counter[str]) -> None:
    """Let go the reservations of shards that hold nothing at the provider any more."""
    for ledger, reserved in context.store.ledgers.found(queries.ledgers()):
        for shard_id, entry in reserved.without_end():
            if not _holds_capacity(context, shard_id, entry):
                found["swept_reservations"] += 1
                _free(context, ledger, shard_id, entry)


def _holds_capacity(context: Sweeping, shard_id: str, entry: Reservation) -> bool:
    stored = context.store.shard(shard_id)
    if stored is None or was_left(stored.value, entry, context.now()):
        return False
    return holds_capacity(stored.value)


def _free(context: Sweeping, ledger: str, shard_id: str, entry: Reservation) -> None:
    log(
        "leaked reservation freed",
        severity="WARNING",
        shard_id=shard_id,
        ledger=ledger,
    )
    change_ledger(context, ledger, partial(let_go, shard=shard_id, leaked=entry))
