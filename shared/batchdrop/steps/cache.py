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
from batchdrop.dialects.gemini.beginnings import Watch, cache_body, units_of_line
from batchdrop.ports import BatchKind, Cache, Caches
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.shard_lines import all_ranges, raw_lines
from batchdrop.steps.stack import stack_id
from batchdrop.store import Stored

Submitting = Context[SubmitSettings]
MAX_CACHES: Final = 3
"""A job whose caches are lost so often goes on without one."""


def watch(context: Submitting, job: Job) -> Watch:
    """Return the counter of what a job's lines share, where its plan stands."""
    cursor = job.plan
    counts = (
        None
        if job.cache == "off" or context.provider_of(job).caches is None
        else cursor.agreeing
    )
    pattern = first_line(context, job) if counts else None
    return Watch(minimum_tokens(job.model) * BYTES_PER_TOKEN, counts, pattern)


def first_line(context: Submitting, job: Job) -> bytes | None:
    """Return the first accepted line of what is planned."""
    ranges = (plan for plan in all_ranges(context, job) if plan.requests)
    return next(
        (raw for plan in ranges for _, raw in raw_lines(context, job, plan, None)), None
    )


def decided(context: Submitting, job: Job, cursor: PlanCursor, hours: float) -> Caching:
    """Decide from what the lines share and from the prices whether the job has a cache."""
    if job.cache == "off":
        return Caching(wanted=False, reason="OFF")
    if context.provider_of(job).caches is None:
        return Caching(wanted=False, reason="NO_CACHES")
    if cursor.batch_kind == BatchKind.EMBED.value:
        return Caching(wanted=False, reason="EMBEDDINGS")
    planned = job.with_plan(context.now(), cursor)
    best = watch(context, planned).best() if cursor.agreeing else None
    pattern = first_line(context, planned) if best else None
    if best is None or pattern is None:
        return Caching(wanted=False, reason="NOTHING_SHARED")
    tokens = _tokens(context, job, pattern, best.depth)
    if tokens is None:
        return Caching(wanted=False, reason="NOT_COUNTED", requests=best.requests)
    found = decide(
        job.model, tokens, best.requests, hours, context.now(), context.settings.prices
    )
    forced = (
        job.cache == "required" and found.reason != "BELOW_MINIMUM" and not found.worth
    )
    caching = Caching(
        wanted=found.worth or forced,
        reason="REQUIRED" if forced else found.reason,
        depth=best.depth,
        requests=best.requests,
        tokens=tokens,
        hours=hours,
        spared=found.spared,
        cost=found.cost,
    )
    if not caching.wanted:
        return caching
    name = names.pattern(job.job_id, job.fence)
    work.put(context, name, [pattern])
    return caching.with_pattern(name)


def refuse_cache(job: Job, caching: Caching) -> Failure | None:
    """Say why a job that requires a cache cannot have one."""
    if job.cache != "required" or caching.wanted:
        return None
    return Failure(
        code="CACHE_IMPOSSIBLE",
        message=f"The job requires a context cache. {SENTENCES[caching.reason]}",
        fix="Set `cache: auto`, or give the requests one longer beginning.",
    )


def _tokens(context: Submitting, job: Job, pattern: bytes, depth: int) -> int | None:
    """Return what the provider counts in a line's beginning; None when it cannot be asked."""
    body = cache_body(pattern, depth)
    asked = b'"contents":[{"role":"user","parts":[{"text":"."}]}]'
    if units_of_line(pattern)[:depth][-1][0] >= 0:
        asked = body
    elif body:
        asked = b"%b,%b" % (asked, body)
    counter = context.provider_of(job).tokens
    if counter is None:
        return None
    try:
        return counter.count_tokens(model=job.model, request=b"{%b}" % asked)
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
        cache = _adoptable(context, caches, stored.value) or _made(
            context, caches, stored.value
        )
    except PermanentError as error:
        if job.cache == "required":
            raise
        log("cache refused", severity="WARNING", job_id=job.job_id, code=error.code)
        return _given_up(context, stored, "REFUSED").value
    use = CacheUse(name=cache.name, tokens=cache.tokens, created_at=cache.created_at)
    stored = context.store.change(stored, lambda job: job.with_cache(use))
    known = (
        []
        if stored.value.caching is None
        else [found.name for found in stored.value.caching.uses]
    )
    if cache.name not in known:
        caches.delete_cache(cache.name)
    return stored.value


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
    assert job.caching is not None
    pattern = work.get(context, job.caching.pattern)
    cache = caches.create_cache(
        model=job.model,
        body=cache_body(pattern, job.caching.depth),
        display_name=names.cache_name(stack_id(context), job.job_id),
        ttl_seconds=context.settings.cache_seconds,
    )
    log("cache made", job_id=job.job_id, cache=cache.name, tokens=cache.tokens)
    return cache


def _given_up(context: Submitting, stored: Stored[Job], reason: str) -> Stored[Job]:
    return context.store.change(stored, lambda job: job.cache_given_up(reason))
