"""What the documents of a job and of its shards tell of its costs: pure, from what rows used to what is posted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from batchdrop.core.money.budgets import Budget, settled
from batchdrop.core.money.cache_cost import kept, made
from batchdrop.core.money.costs import CACHE_KEPT, CACHE_MADE, Entry, Work
from batchdrop.core.money.prices import Overrides, Processing, source
from batchdrop.core.state.caching import CacheUse
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Shard


def work_of(job: Job, shard: Shard, segments: Sequence[Segment]) -> Work:
    """Return what a shard did, as its segments tell."""
    return Work(
        shard_id=shard.shard_id,
        job_id=job.job_id,
        team=job.team,
        labels=job.labels,
        model=shard.model,
        processing=Processing.STANDARD if shard.route.asks else Processing.BATCH,
        redo=shard.kind.repeats,
        usage=_total(segment.usage for segment in segments),
        failed=_total(segment.failed for segment in segments),
        unseen=_did_more(shard, segments),
        at=shard.submitted_at or shard.created_at,
    )


def _total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total = Counter[str]()
    for count in counts:
        total.update(count)
    return total


def _did_more(shard: Shard, segments: Sequence[Segment]) -> bool:
    """Tell whether the provider may have done work that no row shows."""
    if shard.results_lost:
        return True
    missing = any(segment.by_outcome.get("missing") for segment in segments)
    return missing and shard.batch.cut_short


def cache_entry(job: Job, now: datetime, prices: Overrides) -> Entry:
    """Price the making and keeping of a job's caches: from their creation until they were lost, else until now."""
    uses = job.caching.uses if job.caching else ()
    token_hours = sum((use.tokens * _hours(use, now) for use in uses), Decimal(0))
    making = [made(job.model, use.tokens, now, prices) for use in uses]
    amount = _sum([kept(job.model, token_hours, now, prices), *making])
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
        amount=amount,
        reason="NO_STORAGE_RATE" if amount is None else "",
        source=source(),
    )


def _hours(use: CacheUse, now: datetime) -> Decimal:
    length = (use.lost_at or now) - use.created_at
    return max(Decimal(str(length.total_seconds())) / 3600, Decimal(0))


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Add amounts up; None when one of them is not known."""
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def settled_by(budget: Budget, job: Job) -> Budget:
    """Put what an ended job cost in place of what it held; without a price, what it held stays counted."""
    amount = job.cost["amount"] if job.cost else "0"
    hold = budget.holds.get(job.job_id)
    if amount is None and hold is not None:
        return settled(budget, job.job_id, hold.amount)
    return settled(budget, job.job_id, Decimal(amount or 0))
