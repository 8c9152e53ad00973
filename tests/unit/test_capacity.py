"""The capacity ledgers: nothing over the limit, nothing twice, a refusal teaches, and the belief recovers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.state.capacity import TAKEN, Bounds, Ledger, Reservation, admitted, freed, let_go, pruned, refused

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BOUNDS = Bounds(tokens=100, bytes=1000, count=3)


def entry(tokens: int = 40, **fields: Any) -> Reservation:
    return Reservation(tokens=tokens, bytes=10, **fields)


def test_a_reservation_is_admitted_once_and_until_something_is_full() -> None:
    ledger = admitted(Ledger(), {"a": entry()}, NOW, BOUNDS)
    assert ledger is not None
    assert admitted(ledger, {"a": entry()}, NOW, BOUNDS) is None
    both = admitted(ledger, {"b": entry(60)}, NOW, BOUNDS)
    assert both is not None
    assert both.tokens() == 100
    assert admitted(both, {"c": entry(1)}, NOW, BOUNDS) is None
    assert admitted(ledger, {"b": entry()}, NOW, Bounds(tokens=100, bytes=15, count=3)) is None
    assert admitted(ledger, {"b": entry()}, NOW, Bounds(tokens=100, bytes=1000, count=1)) is None


def test_many_are_admitted_in_one_step_up_to_the_first_that_does_not_fit() -> None:
    wanted = {"a": entry(60), "b": entry(30), "c": entry(20), "d": entry(1)}
    ledger = admitted(Ledger(), wanted, NOW, BOUNDS)
    assert ledger is not None
    assert (list(ledger.entries), ledger.tokens()) == (["a", "b"], 90)
    after = freed(ledger, {"a": None, "b": NOW + timedelta(hours=1), "z": None})
    assert (list(after.entries), after.without_end()) == (["b"], [])


def test_a_reservation_is_taken_over_from_a_dispatch_that_did_not_go_on() -> None:
    ledger = admitted(Ledger(), {"a": entry()}, NOW, BOUNDS)
    assert ledger is not None
    assert ledger.taken_at("a", NOW)
    assert admitted(ledger, {"a": entry()}, NOW + TAKEN / 2, BOUNDS) is None
    later = admitted(ledger, {"a": entry()}, NOW + TAKEN, Bounds(count=1))
    assert later is not None
    assert later.taken_at("a", NOW + TAKEN)
    assert let_go(later, "a", ledger.entries["a"]) is later, "it is somebody's again"
    assert let_go(later, "a", later.entries["a"]).entries == {}


def test_a_release_makes_room_now_or_later() -> None:
    ledger = admitted(Ledger(), {"a": entry(100)}, NOW, BOUNDS)
    assert ledger is not None
    assert freed(ledger, {"a": None}).tokens() == 0
    held = freed(ledger, {"a": NOW + timedelta(hours=1)})
    assert held.tokens() == 100
    assert freed(held, {"a": NOW + timedelta(hours=9)}) == held
    assert pruned(held, NOW + timedelta(hours=1)).tokens() == 0
    assert freed(ledger, {"nobody": None}) is ledger


def test_a_refusal_holds_off_and_halves_the_belief_which_recovers() -> None:
    ledger = admitted(Ledger(), {"a": entry(80)}, NOW, BOUNDS)
    assert ledger is not None
    less = refused(ledger, NOW, 1000, 60)
    assert less.held(NOW + timedelta(seconds=59))
    assert not less.held(NOW + timedelta(seconds=60))
    assert admitted(less, {"b": entry(1)}, NOW, BOUNDS) is None
    assert [less.limit(1000, NOW + timedelta(hours=hours)) for hours in range(6)] == [40, 80, 160, 320, 640, 1000]
    assert refused(less, NOW, 1000, 60).learnt_limit == 20


def test_many_refusals_for_one_mistake_halve_the_belief_once() -> None:
    ledger = admitted(Ledger(), {"a": entry(80)}, NOW, BOUNDS)
    assert ledger is not None
    first = refused(ledger, NOW, 1000, 60, made_at=NOW - timedelta(minutes=9))
    second = refused(first, NOW + timedelta(minutes=1), 1000, 60, made_at=NOW - timedelta(minutes=8))
    assert (first.learnt_limit, second.learnt_limit, second.learnt_at) == (40, 40, NOW)
    assert second.held(NOW + timedelta(seconds=119))
    later = refused(second, NOW + timedelta(minutes=3), 1000, 60, made_at=NOW + timedelta(minutes=2))
    assert later.learnt_limit == 20


def test_a_refused_shard_is_tried_again_when_nothing_else_is_in_flight() -> None:
    ledger = admitted(Ledger(), {"a": entry(80)}, NOW, BOUNDS)
    assert ledger is not None
    alone, later = freed(refused(ledger, NOW, 100, 60), {"a": None}), NOW + timedelta(seconds=60)
    assert admitted(alone, {"a": entry(80)}, NOW, BOUNDS) is None
    again = admitted(alone, {"a": entry(80)}, later, BOUNDS)
    assert again is not None
    assert admitted(again, {"b": entry(1)}, later, BOUNDS) is None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60), st.booleans()), max_size=40))
def test_no_sequence_of_steps_is_ever_over_the_limit(steps: list[tuple[str, int, bool]]) -> None:
    ledger = Ledger()
    for name, tokens, lets_go in steps:
        after = freed(ledger, {name: None}) if lets_go else admitted(ledger, {name: entry(tokens)}, NOW, BOUNDS)
        ledger = after or ledger
        assert ledger.tokens() <= 100
        assert len(ledger.entries) <= 3
