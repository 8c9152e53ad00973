"""The store's compare-and-set: what it does when it loses, and what a document can hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchdrop.adapters.sqlite_records import SqliteRecords
from batchdrop.core.capacity import Ledger, Reservation
from batchdrop.core.errors import LeaseLostError, TransientError
from batchdrop.core.jobs import Job
from batchdrop.ports import Kind
from batchdrop.store import ATTEMPTS, LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS, Store
from tests.unit.test_records import job

ENTRY = Reservation(team="", tokens=1, bytes=1)


class Pauses(list[tuple[float, float]]):
    """Remembers what it was asked to wait, and does not."""

    def __call__(self, least: float, most: float) -> None:
        self.append((least, most))


@pytest.fixture
def pauses() -> Pauses:
    """The pauses that were asked for."""
    return Pauses()


@pytest.fixture
def store(pauses: Pauses) -> Store:
    """A store on records in memory."""
    return Store(SqliteRecords(":memory:"), pauses)


def overtaken(store: Store, times: int) -> Callable[[Job], Job]:
    """Return a transition that somebody else overtakes so often."""
    left = iter(range(times))

    def transition(value: Job) -> Job:
        if next(left, None) is not None:
            stored = store.job("j")
            assert stored is not None
            store.save(stored, stored.value.with_(priority=stored.value.priority + 1))
        return value.with_(team="blue")

    return transition


def test_a_change_that_wins_waits_for_nothing(store: Store, pauses: Pauses) -> None:
    assert store.change(store.add(job()), lambda value: value.with_(team="blue")).value.team == "blue"
    assert pauses == []


def test_a_change_that_loses_waits_longer_each_time_and_then_sees_what_others_wrote(
    store: Store, pauses: Pauses
) -> None:
    changed = store.change(store.add(job()), overtaken(store, 6)).value
    assert (changed.team, changed.priority) == ("blue", 6)
    assert [least for least, _ in pauses] == [LEAST_PAUSE_SECONDS] * 6
    longest = [most for _, most in pauses]
    assert longest == sorted(longest)
    assert longest[0] == 2 * LEAST_PAUSE_SECONDS
    assert longest[-1] == MOST_PAUSE_SECONDS


def test_a_change_that_never_wins_is_given_up(store: Store, pauses: Pauses) -> None:
    with pytest.raises(TransientError) as caught:
        store.change(store.add(job()), overtaken(store, 99))
    assert caught.value.code == "CONTENTION"
    assert len(pauses) == ATTEMPTS


def test_another_fence_ends_a_change_at_once(store: Store, pauses: Pauses) -> None:
    stored = store.add(job())
    store.save(stored, stored.value.with_(fence=7))
    with pytest.raises(LeaseLostError):
        store.change(stored, lambda value: value.with_(team="blue"), fence=0)
    assert len(pauses) == 1


def test_a_ledger_that_two_change_keeps_both(store: Store, pauses: Pauses) -> None:
    def add(name: str, after: Callable[[], object]) -> Callable[[Ledger], Ledger]:
        later = iter([after])

        def transition(ledger: Ledger) -> Ledger:
            next(later, lambda: None)()
            return ledger.with_(entries={**ledger.entries, name: ENTRY})

        return transition

    def other() -> object:
        return store.change_document(Kind.CAPACITY, "m", Ledger(), add("b", lambda: None))

    ledger = store.change_document(Kind.CAPACITY, "m", Ledger(), add("a", other))
    assert isinstance(ledger, Ledger)
    assert set(ledger.entries) == {"a", "b"}
    assert len(pauses) == 1


def test_a_refused_change_of_a_ledger_writes_nothing(store: Store) -> None:
    assert store.change_document(Kind.CAPACITY, "m", Ledger(), lambda _: None) is None
    assert store.change_document(Kind.BUDGET, "m", Ledger(), lambda ledger: ledger) == Ledger()
    assert store.records.get(Kind.CAPACITY, "m") is None
    assert store.records.get(Kind.BUDGET, "m") is None
