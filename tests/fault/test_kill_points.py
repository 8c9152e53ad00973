"""Crash before and after every port call of each scenario, and at pairs of them; every invariant holds afterwards.

FAULT=full crashes at every position of every scenario and at all pairs of the single-shard one; otherwise all
positions of the single-shard scenario and a seeded sample of the rest are tried.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.fault.killing import LONG_CONVERSION, KillableStack, Point, Scenario, Trap, run
from tests.harness import jsonl, lines, request

FULL = os.environ.get("FAULT") == "full"
SAMPLE = 40
PAIRS = 60
SEED = int(os.environ.get("SEED", "20261123"))
SHARED = {"systemInstruction": {"parts": [{"text": "be brief " * 1000}]}}


def cancel_when_submitted(stack: KillableStack, info: ObjectInfo) -> None:
    """Ask for cancellation once a batch runs, however often the functions die on the way."""
    for _ in range(200):
        stack.deliver()
        with stack.at_peace():
            job = stack.find_or_none(info)
            if job is not None and any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)):
                stack.want(info, "cancel")
                return
        stack.tick()
        stack.advance(30)
    raise AssertionError("never submitted")


def picture(number: int) -> dict[str, Any]:
    """Return a part that names an object."""
    return {"fileData": {"fileUri": f"gs://input/team/{number}.png", "mimeType": "image/png"}}


def text(number: int) -> dict[str, Any]:
    """Return a part whose first answer fails once for the last line."""
    return {"text": f"what is in {number}?" + (" [[emulate:error-once=13]]" if number == 2 else "")}


SCENARIOS = [
    Scenario("single shard", lines("one", "two")),
    Scenario(
        "many shards",
        lines(*(f"t{n}" for n in range(9))) + b"bad\n",
        overrides={"range_lines": 2, "shard_requests": 4},
    ),
    Scenario("redo round", lines("one", "two [[emulate:error-once=13]]", "three [[emulate:missing-once]]")),
    Scenario("poison line", lines("one", "two", "three [[emulate:poison]]", "four")),
    Scenario("stuck and cancelled", lines("one", "two"), Faults(hold_state="RUNNING"), {"job_deadline_hours": 0.75}),
    Scenario("lost event", lines("one"), lose_event=True),
    Scenario("refused", lines("one"), Faults(calls=(CallFault("create", status=429, times=1),))),
    Scenario("lost create", lines("one"), Faults(calls=(CallFault("create", lose=True, times=1),))),
    LONG_CONVERSION,
    Scenario(
        "context cache",
        jsonl({"key": f"k{n}", "request": request(f"t{n}") | SHARED} for n in range(5)),
        overrides={"cache_hours": 0.001},
    ),
    Scenario(
        "attached objects",
        jsonl({"key": f"k{n}", "request": {"contents": [{"parts": [picture(n % 2), text(n)]}]}} for n in range(3)),
        objects={"team/0.png": b"zero", "team/1.png": b"one"},
        same_bytes=False,
    ),
    Scenario("rejected", b"bad\nworse\n", ends="REJECTED"),
    Scenario(
        "cancelled by the user",
        lines("one", "two"),
        Faults(running_seconds=7200),
        act=cancel_when_submitted,
        ends="CANCELLED",
    ),
]


def positions(calls: int) -> list[Point]:
    """Return every place a process can die at."""
    return [(number, when) for number in range(1, calls + 1) for when in ("before", "after")]


def attempt(scenario: Scenario, emulator: GeminiEmulator, points: Iterable[Point]) -> tuple[int, dict[str, bytes]]:
    """Run once in a folder of its own; return the number of calls and the output."""
    with tempfile.TemporaryDirectory() as folder:
        trap, output = run(scenario, emulator, Path(folder), frozenset(points))
    return len(trap.calls), output


def all_survive(scenario: Scenario, emulator: GeminiEmulator, chosen: Iterable[tuple[Point, ...]]) -> int:
    """Crash at each of the chosen sets of points and compare the output; return how many were tried."""
    _, expected = attempt(scenario, emulator, ())
    count = 0
    for points in chosen:
        count += 1
        try:
            _, output = attempt(scenario, emulator, points)
            same = output == expected or scenario.act is not None or not scenario.same_bytes
            assert same, "other bytes"
        except Exception as error:
            raise AssertionError(f"{scenario.name}, try {count}, with crashes at {points}: {error}") from error
    return count


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_crash_anywhere_loses_nothing(scenario: Scenario, emulator: GeminiEmulator) -> None:
    calls, _ = attempt(scenario, emulator, ())
    points = positions(calls)
    if not FULL and scenario is not SCENARIOS[0]:
        points = random.Random(SEED).sample(points, SAMPLE)
    tried = all_survive(scenario, emulator, ((point,) for point in points))
    print(f"{scenario.name}: {tried} of {2 * calls} positions survived")


def recorded(scenario: Scenario, emulator: GeminiEmulator, *points: Point) -> Trap:
    """Run once; return what was called."""
    with tempfile.TemporaryDirectory() as folder:
        return run(scenario, emulator, Path(folder), frozenset(points))[0]


def pairs_of(
    scenario: Scenario, emulator: GeminiEmulator, firsts: Iterable[Point], *, each: int | None
) -> Iterator[tuple[Point, ...]]:
    """Yield every first crash with every later one of the run it leads to, or with some of them."""
    for first in firsts:
        seconds = recorded(scenario, emulator, first).points_after(first[0])
        chosen = seconds if each is None else random.Random(SEED).sample(seconds, min(each, len(seconds)))
        yield from ((first, second) for second in chosen)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("half", [0, 1] if FULL else [0])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_two_crashes_anywhere_lose_nothing(scenario: Scenario, half: int, emulator: GeminiEmulator) -> None:
    firsts = recorded(scenario, emulator).points_after(0)
    every = FULL and scenario is SCENARIOS[0]
    if not every:
        firsts = random.Random(SEED).sample(firsts, min(len(firsts), 250 if FULL else PAIRS // 4))
    chosen = firsts[half::2] if FULL else firsts
    tried = all_survive(scenario, emulator, pairs_of(scenario, emulator, chosen, each=None if every else 2))
    print(f"{scenario.name}: {tried} pairs survived, of {len(chosen)} first crashes")
