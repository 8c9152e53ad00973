"""Our check of one line against `orjson.loads` of it; compact, spaced as `json.dumps` does it, and of other kinds."""

from __future__ import annotations

import json
import time
import timeit
from collections.abc import Callable, Iterator

import orjson

from batchdrop.dialects.gemini.check import examine
from batchdrop.dialects.line import Accepted
from tests.bench.data import MB, line
from tests.bench.figures import Figure, Size
from tests.bench.kinds import NATIVE

LINE_BYTES = (200, 540, 942, 4000)
MODEL = "gemini-2.5-flash-lite"
SECONDS = {Size.SMALL: 0.05, Size.FULL: 0.2}
ROUNDS = 7
COMPACT, SPACED = 1.5, 2.6
"""Bars: times `orjson.loads`. It accepts what we must refuse: repeated names, huge numbers, deep nesting."""


def run(size: Size) -> Iterator[Figure]:
    """Measure four lengths of line, compact and spaced, then lines of other kinds."""
    for length in LINE_BYTES:
        compact = line(7, length)
        yield measured(f"{length} bytes", compact, COMPACT, SECONDS[size])
        yield measured(f"{length} bytes, spaced", _spaced(compact), SPACED, SECONDS[size])
    for kind in NATIVE:
        yield measured(f"{len(kind.line)} bytes, {kind.name}", kind.line.rstrip(), COMPACT, SECONDS[size])


def measured(what: str, raw: bytes, goal: float, seconds: float) -> Figure:
    """Measure one line."""
    if not isinstance(examine(raw, MODEL, converted=False), Accepted):
        raise TypeError("the line is not valid")
    ours, floor = interleaved(seconds, lambda: examine(raw, MODEL, converted=False), lambda: orjson.loads(raw))
    context: dict[str, float | str] = {"MB/s": len(raw) / MB / ours, "orjson MB/s": len(raw) / MB / floor}
    return Figure("decode", what, ours * 1e6, "us", floor * 1e6, goal, context)


def _spaced(compact: bytes) -> bytes:
    return json.dumps(json.loads(compact), ensure_ascii=False).encode()


def interleaved(seconds: float, *calls: Callable[[], object]) -> list[float]:
    """Return the least CPU seconds of one call of each; rounds alternate, so that a busy moment hits all alike."""
    timers = [timeit.Timer(call, timer=time.process_time) for call in calls]
    numbers = [max(int(seconds / max(timer.timeit(100) / 100, 1e-9)), 1) for timer in timers]
    rounds = [
        [timer.timeit(number) / number for timer, number in zip(timers, numbers, strict=True)] for _ in range(ROUNDS)
    ]
    return [min(times) for times in zip(*rounds, strict=True)]
