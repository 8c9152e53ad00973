"""A worker paused before any port call, and the others going on: over a lease, over the quarantine, to the end."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.fault.killing import LONG_CONVERSION, Scenario
from tests.fault.pausing import CREATE, Pause, run_paused
from tests.harness import lines

FULL = os.environ.get("FAULT") == "full"
SAMPLE = 40
SEED = int(os.environ.get("SEED", "20261123"))

NEAR = 4
SLOW = Scenario("slow batch", lines("one"), Faults(running_seconds=300))
LISTED_LATE = Scenario(
    "lost create, listed late",
    lines("one"),
    Faults(list_lag_seconds=200, calls=(CallFault("create", lose=True, times=1),)),
)
SCENARIOS = [
    Scenario("single shard", lines("one", "two")),
    Scenario("redo round", lines("one", "two [[emulate:error-once=13]]", "three [[emulate:missing-once]]")),
    Scenario("lost create", lines("one"), Faults(calls=(CallFault("create", lose=True, times=1),))),
    LONG_CONVERSION,
]


def attempt(
    scenario: Scenario, emulator: GeminiEmulator, plan: Mapping[int, Pause]
) -> tuple[list[str], dict[str, bytes]]:
    """Run once in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return run_paused(scenario, emulator, Path(folder), plan)


def plans(calls: int) -> list[dict[int, Pause]]:
    """Return every single pause, and every silent one, noticed by others one call later or never."""
    single = [{number: pause} for number in range(1, calls + 1) for pause in (Pause.LEASE, Pause.END, Pause.SILENT)]
    late = [{number: Pause.SILENT, number + 1: Pause.TAKEN_OVER} for number in range(1, calls)]
    return [*single, *late]


def near_the_create(calls: list[str]) -> list[dict[int, Pause]]:
    """Return the pauses that end or begin within a few calls of the first create."""
    place = calls.index(CREATE) + 1
    near = range(place - NEAR, place + NEAR + 1)
    return [plan for plan in plans(len(calls)) if any(number in near for number in plan)]


def all_survive(scenario: Scenario, emulator: GeminiEmulator, chosen: Iterable[Mapping[int, Pause]]) -> int:
    """Pause at each of the chosen places and compare the output; return how many were tried."""
    calls, expected = attempt(scenario, emulator, {})
    count = 0
    for plan in chosen:
        count += 1
        try:
            _, output = attempt(scenario, emulator, plan)
            assert output == expected, "other bytes"
        except Exception as error:
            where = {number: f"{calls[number - 1]}, {pause}" for number, pause in plan.items()}
            raise AssertionError(f"{scenario.name}, try {count}, paused at {where}: {error}") from error
    return count


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_worker_paused_anywhere_does_no_harm_when_it_goes_on(scenario: Scenario, emulator: GeminiEmulator) -> None:
    calls, _ = attempt(scenario, emulator, {})
    every = plans(len(calls))
    chosen = every if FULL else random.Random(SEED).sample(every, SAMPLE)
    print(f"{scenario.name}: {all_survive(scenario, emulator, chosen)} of {len(every)} pauses survived")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", [SLOW, LISTED_LATE], ids=lambda scenario: scenario.name)
def test_a_worker_paused_around_the_create_call_never_pays_twice(scenario: Scenario, emulator: GeminiEmulator) -> None:
    calls, _ = attempt(scenario, emulator, {})
    tried = all_survive(scenario, emulator, near_the_create(calls))
    print(f"{tried} pauses around the create call survived")
