"""Restoring order: whatever the order and the window, the same sorted stream, or a clear refusal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.joining import InputLine, Joined
from batchdrop.core.ordering import Item, OutOfWindowError, merged, runs, windowed
from batchdrop.core.outcomes import Outcome, ResultLine, missing

items_ = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20)), max_size=80)


def labelled(pairs: list[tuple[int, int]]) -> list[Item[int]]:
    return [(line, size, index) for index, (line, size) in enumerate(pairs)]


def expected(items: list[Item[int]]) -> list[Item[int]]:
    return sorted(items, key=lambda item: item[0])


@given(items_, st.integers(1, 400))
def test_runs_of_one_window_merge_into_order_and_keep_the_first_of_equals_first(
    pairs: list[tuple[int, int]], window: int
) -> None:
    items = labelled(pairs)
    assert list(merged(list(runs(items, window)))) == expected(items)


@given(items_, st.integers(1, 400))
def test_a_window_gives_order_or_says_that_it_cannot(pairs: list[tuple[int, int]], window: int) -> None:
    items = labelled(pairs)
    found: list[Item[int]] = []
    try:
        found.extend(windowed(items, window))
    except OutOfWindowError:
        assert found == sorted(found, key=lambda item: item[0])
        return
    assert found == expected(items)


@given(st.permutations(range(1, 30)))
def test_a_window_that_holds_everything_never_refuses(order: list[int]) -> None:
    assert [item[0] for item in windowed([(line, 1, line) for line in order], 1000)] == list(range(1, 30))


@given(st.lists(st.integers(0, 20), max_size=40), st.sets(st.integers(1, 20)))
def test_every_line_is_answered_once_and_foreign_results_are_counted(results: list[int], lines: set[int]) -> None:
    stream = iter([(number, 1, ResultLine()) for number in sorted(results)])
    joined = Joined(stream, 0, missing("NO_ANSWER", ""))
    answers = {number: joined.answer(InputLine(number, b"null", wants_json=False)) for number in sorted(lines)}
    unknown = joined.finish()
    for number, answer in answers.items():
        assert (answer.outcome is Outcome.MISSING) == (number not in results)
    assert unknown == sum(number not in lines for number in results)
