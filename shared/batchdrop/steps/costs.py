"""Accounting: what a shard's rows used becomes one ledger entry; what a job's shards used becomes its cost.

The entry's id is the shard's, and it is created before the shard ends: a message delivered again, or a crash in
between, finds it there. Budgets are documents of a month, changed by compare-and-set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from batchdrop.core.money.budgets import Budget
from batchdrop.core.money.costs import Entry, entry
from batchdrop.core.money.spent import cache_entry, settled_by, work_of
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.steps.context import Context
from batchdrop.steps.segment_lists import segments_of

Any_ = Context[CommonSettings]


def entry_of(context: Any_, job: Job, shard: Shard) -> Entry | None:
    """Return what a shard's rows used and cost; None for a shard that never reached the provider."""
    if not shard.route.asks and not shard.batch.name:
        return None
    work = work_of(job, shard, segments_of(context, shard))
    return entry(work, context.settings.prices)


def entries_of(context: Any_, job: Job, shards: Iterable[Shard]) -> list[Entry]:
    """Return the entries of a job's shards."""
    entries = (entry_of(context, job, shard) for shard in shards)
    return [entry for entry in entries if entry is not None]


def record(context: Any_, job: Job, shard: Shard) -> None:
    """Write a shard's entry unless it is there."""
    entry = entry_of(context, job, shard)
    if entry is not None:
        _post(context, entry)


def record_cache(context: Any_, job: Job) -> list[Entry]:
    """Write the entry of a job's context caches unless it is there; return it as it is kept, none without a cache."""
    if job.caching is None or not job.caching.uses:
        return []
    entry = cache_entry(job, context.now(), context.settings.prices)
    return [_post(context, entry)]


def _post(context: Any_, entry: Entry) -> Entry:
    """Keep an entry unless it is there; return it as it is kept."""
    days = context.settings.ledger_days
    expire_at = context.now() + timedelta(days=days)
    return context.store.costs.ensure(
        entry.shard_id,
        entry,
        {"day": entry.day, "expire_at": expire_at},
    )


def settle(context: Any_, job: Job) -> None:
    """Put what an ended job cost in place of what it held in the budget of its month."""
    if job.budget_month:
        change_budget(context, job.budget_month, partial(settled_by, job=job))


def change_budget(
    context: Any_, month: str, transition: Callable[[Budget], Budget | str]
) -> Budget | str:
    """Apply a pure transition to a month's budget by compare-and-set; return it, or the words of its refusal."""
    return context.store.budgets.change(month, Budget(), transition)
