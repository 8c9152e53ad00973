"""Restoring order in bounded memory: results arrive in any order, rows are written in input order.

    nearly sorted   a window of so many bytes is sorted; the smaller half goes on, the rest waits for more
    anything else   OutOfWindowError: the caller sorts runs of one window each and merges them

Both keep the arrival order of results with the same line.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TypeVar

T = TypeVar("T")
Item = tuple[int, int, T]
"""An input line, the bytes it holds in memory, the thing itself."""

_line = itemgetter(0)


class OutOfWindowError(Exception):
    """A result belongs before one that has gone on already."""


def windowed(items: Iterable[Item[T]], window_bytes: int) -> Iterator[Item[T]]:
    """Yield the items by line, or raise OutOfWindowError when the window is too small for it."""
    window: list[Item[T]] = []
    held, last = 0, -1
    for item in items:
        window.append(item)
        held += item[1]
        if held > window_bytes:
            window.sort(key=_line)
            keep = len(window) // 2
            if window[0][0] < last:
                raise OutOfWindowError
            yield from window[: len(window) - keep]
            last = window[len(window) - keep - 1][0]
            window = window[len(window) - keep :]
            held = sum(entry[1] for entry in window)
    window.sort(key=_line)
    if window and window[0][0] < last:
        raise OutOfWindowError
    yield from window


def runs(items: Iterable[Item[T]], window_bytes: int) -> Iterator[list[Item[T]]]:
    """Yield sorted runs of at most one window each."""
    window: list[Item[T]] = []
    held = 0
    for item in items:
        window.append(item)
        held += item[1]
        if held > window_bytes:
            window.sort(key=_line)
            yield window
            window, held = [], 0
    if window:
        window.sort(key=_line)
        yield window


def merged(sorted_runs: Iterable[Iterable[Item[T]]]) -> Iterator[Item[T]]:
    """Merge sorted runs into one sorted stream."""
    return heapq.merge(*sorted_runs, key=_line)
