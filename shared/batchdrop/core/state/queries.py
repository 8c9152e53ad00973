"""Every query the code makes, and nothing else: `infra/` declares exactly the indexes these need.

A field in `INDEXED` is stored beside `data`; all other content of a document is unindexed. Firestore
serves a query with equalities and one bound or order on a single field from its automatic indexes; only the
queue needs a composite one (source: firebase.google.com/docs/firestore/query-data/index-overview,
read 2026-11-23 in a stored copy).
"""

from __future__ import annotations

from datetime import datetime

from batchdrop.core.state.collections import Collection, Query

INDEXED: dict[Collection, tuple[str, ...]] = {
    Collection.JOB: (
        "due_at",
        "object_name",
        "created_at",
        "state",
        "open_since_at",
        "open_until_at",
        "expire_at",
    ),
    Collection.SHARD: (
        "due_at",
        "state",
        "job_id",
        "pool",
        "team",
        "priority_rank",
        "queued_at",
        "expire_at",
    ),
    Collection.CAPACITY: (),
    Collection.BUDGET: (),
    Collection.COST: ("day", "expire_at"),
    Collection.IDENTITY: ("expire_at",),
    Collection.BATCH: ("expire_at",),
    Collection.META: (),
}
"""The indexed fields of each kind, always all written (None when unset)."""

COUNTED = 10_000
"""Where counting ends: more says nothing else to whoever looks at the number, and would cost more reads."""

TTL_FIELD = "expire_at"
"""Documents are removed after this time (Firestore TTL; within 24 h, never used as a lease)."""

COMPOSITE: dict[Collection, tuple[tuple[str, ...], ...]] = {
    Collection.SHARD: (("state", "pool", "team", "priority_rank", "queued_at"),),
}
"""The composite indexes the queries below need, all ascending."""


def due(kind: Collection, now: datetime, limit: int) -> Query:
    """Documents whose next step is due, the longest waiting first."""
    return Query(kind, at_most=("due_at", now), order=("due_at",), limit=limit)


def submitted(limit: int, after: str = "") -> Query:
    """Shards that are at the provider, by their ids, behind the one named."""
    return Query(
        Collection.SHARD,
        equal=(("state", "SUBMITTED"),),
        after_id=after,
        limit=limit,
    )


def shards_of(job_id: str, limit: int = 100_000) -> Query:
    """All shards of a job."""
    return Query(Collection.SHARD, equal=(("job_id", job_id),), limit=limit)


def queued_teams(pool: str, after_team: str | None) -> Query:
    """The first queued shard of the next team after `after_team` (a loose scan over teams)."""
    return Query(
        Collection.SHARD,
        equal=(("state", "QUEUED"), ("pool", pool)),
        order=("team", "priority_rank", "queued_at"),
        after=() if after_team is None else (after_team,),
        limit=1,
    )


def queued_of(pool: str, team: str, limit: int) -> Query:
    """A team's queued shards of a pool, by priority, then age."""
    return Query(
        Collection.SHARD,
        equal=(("state", "QUEUED"), ("pool", pool), ("team", team)),
        order=("priority_rank", "queued_at"),
        limit=limit,
    )


def jobs_named(object_name: str, limit: int = 50) -> Query:
    """Jobs of one object name in any generation."""
    return Query(Collection.JOB, equal=(("object_name", object_name),), limit=limit)


def newest_jobs(limit: int, before: datetime | None = None) -> Query:
    """Jobs, newest first."""
    return Query(
        Collection.JOB,
        order=("created_at",),
        descending=True,
        after=() if before is None else (before,),
        limit=limit,
    )


def oldest_open_job(now: datetime) -> Query:
    """The oldest job that has not ended. The bound leaves those out that have: Firestore sorts null before times."""
    return Query(
        Collection.JOB,
        at_most=("open_since_at", now),
        order=("open_since_at",),
        limit=1,
    )


def held_jobs(limit: int = COUNTED) -> Query:
    """Jobs that wait for a person or a recipe."""
    return Query(Collection.JOB, equal=(("state", "HELD"),), limit=limit)


def overdue_jobs(now: datetime, limit: int = COUNTED) -> Query:
    """Jobs that have not ended and are past their deadline."""
    return Query(
        Collection.JOB,
        at_most=("open_until_at", now),
        order=("open_until_at",),
        limit=limit,
    )


def queued(limit: int = COUNTED) -> Query:
    """Shards that wait for capacity."""
    return Query(Collection.SHARD, equal=(("state", "QUEUED"),), limit=limit)


def costs_since(day: str, limit: int = 100_000) -> Query:
    """Ledger entries from a day (YYYY-MM-DD) on."""
    return Query(Collection.COST, at_least=("day", day), order=("day",), limit=limit)


def ledgers(limit: int = 200) -> Query:
    """All capacity ledgers: one a pool and one a provider."""
    return Query(Collection.CAPACITY, limit=limit)
