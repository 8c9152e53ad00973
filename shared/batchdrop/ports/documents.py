"""Documents: small values changed by compare-and-set alone, found by declared queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

IndexValue = str | int | datetime | None
Json = Mapping[str, Any]


class Collection(StrEnum):
    """The collections of documents."""

    JOB = "jobs"
    SHARD = "shards"
    CAPACITY = "capacity"
    BUDGET = "budgets"
    COST = "costs"
    IDENTITY = "identities"
    META = "meta"


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document as read: `version` and `write_id` belong to the store, the rest to us."""

    kind: Collection
    id: str
    version: int
    write_id: str
    index: Mapping[str, IndexValue]
    data: Json
    token: object = field(default=None, compare=False)
    """What the store itself needs to recognise this version."""


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
    limit: int = 100


class Documents(Protocol):
    """Documents changed only by compare-and-set. All index fields are always written (None if unset)."""

    def get(self, kind: Collection, id: str) -> Document | None:
        """Read one document, strongly consistent."""
        ...

    def create(
        self, kind: Collection, id: str, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Create at version 1, or raise ConflictError; our own lost success is recognised by its write id."""
        ...

    def replace(
        self, document: Document, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Write all of it as version + 1 if the stored version is `document.version`, else ConflictError."""
        ...

    def delete(self, document: Document) -> bool:
        """Delete it if it still has this version; False otherwise."""
        ...

    def query(self, query: Query) -> list[Document]:
        """Run a declared query. Documents without (None in) an ordered or bounded field are not found."""
        ...

    def count(self, query: Query) -> int:
        """Return how many documents a declared query finds, at most its limit, without reading them."""
        ...
