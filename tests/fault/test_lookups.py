"""Looking for a batch whose create was not answered: all pages are read, and no answer is not "nothing there"."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.fault.killing import Scenario, Trap, begin, finish, killable, paid_twice
from tests.harness import lines

LOST = CallFault("create", lose=True, times=1)
SCENARIOS = [
    Scenario(
        "one batch a page",
        lines(*(f"t{n}" for n in range(9))),
        Faults(page_size=1, running_seconds=300, calls=(LOST,)),
        {"range_lines": 2, "shard_requests": 2},
    ),
    Scenario(
        "lists fail longer than the quarantine",
        lines("one"),
        Faults(calls=(LOST, CallFault("list", status=500, times=60))),
    ),
    Scenario(
        "lists are cut longer than the quarantine",
        lines("one"),
        Faults(calls=(LOST, CallFault("list", cut_after_bytes=40, times=60))),
    ),
    Scenario(
        "the batch is listed late", lines("one"), Faults(list_lag_seconds=900, running_seconds=300, calls=(LOST,))
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_batch_whose_create_was_not_answered_is_found_and_not_paid_again(
    scenario: Scenario, emulator: GeminiEmulator, tmp_path: Path
) -> None:
    stack = killable(emulator, tmp_path / "buckets", Trap(), scenario.faults, scenario.overrides)
    info = begin(stack, scenario)
    finish(stack, scenario, info)
    assert paid_twice(emulator) == []
