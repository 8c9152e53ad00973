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
from batchdrop.core.state.capacity import freed
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.value import Value
from batchdrop.ports import Batch, Batches, Cache, Caches, Files, ProviderFile
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
_IN_USE: Final = frozenset(
    {ShardState.QUEUED, ShardState.STAGING, ShardState.STAGED, ShardState.CREATING}
)
_RESERVED: Final = _IN_USE | {ShardState.SUBMITTED}


class Cursors(Value):
    """Where each sweep goes on, and when."""

    next_at: datetime | None = None
    uploads: Pass = Pass()
    pages: dict[str, str | None] = Field(default_factory=dict[str, str | None])


Page = Callable[[Sweeping, str | None, Counter[str]], str | None]


def sweep(context: Sweeping, found: Counter[str]) -> bool:
    """Sweep if it is time; return whether it was, and add up what was found (`logs.TICK_SWEPT`)."""
    kept = context.store.meta(Cursors).get(_CURSORS) or Cursors()
    if kept.next_at is not None and context.now() < kept.next_at:
        return False
    uploads = find_lost_uploads(context, kept.uploads, found)
    each = _pages(context).items()
    pages = {
        name: _some_pages(context, page, kept.pages.get(name), found)
        for name, page in each
    }
    free_leaked(context, found)
    cursors = Cursors(
        next_at=context.later(context.settings.sweep_seconds),
        uploads=uploads,
        pages=pages,
    )
    # When another tick was faster, its cursors are as good as these.
    context.store.meta(Cursors).change(_CURSORS, Cursors(), lambda _: cursors)
    return True


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
        log(
            "batch of an unknown shard",
            severity="ERROR",
            shard_id=shard_id,
            batch=batch.name,
        )
        return False
    if stored.value.knows(batch.name) or _may_adopt(stored.value):
        return False
    log(
        "orphan batch found",
        severity="ERROR",
        shard_id=shard_id,
        batch=batch.name,
        adopted=stored.value.batch.name,
    )
    if may_cancel(context, batch):
        batches.cancel(batch.name)
    context.store.change(stored, lambda shard: shard.with_duplicate(batch.name))
    return True


def _may_adopt(shard: Shard) -> bool:
    """True while a shard has no batch and may still get this one; an ended one without a batch never will."""
    return not shard.batch.name and shard.state in _IN_USE


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
        if (
            shard_id is not None
            and file.created_at < old
            and not _file_in_use(context, file, shard_id)
        ):
            files.delete_file(file.name)
            found["swept_files"] += 1
            log("unused file deleted", shard_id=shard_id)
    return page.next_token


def _file_in_use(context: Sweeping, file: ProviderFile, shard_id: str) -> bool:
    stored = context.store.shard(shard_id)
    if stored is None or stored.value.state.terminal:
        return False
    shard = stored.value
    return (
        shard.state is ShardState.STAGING
        or shard.file == file.name
        or bool(shard.attached)
    )


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
    """Renew a cache or delete it; return whether it was deleted."""
    stored, now = context.store.job(job_id), context.now()
    job = None if stored is None else stored.value
    caching = job.caching if job and not job.state.terminal else None
    if caching and cache.name in (use.name for use in caching.uses):
        if cache.expires_at < now + timedelta(
            seconds=context.settings.cache_seconds / 2
        ):
            caches.keep_cache(cache.name, context.settings.cache_seconds)
        return False
    if cache.created_at >= now - timedelta(seconds=context.settings.lease_seconds):
        return False
    caches.delete_cache(cache.name)
    log("unused cache deleted", severity="WARNING", job_id=job_id, cache=cache.name)
    return True


# ------------------------------------------------------------------------------------------------ work
def delete_unused_work(
    context: Sweeping, token: str | None, found: Counter[str]
) -> str | None:
    """Delete work objects of one page whose job has ended and was cleaned; return the next page's token."""
    bucket = context.settings.work_bucket
    page = context.objects.list(bucket, page_token=token)
    old = [info for info in page.objects if info.created_at < context.now() - WORK_AGE]
    for job_id, objects in groupby(old, lambda info: info.name.partition("/")[0]):
        if not _job_is_over(context, job_id):
            continue
        for info in objects:
            context.objects.delete(bucket, info.name, generation=info.generation)
        found["swept_work"] += 1
        log("unused work objects deleted", job_id=job_id)
    return page.next_token


def _job_is_over(context: Sweeping, job_id: str) -> bool:
    """True for a job that was cleaned, and for one whose document has expired: it existed before its objects."""
    stored = context.store.job(job_id)
    return stored is None or (stored.value.state.terminal and stored.value.cleaned)


# ---------------------------------------------------------------------------------------- reservations
def free_leaked(context: Sweeping, found: Counter[str]) -> None:
    """Let go the reservations of shards that hold nothing at the provider any more."""
    for name, ledger in context.store.ledgers.found(queries.ledgers()):
        for shard_id, entry in ledger.entries.items():
            if entry.until is None and not _holds_capacity(context, shard_id):
                found["swept_reservations"] += 1
                log(
                    "leaked reservation freed",
                    severity="WARNING",
                    shard_id=shard_id,
                    ledger=name,
                )
                change_ledger(
                    context,
                    name,
                    lambda ledger, shard_id=shard_id: freed(ledger, shard_id),
                )


def _holds_capacity(context: Sweeping, shard_id: str) -> bool:
    stored = context.store.shard(shard_id)
    return stored is not None and stored.value.state in _RESERVED


def _pages(context: Sweeping) -> dict[str, Page]:
    """Return what is swept by pages, under the names of their cursors: of each provider what it has."""
    pages: dict[str, Page] = {}
    for name, provider in context.providers.items():
        pages[f"batches.{name}"] = partial(find_orphan_batches, provider.batches)
        if provider.files is not None:
            pages[f"files.{name}"] = partial(delete_unused_files, provider.files)
        if provider.caches is not None:
            pages[f"caches.{name}"] = partial(keep_or_delete_caches, provider.caches)
    return pages | {"work": delete_unused_work}
