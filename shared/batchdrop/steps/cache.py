"""Context caches: decided when a job is planned, made when its first shard is staged, deleted when it ends.

    plan    shared beginning counted -> prices -> the decision, with its reason, in the job's record
    stage   the cache is renewed, or adopted by its name, or made; the record names it by compare-and-set
    sweep   caches of running jobs are renewed; of ended or unknown jobs, and those no record names, deleted
    clean   the job's caches are deleted

Making one is not idempotent. A crash before it is recorded leaves one more, which the next staging adopts or the
next sweep deletes: what that costs is its storage for minutes, so there is no quarantine as there is for batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.money.cache_cost import (
    BYTES_PER_TOKEN,
    SENTENCES,
    decide,
    minimum_tokens,
)
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.caching import CacheUse, Caching
from batchdrop.core.state.cursors import PlanCursor
from batchdrop.core.state.job import Job
from batchdrop.core.value import Failure
from batchdrop.dialects.dialect import Beginnings, Cut, Watch
from batchdrop.ports import BatchKind, Cache, Caches
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.shard_lines import all_ranges, raw_lines
from batchdrop.steps.stack import stack_id
from batchdrop.store import Stored

Submitting = Context[SubmitSettings]
MAX_CACHES: Final = 3
"""A job whose caches are lost so often goes on without one."""


def watch(context: Submitting, job: Job) -> Watch | None:
    """Return the counter of what a job's lines share, where its plan stands; None when there is nothing to watch."""
    beginnings, counts = _beginnings(context, job), job.plan.agreeing
    if job.cache == "off" or beginnings is None or counts is None:
        return None
    pattern = first_line(context, job) if counts else None
    least = minimum_tokens(job.model) * BYTES_PER_TOKEN
    return beginnings.watch(least, counts, pattern)


def _beginnings(context: Submitting, job: Job) -> Beginnings | None:
    """Return what finds the beginning that lines share; None where provider or language keeps none."""
    if context.provider_of(job).caches is None:
        return None
    return context.language_of(job).beginnings


def first_line(context: Submitting, job: Job) -> bytes | None:
    """Return the first accepted line of what is planned."""
    ranges = (plan for plan in all_ranges(context, job) if plan.requests)
    return next(
        (raw for plan in ranges for _, raw in raw_lines(context, job, plan, None)), None
    )


def decided(context: Submitting, job: Job, cursor: PlanCursor, hours: float) -> Caching:
    """Decide from what the lines share and from the prices whether the job has a cache."""
    beginnings = _beginnings(context, job)
    if job.cache == "off":
        return Caching(wanted=False, reason="OFF")
    if beginnings is None:
        return Caching(wanted=False, reason="NO_CACHES")
    if cursor.batch_kind == BatchKind.EMBED.value:
        return Caching(wanted=False, reason="EMBEDDINGS")
    best, pattern = _shared(context, job.with_plan(context.now(), cursor))
    if best is None or pattern is None:
        return Caching(wanted=False, reason="NOTHING_SHARED")
    tokens = _counted(context, job, beginnings.countable(pattern, best.depth))
    if tokens is None:
        return Caching(wanted=False, reason="NOT_COUNTED", requests=best.requests)
    caching = _judged(context, job, best, tokens, hours)
    if not caching.wanted:
        return caching
    name = names.pattern(job.job_id, job.fence)
    work.put(context, name, [pattern])
    return caching.with_pattern(name)


def _shared(context: Submitting, planned: Job) -> tuple[Cut | None, bytes | None]:
    """Return the beginning that a planned job's lines share, and a line that has it."""
    watched = watch(context, planned) if planned.plan.agreeing else None
    best = watched.best() if watched else None
    return best, first_line(context, planned) if best else None


def _judged(
    context: Submitting, job: Job, best: Cut, tokens: int, hours: float
) -> Caching:
    """Say whether a cache of so many tokens pays, or is required all the same."""
    now, prices = context.now(), context.settings.prices
    found = decide(job.model, tokens, best.requests, hours, now, prices)
    possible = found.reason != "BELOW_MINIMUM"
    forced = job.cache == "required" and possible and not found.worth
    return Caching(
        wanted=found.worth or forced,
        reason="REQUIRED" if forced else found.reason,
        depth=best.depth,
        requests=best.requests,
        tokens=tokens,
        hours=hours,
        spared=found.spared,
        cost=found.cost,
    )


def refuse_cache(job: Job, caching: Caching) -> Failure | None:
    """Say why a job that requires a cache cannot have one."""
    if job.cache != "required" or caching.wanted:
        return None
    return Failure(
        code=Code.CACHE_IMPOSSIBLE,
        message=f"The job requires a context cache. {SENTENCES[caching.reason]}",
        fix="Set `cache: auto`, or give the requests one longer beginning.",
    )


def _counted(context: Submitting, job: Job, request: bytes) -> int | None:
    """Return what the provider counts in a request; None when it cannot be asked."""
    counter = context.provider_of(job).tokens
    if counter is None:
        return None
    try:
        return counter.count_tokens(model=job.model, request=request)
    except BatchdropError as error:
        if job.cache == "required" and not isinstance(error, PermanentError):
            raise
        log("tokens could not be counted", job_id=job.job_id, code=error.code)
        return None


# ------------------------------------------------------------------------------------------------ staging
def with_cache(context: Submitting, stored: Stored[Job]) -> Job:
    """Return the job with a cache that lives, if it is to have one.

    Raises:
        PermanentError: A required cache was refused.
    """
    job, caches = stored.value, context.provider_of(stored.value).caches
    if caches is None or job.caching is None or not job.caching.wanted:
        return job
    stored = _renewed(context, caches, stored)
    caching = stored.value.caching
    if caching is None or not caching.wanted or caching.current is not None:
        return stored.value
    try:
        cache = _adoptable(context, caches, stored.value)
        cache = cache or _made(context, caches, stored.value)
    except PermanentError as error:
        if job.cache == "required":
            raise
        log("cache refused", severity="WARNING", job_id=job.job_id, code=error.code)
        return _given_up(context, stored, "REFUSED").value
    return _recorded(context, caches, stored, cache)


def _recorded(
    context: Submitting, caches: Caches, stored: Stored[Job], cache: Cache
) -> Job:
    """Name a cache in the job's record; delete it when another one stands there."""
    use = CacheUse(name=cache.name, tokens=cache.tokens, created_at=cache.created_at)
    job = context.store.change(stored, lambda job: job.with_cache(use)).value
    uses = job.caching.uses if job.caching else ()
    if cache.name not in [known.name for known in uses]:
        caches.delete_cache(cache.name)
    return job


def _renewed(context: Submitting, caches: Caches, stored: Stored[Job]) -> Stored[Job]:
    """Let the job's cache live on; one that is gone is recorded as lost."""
    job, now = stored.value, context.now()
    current = job.caching.current if job.caching else None
    if current is None or caches.keep_cache(
        current.name, context.settings.cache_seconds
    ):
        return stored
    log("cache lost", severity="WARNING", job_id=job.job_id, cache=current.name)
    stored = context.store.change(stored, lambda job: job.cache_lost(now, current.name))
    if stored.value.caching and len(stored.value.caching.uses) >= MAX_CACHES:
        return _given_up(context, stored, "LOST")
    return stored


def _adoptable(context: Submitting, caches: Caches, job: Job) -> Cache | None:
    """Return a cache that a crashed worker made and did not record."""
    name = names.cache_name(stack_id(context), job.job_id)
    used = {use.name for use in job.caching.uses} if job.caching else set[str]()
    found = [
        cache
        for cache in _all_caches(caches)
        if cache.display_name == name and cache.name not in used
    ]
    return min(found, key=lambda cache: cache.created_at, default=None)


def _all_caches(caches: Caches) -> Iterator[Cache]:
    token: str | None = None
    while True:
        page = caches.list_caches(token)
        yield from page.caches
        token = page.next_token
        if token is None:
            return


def _made(context: Submitting, caches: Caches, job: Job) -> Cache:
    beginnings = context.language_of(job).beginnings
    assert job.caching is not None
    assert beginnings is not None
    pattern = work.get(context, job.caching.pattern)
    cache = caches.create_cache(
        model=job.model,
        body=beginnings.cache_body(pattern, job.caching.depth),
        display_name=names.cache_name(stack_id(context), job.job_id),
        ttl_seconds=context.settings.cache_seconds,
    )
    log("cache made", job_id=job.job_id, cache=cache.name, tokens=cache.tokens)
    return cache


def _given_up(context: Submitting, stored: Stored[Job], reason: str) -> Stored[Job]:
    return context.store.change(stored, lambda job: job.cache_given_up(reason))
