"""Restoring order: whatever the order and the window, the same sorted stream, or a clear refusal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.result.join import InputLine, Joined, Windowed
from batchdrop.core.result.order import Item, OutOfWindowError, merged, runs
from batchdrop.core.result.outcome import Outcome, missing
from batchdrop.core.result.result import Fault, Result
from batchdrop.dialects.gemini.answer import answer

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


def answering(results: list[int], lines: set[int], window: int) -> tuple[dict[int, int], int]:
    """Return which result (by its place) answered each line, and how many belong to none."""
    stream = iter([(number, 1, failed(place)) for place, number in enumerate(results)])
    windowed = Windowed(stream, answer, missing("NO_ANSWER", ""), window, 0)
    answers = {number: windowed.answer(InputLine(number, b"null", wants_json=False)) for number in sorted(lines)}
    found = {number: int(answer.message or -1) for number, answer in answers.items()}
    return found, windowed.finish()


def failed(place: int) -> Result:
    return Result(fault=Fault("PROVIDER_INVALID_ARGUMENT", str(place)))


@given(st.lists(st.integers(0, 20), max_size=40), st.sets(st.integers(1, 20)), st.integers(0, 40))
def test_a_window_answers_every_line_or_says_that_it_cannot(results: list[int], lines: set[int], window: int) -> None:
    try:
        found, unknown = answering(results, lines, window)
    except OutOfWindowError:
        return
    assert found == {number: results.index(number) if number in results else -1 for number in lines}
    assert unknown == sum(number not in lines for number in results)
    assert all(results.count(number) < 2 for number in lines)


@given(st.permutations(range(1, 30)))
def test_a_window_that_holds_everything_never_refuses(order: list[int]) -> None:
    found, unknown = answering(order, set(order), 1000)
    assert (found, unknown) == ({number: order.index(number) for number in order}, 0)


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_results_in_order_need_no_window_even_where_lines_or_results_are_left_out(
    present: set[int], lines: set[int]
) -> None:
    found, _ = answering(sorted(present & lines), lines, 0)
    assert {number for number, place in found.items() if place >= 0} == present & lines


@given(st.lists(st.integers(0, 20), max_size=40), st.sets(st.integers(1, 20)))
def test_every_line_is_answered_once_and_foreign_results_are_counted(results: list[int], lines: set[int]) -> None:
    stream = iter([(number, 1, Result()) for number in sorted(results)])
    joined = Joined(stream, answer, missing("NO_ANSWER", ""), 0)
    answers = {number: joined.answer(InputLine(number, b"null", wants_json=False)) for number in sorted(lines)}
    unknown = joined.finish()
    for number, found in answers.items():
        assert (found.outcome is Outcome.MISSING) == (number not in results)
    assert unknown == sum(number not in lines for number in results)
