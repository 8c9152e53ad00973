"""Typed access to the documents: every collection as values of its own type, changed only by compare-and-set.

Jobs and shards have leases, so they are read and written with the document they stand in (`Stored`). The others are
values known by their ids alone (`Table`).

change(stored, transition): apply the pure transition, replace; on a conflict re-read and, while the fence
is still ours, apply it again. Another fence means the lease is lost.

Who loses a compare-and-set waits before the next: at once, two instances would meet again, and a document takes
about one sustained write a second (cloud.google.com/firestore/quotas).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from batchdrop.core.codes import Code
from batchdrop.core.errors import ConflictError, LeaseLostError, TransientError
from batchdrop.core.money.budgets import Budget
from batchdrop.core.money.costs import Entry
from batchdrop.core.state import queries
from batchdrop.core.state.batch import Owner
from batchdrop.core.state.capacity import Ledger
from batchdrop.core.state.identity import Claim
from batchdrop.core.state.job import Job, job_index
from batchdrop.core.state.shard import Shard, shard_index
from batchdrop.core.value import Value
from batchdrop.ports import Collection, Document, Documents, IndexValue, Query

R = TypeVar("R", Job, Shard)
V = TypeVar("V", bound=Value)
D = TypeVar("D")
ATTEMPTS = 10
LEAST_PAUSE_SECONDS = 0.02
MOST_PAUSE_SECONDS = 0.5
NO_INDEX: Mapping[str, IndexValue] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Stored(Generic[R]):
    """A value with the document it was read from or written as."""

    document: Document
    value: R


@dataclass(frozen=True, slots=True)
class Table(Generic[V]):
    """One collection of documents that are values of one type, known by their ids."""

    store: Store
    kind: Collection
    model: type[V]

    def get(self, id: str) -> V | None:
        """Read one document; None when there is none."""
        document = self.store.documents.get(self.kind, id)
        return None if document is None else self.model.model_validate(document.data)

    def found(self, query: Query) -> Iterator[tuple[str, V]]:
        """Run a declared query; yield ids and values."""
        for document in self.store.documents.query(query):
            yield document.id, self.model.model_validate(document.data)

    def ensure(
        self, id: str, value: V, index: Mapping[str, IndexValue] = NO_INDEX
    ) -> V:
        """Create the document unless it is there; return what is stored."""
        try:
            self.store.documents.create(self.kind, id, index=index, data=_data(value))
        except ConflictError:
            return self.get(id) or value
        return value

    def change(
        self,
        id: str,
        empty: V,
        transition: Callable[[V], V | D],
        index: Mapping[str, IndexValue] = NO_INDEX,
    ) -> V | D:
        """Apply a pure transition to a document, again after each conflict.

        Args:
            id: Its id.
            empty: What it holds while it does not exist.
            transition: Returns the new value; the same value, or anything that is none, changes nothing.
            index: The indexed fields it has afterwards.

        Returns:
            What the transition returned.

        Raises:
            TransientError: The document kept changing.
        """
        documents = self.store.documents

        def changed(_: bool) -> V | D:
            document = documents.get(self.kind, id)
            value = (
                empty if document is None else self.model.model_validate(document.data)
            )
            after = transition(value)
            if after is value or not isinstance(after, self.model):
                return after
            if document is None:
                documents.create(self.kind, id, index=index, data=_data(after))
            else:
                documents.replace(document, index=index, data=_data(after))
            return after

        return self.store.won(changed)


@dataclass(frozen=True, slots=True)
class Store:
    """All documents of a stack in a Documents port; ended jobs and shards expire after `keep_days`."""

    documents: Documents
    pause: Callable[[float, float], None]
    """`Clock.pause`."""
    keep_days: int = 30

    @property
    def ledgers(self) -> Table[Ledger]:
        """What a provider lets us have in flight, by model."""
        return Table(self, Collection.CAPACITY, Ledger)

    @property
    def budgets(self) -> Table[Budget]:
        """What may be spent and is held, by month."""
        return Table(self, Collection.BUDGET, Budget)

    @property
    def costs(self) -> Table[Entry]:
        """What was spent, by shard."""
        return Table(self, Collection.COST, Entry)

    @property
    def owners(self) -> Table[Owner]:
        """Whose a batch is that carries no name, by `names.owner`."""
        return Table(self, Collection.BATCH, Owner)

    @property
    def identities(self) -> Table[Claim]:
        """Which job answers a request, by the request's identity."""
        return Table(self, Collection.IDENTITY, Claim)

    def meta(self, model: type[V]) -> Table[V]:
        """Documents of the stack itself; each has a type of its own."""
        return Table(self, Collection.META, model)

    def count(self, query: Query) -> int:
        """Count what a declared query finds, up to its limit."""
        return self.documents.count(query)

    def job(self, job_id: str) -> Stored[Job] | None:
        """Read a job."""
        document = self.documents.get(Collection.JOB, job_id)
        return None if document is None else _stored(document, Job)

    def shard(self, shard_id: str) -> Stored[Shard] | None:
        """Read a shard."""
        document = self.documents.get(Collection.SHARD, shard_id)
        return None if document is None else _stored(document, Shard)

    def jobs(self, query: Query) -> list[Stored[Job]]:
        """Run a declared query over jobs."""
        return [_stored(document, Job) for document in self.documents.query(query)]

    def shards(self, query: Query) -> list[Stored[Shard]]:
        """Run a declared query over shards."""
        return [_stored(document, Shard) for document in self.documents.query(query)]

    def due_jobs(self, before: datetime, limit: int) -> list[Stored[Job]]:
        """Return jobs whose next step is due, the longest due first."""
        return self.jobs(queries.due(Collection.JOB, before, limit))

    def due_shards(self, before: datetime, limit: int) -> list[Stored[Shard]]:
        """Return shards whose next step is due, the longest due first."""
        return self.shards(queries.due(Collection.SHARD, before, limit))

    def shards_of(self, job_id: str) -> list[Stored[Shard]]:
        """Return all shards of a job."""
        return self.shards(queries.shards_of(job_id))

    def add(self, value: R) -> Stored[R]:
        """Create the document, or raise ConflictError when it is there."""
        kind, id = _address(value)
        document = self.documents.create(
            kind, id, index=self._index(value), data=_data(value)
        )
        return Stored(document, value)

    def ensure(self, value: R) -> Stored[R]:
        """Create the document unless it is there; return what is stored."""
        try:
            return self.add(value)
        except ConflictError:
            kind, id = _address(value)
            document = self.documents.get(kind, id)
            if document is None:
                raise TransientError(
                    "a document vanished while it was created"
                ) from None
            return _stored(document, type(value))

    def save(self, stored: Stored[R], value: R) -> Stored[R]:
        """Replace the document by compare-and-set, or raise ConflictError."""
        document = self.documents.replace(
            stored.document, index=self._index(value), data=_data(value)
        )
        return Stored(document, value)

    def reload(self, stored: Stored[R]) -> Stored[R]:
        """Read the document again."""
        document = self.documents.get(stored.document.kind, stored.document.id)
        if document is None:
            raise LeaseLostError(Code.DOCUMENT_GONE)
        return _stored(document, type(stored.value))

    def change(
        self,
        stored: Stored[R],
        transition: Callable[[R], R | None],
        *,
        fence: int | None = None,
    ) -> Stored[R]:
        """Apply a pure transition by compare-and-set, again after each conflict.

        Args:
            stored: The document as last seen.
            transition: Returns the new value, or None when there is nothing to change.
            fence: The fence we hold; a document with another one raises LeaseLostError.

        Raises:
            LeaseLostError: Another worker owns the record.
            TransientError: The document kept changing.
        """
        return self.won(
            lambda again: self._changed(
                self.reload(stored) if again else stored, transition, fence
            )
        )

    def change_if(
        self, stored: Stored[R], transition: Callable[[R], R | None]
    ) -> Stored[R] | None:
        """Apply a pure transition as `change` does; None when it changed nothing, whoever made the last change."""

        def changed(again: bool) -> Stored[R] | None:
            before = self.reload(stored) if again else stored
            after = self._changed(before, transition, None)
            return None if after is before else after

        return self.won(changed)

    def claim(
        self,
        stored: Stored[R],
        now: datetime,
        lease_seconds: float,
        states: Container[StrEnum],
    ) -> Stored[R]:
        """Own the document under a new fence, or raise LeaseLostError: leased, or not in one of the states."""

        def claimed(value: R) -> R:
            if value.state not in states:
                raise LeaseLostError(Code.MOVED_ON)
            return value.claimed(now, lease_seconds)

        return self.change(stored, claimed)

    def _changed(
        self, stored: Stored[R], transition: Callable[[R], R | None], fence: int | None
    ) -> Stored[R]:
        if fence is not None and stored.value.fence != fence:
            raise LeaseLostError("another worker claimed the document")
        value = transition(stored.value)
        return stored if value is None else self.save(stored, value)

    def won(self, step: Callable[[bool], D]) -> D:
        """Repeat a compare-and-set until it wins, with a growing random pause after each that lost.

        The step is told whether it lost before.
        """
        longest = LEAST_PAUSE_SECONDS
        for attempt in range(ATTEMPTS):
            try:
                return step(attempt > 0)
            except ConflictError:
                longest = min(2 * longest, MOST_PAUSE_SECONDS)
                self.pause(LEAST_PAUSE_SECONDS, longest)
        raise TransientError(Code.CONTENTION)

    def _index(self, value: Job | Shard) -> Mapping[str, IndexValue]:
        ended = value.updated_at + timedelta(days=self.keep_days)
        expire_at = ended if value.due_at is None and value.state.terminal else None
        return (
            job_index(value, expire_at)
            if isinstance(value, Job)
            else shard_index(value, expire_at)
        )


def _address(value: Job | Shard) -> tuple[Collection, str]:
    return (
        (Collection.JOB, value.job_id)
        if isinstance(value, Job)
        else (Collection.SHARD, value.shard_id)
    )


def _data(value: Value) -> dict[str, Any]:
    return value.model_dump(mode="json", by_alias=True)


def _stored(document: Document, model: type[R]) -> Stored[R]:
    return Stored(document, model.model_validate(document.data))
