"""Our validation of one line against `orjson.loads` of it, and against msgspec's typed decoding for comparison."""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson

from batchdrop.dialects.gemini.check import examine
from batchdrop.dialects.line import Accepted
from tests.bench.data import MB, line
from tests.bench.figures import Figure, Size

LINE_BYTES = (200, 540, 942, 4000)
MODEL = "gemini-2.5-flash-lite"
SECONDS = {Size.SMALL: 0.05, Size.FULL: 0.2}
ROUNDS = 7


class _Part(msgspec.Struct):
    text: str


class _Content(msgspec.Struct):
    role: str
    parts: list[_Part]


class _Request(msgspec.Struct):
    contents: list[_Content]
    generationConfig: dict[str, Any]  # noqa: N815 - the field's own name


class _Line(msgspec.Struct):
    key: str
    request: _Request


_typed = msgspec.json.Decoder(_Line).decode


def run(size: Size) -> Iterator[Figure]:
    """Measure four lengths of line."""
    for length in LINE_BYTES:
        raw = line(7, length)
        if not isinstance(examine(raw, MODEL, converted=False), Accepted):
            raise TypeError("the line is not valid")
        ours, floor, typed = interleaved(
            SECONDS[size],
            lambda raw=raw: examine(raw, MODEL, converted=False),
            lambda raw=raw: orjson.loads(raw),
            lambda raw=raw: _typed(raw),
        )
        context: dict[str, float | str] = {
            "MB/s": length / MB / ours,
            "orjson MB/s": length / MB / floor,
            "msgspec typed MB/s": length / MB / typed,
        }
        yield Figure("decode", f"{length} bytes", ours * 1e6, "us", floor * 1e6, 1.0, context)


def interleaved(seconds: float, *calls: Callable[[], object]) -> list[float]:
    """Return the best time of one call of each; rounds alternate, so that a busy moment hits all alike."""
    timers = [timeit.Timer(call) for call in calls]
    numbers = [max(int(seconds / max(timer.timeit(100) / 100, 1e-9)), 1) for timer in timers]
    rounds = [
        [timer.timeit(number) / number for timer, number in zip(timers, numbers, strict=True)] for _ in range(ROUNDS)
    ]
    return [min(times) for times in zip(*rounds, strict=True)]
