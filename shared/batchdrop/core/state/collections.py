"""Collections of documents, and the one shape that a query for some of them has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

IndexValue = str | int | datetime | None


class Collection(StrEnum):
    """The collections of documents."""

    JOB = "jobs"
    SHARD = "shards"
    CAPACITY = "capacity"
    BUDGET = "budgets"
    COST = "costs"
    IDENTITY = "identities"
    BATCH = "batches"
    META = "meta"


@dataclass(frozen=True, slots=True)
class Query:
    """One of the declared queries (`core.state.queries`): equalities, one bound, an order, a cursor."""

    kind: Collection
    equal: tuple[tuple[str, IndexValue], ...] = ()
    at_most: tuple[str, IndexValue] | None = None
    at_least: tuple[str, IndexValue] | None = None
    order: tuple[str, ...] = ()
    descending: bool = False
    after: tuple[IndexValue, ...] = ()
    after_id: str = ""
    """Of a query without an order, whose documents come by their ids: go on behind this one."""
    limit: int = 100
