"""Accounting: what a shard's rows used becomes one ledger entry; what a job's shards used becomes its cost.

The entry's id is the shard's, and it is created before the shard ends: a message delivered again, or a crash in
between, finds it there. Budgets are documents of a month, changed by compare-and-set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from batchdrop.core.money.budgets import Budget, settled
from batchdrop.core.money.cache_cost import kept, made
from batchdrop.core.money.costs import CACHE_KEPT, CACHE_MADE, Entry, Work, entry
from batchdrop.core.money.prices import Overrides, Processing, source
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.batch import NoBatch
from batchdrop.core.state.caching import CacheUse
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.ports import BatchState
from batchdrop.steps.context import Context
from batchdrop.steps.segment_lists import segments_of

Any_ = Context[CommonSettings]
_UNSEEN = (
    BatchState.CANCELLED,
    BatchState.CANCELLING,
    BatchState.EXPIRED,
    NoBatch.GONE,
)


def entry_of(context: Any_, job: Job, shard: Shard) -> Entry | None:
    """Return what a shard's rows used and cost; None for a shard that never reached the provider."""
    if not shard.route.asks and not shard.batch.name:
        return None
    usage, failed = Counter[str](), Counter[str]()
    segments = segments_of(context, shard)
    for segment in segments:
        usage.update(segment.usage)
        failed.update(segment.failed)
    missing = any(segment.by_outcome.get("missing") for segment in segments)
    work = Work(
        shard_id=shard.shard_id,
        job_id=job.job_id,
        team=job.team,
        labels=job.labels,
        model=shard.model,
        processing=Processing.STANDARD if shard.route.asks else Processing.BATCH,
        redo=shard.kind.repeats,
        usage=usage,
        failed=failed,
        unseen=bool(shard.results_lost or (missing and shard.batch.state in _UNSEEN)),
        at=shard.submitted_at or shard.created_at,
    )
    return entry(work, context.settings.prices)


def entries_of(context: Any_, job: Job, shards: Iterable[Shard]) -> list[Entry]:
    """Return the entries of a job's shards."""
    found = (entry_of(context, job, shard) for shard in shards)
    return [one for one in found if one is not None]


def record(context: Any_, job: Job, shard: Shard) -> None:
    """Write a shard's entry unless it is there."""
    found = entry_of(context, job, shard)
    if found is None:
        return
    _post(context, found)


def record_cache(context: Any_, job: Job) -> list[Entry]:
    """Write the entry of a job's context caches unless it is there; return it as it is kept, none without a cache."""
    if job.caching is None or not job.caching.uses:
        return []
    found = cache_entry(job, context.now(), context.settings.prices)
    return [_post(context, found)]


def _post(context: Any_, entry: Entry) -> Entry:
    """Keep an entry unless it is there; return it as it is kept."""
    expire_at = context.now() + timedelta(days=context.settings.ledger_days)
    return context.store.costs.ensure(
        entry.shard_id, entry, {"day": entry.day, "expire_at": expire_at}
    )


def cache_entry(job: Job, now: datetime, prices: Overrides) -> Entry:
    """Price the making and keeping of a job's caches: from their creation until they were lost, else until now."""
    uses = job.caching.uses if job.caching else ()
    token_hours = sum((use.tokens * _hours(use, now) for use in uses), Decimal(0))
    amounts = [
        kept(job.model, token_hours, now, prices),
        *(made(job.model, use.tokens, now, prices) for use in uses),
    ]
    known = [amount for amount in amounts if amount is not None]
    return Entry(
        shard_id=f"{job.job_id}-cache",
        job_id=job.job_id,
        day=now.date().isoformat(),
        team=job.team,
        labels=job.labels,
        model=job.model,
        processing=Processing.STANDARD.value,
        usage={
            CACHE_MADE: sum(use.tokens for use in uses),
            CACHE_KEPT: int(token_hours),
        },
        amount=sum(known, Decimal(0)) if len(known) == len(amounts) else None,
        reason="" if len(known) == len(amounts) else "NO_STORAGE_RATE",
        source=source(),
    )


def _hours(use: CacheUse, now: datetime) -> Decimal:
    length = (use.lost_at or now) - use.created_at
    return max(Decimal(str(length.total_seconds())) / 3600, Decimal(0))


def settle(context: Any_, job: Job) -> None:
    """Put what an ended job cost in place of what it held; without a price, what it held stays counted."""
    if not job.budget_month:
        return
    amount = (job.cost or {"amount": "0"})["amount"]

    def done(budget: Budget) -> Budget:
        hold = budget.holds.get(job.job_id)
        return settled(
            budget,
            job.job_id,
            hold.amount if amount is None and hold else Decimal(amount or 0),
        )

    change_budget(context, job.budget_month, done)


def change_budget(
    context: Any_, month: str, transition: Callable[[Budget], Budget | str]
) -> Budget | str:
    """Apply a pure transition to a month's budget by compare-and-set; return it, or the words of its refusal."""
    return context.store.budgets.change(month, Budget(), transition)
