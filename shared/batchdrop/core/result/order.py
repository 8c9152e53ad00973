"""Restoring order in bounded memory: results arrive in any order, rows are written in input order.

    nearly sorted   what comes too early waits for its line, so many bytes at most (`joining.Windowed`)
    anything else   OutOfWindowError: the caller sorts runs of one window each and merges them

Runs and their merging keep the arrival order of results with the same line.
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
    """A result comes too late to be used, or is not the only one of its line."""


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
