"""The store's compare-and-set: what it does when it loses, and what a document can hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchdrop.adapters.documents import encoded
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.core.errors import LeaseLostError, TransientError
from batchdrop.core.limits import KIB, limit
from batchdrop.core.money.budgets import Budget
from batchdrop.core.result.outcome import Outcome
from batchdrop.core.state import names
from batchdrop.core.state.capacity import Ledger, Reservation
from batchdrop.core.state.cursors import Finalizing, Piece, PlanCursor
from batchdrop.core.state.job import Job, job_index
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import Child, ShardKind, shard_index
from batchdrop.ports import Collection
from batchdrop.store import ATTEMPTS, LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS, Store
from tests.unit.test_lease import job, shard

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
    return Store(SqliteDocuments(":memory:"), pauses)


def blue(value: Job) -> Job:
    return value.model_copy(update={"team": "blue"})


def overtaken(store: Store, times: int) -> Callable[[Job], Job]:
    """Return a transition that somebody else overtakes so often."""
    left = iter(range(times))

    def transition(value: Job) -> Job:
        if next(left, None) is not None:
            stored = store.job("j")
            assert stored is not None
            store.save(stored, stored.value.model_copy(update={"priority": stored.value.priority + 1}))
        return blue(value)

    return transition


def test_a_change_that_wins_waits_for_nothing(store: Store, pauses: Pauses) -> None:
    assert store.change(store.add(job()), blue).value.team == "blue"
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
    store.save(stored, stored.value.model_copy(update={"fence": 7}))
    with pytest.raises(LeaseLostError):
        store.change(stored, blue, fence=0)
    assert len(pauses) == 1


def test_a_ledger_that_two_change_keeps_both(store: Store, pauses: Pauses) -> None:
    def add(name: str, after: Callable[[], object]) -> Callable[[Ledger], Ledger]:
        later = iter([after])

        def transition(ledger: Ledger) -> Ledger:
            next(later, lambda: None)()
            return ledger.with_entries({name: ENTRY})

        return transition

    def other() -> object:
        return store.ledgers.change("m", Ledger(), add("b", lambda: None))

    ledger = store.ledgers.change("m", Ledger(), add("a", other))
    assert isinstance(ledger, Ledger)
    assert set(ledger.entries) == {"a", "b"}
    assert len(pauses) == 1


def test_a_refused_change_of_a_ledger_writes_nothing(store: Store) -> None:
    assert store.ledgers.change("m", Ledger(), lambda _: None) is None
    assert store.budgets.change("m", Budget(), lambda budget: budget) == Budget()
    assert store.documents.get(Collection.CAPACITY, "m") is None
    assert store.documents.get(Collection.BUDGET, "m") is None


# --------------------------------------------------------------------------------------------- documents
RANGES = 3_000
"""20 million lines in ranges of 10,000, and 64 GiB in ranges of 64 MiB (settings.range_lines, range_bytes)."""
ID = "f" * 32


def test_the_largest_job_fits_its_document() -> None:
    """Every list of a job grows with its ranges, a range in a step: the worst case of an upload at its limits."""
    steps = range(RANGES)
    plan = PlanCursor(
        parts=tuple(names.plan_part(ID, step, 99_999) for step in steps),
        keys=tuple(names.key_hashes(ID, step, 99_999) for step in range(limit("counted_keys") // 10_000)),
        agreeing=(20_000_000,) * limit("shared_units"),
        checksum="f" * 64,
    )
    pieces = (Piece(name=names.records(ID, step, 99_999), bytes=64 << 20, generation=1 << 50) for step in range(2_000))
    lists = (names.parts_list(ID, step, 99_999) for step in steps)
    labels = {f"{number:02d}" + "n" * 20: "v" * 60 for number in range(94)}
    value = job(
        metadata={"k": "v" * 8 * KIB},
        labels=labels,
        plan=plan,
        records=tuple(pieces),
        finalizing=Finalizing(lists=tuple(lists)),
        warnings=("w" * 300,) * 50,
    )
    encoded(Collection.JOB, ID, job_index(value, None), value.model_dump(mode="json", by_alias=True))


def test_the_largest_shard_fits_its_document() -> None:
    """Segments and lists of children above `record_list` are work objects."""
    most = limit("record_list")
    child_id = names.child_id(f"{ID}-00000", "again", 0)
    file = SegmentFile(
        object=names.segment(child_id, 99_999, 2_999, "a.results"),
        rows=10_000,
        bytes=64 << 20,
        crc32c="AAAAAA==",
        generation=1 << 51,
    )
    classes: tuple[str, ...] = ("input_text", "input_image", "input_audio", "cached", "output_text", "thoughts")
    tokens: dict[str, int] = dict.fromkeys(classes, 10**9)
    open_list = names.line_list(child_id, 99_999, "02999.a")
    segment = Segment(
        range=2_999,
        results=file,
        errors=file,
        by_outcome=dict.fromkeys(map(str, Outcome), 10_000),
        usage=tokens,
        failed=tokens,
        open_list=open_list,
        open=dict.fromkeys(map(str, ShardKind), 10_000),
    )
    child = Child(
        shard_id=child_id,
        kind=ShardKind.AGAIN,
        round=1,
        requests=50_000,
        tokens=10**9,
        bytes=1 << 29,
        lists=(open_list,) * most,
        list_key="again",
    )
    value = shard(segments=(segment,) * most, children=(child, child), lists=(open_list,) * most)
    encoded(Collection.SHARD, child_id, shard_index(value, None), value.model_dump(mode="json", by_alias=True))
