"""A state machine over the simulation's model: Hypothesis chooses who moves, dies or waits, and shrinks what fails.

Where the simulation draws a whole run from one seed, here every step is a choice that Hypothesis can take back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.fault.simulation import MAX_WORKERS, Simulation
from tests.harness import lines

FULL = os.environ.get("FAULT") == "full"
MARKS = ("", " [[emulate:error-once=13]]", " [[emulate:missing-once]]", " [[emulate:poison]]", " [[emulate:block]]")
FAULTS = (
    Faults(),
    Faults(calls=(CallFault("create", lose=True, times=1),)),
    Faults(late_create_seconds=200, list_lag_seconds=200, calls=(CallFault("create", lose=True, times=2),)),
    Faults(page_size=1, running_seconds=100, calls=(CallFault("list", status=500, times=2),)),
    Faults(calls=(CallFault("create", status=429, retry_seconds=60, times=1), CallFault("upload", drop=True, times=1))),
    Faults(calls=(CallFault("download", cut_after_bytes=50, times=2), CallFault("get", drop=True, times=2))),
)


class Machine(RuleBasedStateMachine):
    """One stack, one upload, workers that move one port call at a time."""

    def __init__(self, gemini: GeminiEmulator) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.gemini = gemini
        self.simulation = Simulation(1, gemini, self.folder)
        self.info: ObjectInfo | None = None

    @initialize(marks=st.lists(st.sampled_from(MARKS), min_size=1, max_size=6), faults=st.sampled_from(FAULTS))
    def upload(self, marks: list[str], faults: Faults) -> None:
        """Drop a file while the provider has some trouble."""
        self.simulation.stack.tick()
        self.gemini.faults = faults
        data = lines(*(f"t{number}{mark}" for number, mark in enumerate(marks)))
        self.info = self.simulation.stack.upload("team/a.jsonl", data)

    @precondition(lambda self: len(self.simulation.workers) < MAX_WORKERS)
    @rule()
    def deliver(self) -> None:
        """A message arrives."""
        self.simulation.deliver()

    @precondition(lambda self: len(self.simulation.workers) < MAX_WORKERS)
    @rule()
    def tick(self) -> None:
        """The scheduler calls."""
        self.simulation.start(self.simulation.stack.tick)

    @precondition(lambda self: self.simulation.workers)
    @rule(data=st.data(), calls=st.integers(1, 40))
    def move(self, data: Any, calls: int) -> None:
        """A worker goes on for some calls; the others are paused."""
        worker = data.draw(st.sampled_from(self.simulation.workers))
        for _ in range(calls):
            if worker in self.simulation.workers:
                self.simulation.move(worker)

    @precondition(lambda self: len(self.simulation.workers) < MAX_WORKERS)
    @rule(turns=st.integers(1, 12))
    def others(self, turns: int) -> None:
        """Others handle messages, each to its end, and tick when there is none; who is under way is paused."""
        for _ in range(turns):
            self.simulation.others()

    @precondition(lambda self: self.simulation.workers)
    @rule(data=st.data())
    def kill(self, data: Any) -> None:
        """A worker dies where it is."""
        self.simulation.kill(data.draw(st.sampled_from(self.simulation.workers)))

    @rule(seconds=st.sampled_from((1, 60, 700, 1300)))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.simulation.pass_time(seconds)

    @rule(faults=st.sampled_from(FAULTS))
    def trouble(self, faults: Faults) -> None:
        """The provider gets other trouble."""
        self.gemini.faults = faults

    def teardown(self) -> None:
        """Let everything come to rest; then every promise must hold."""
        try:
            if self.info is not None:
                self.simulation.heal(self.info)
        finally:
            shutil.rmtree(self.folder)


EXAMPLES = os.environ.get("EXAMPLES")
"""Set by the mutation check, which needs to know whether a run fails, not the shortest that does."""
SETTINGS = settings(
    max_examples=int(EXAMPLES or (1000 if FULL else 40)),
    phases=[Phase.generate] if EXAMPLES else list(Phase),
    stateful_step_count=60 if FULL else 30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)


@pytest.mark.timeout(3600)
def test_no_choice_of_steps_breaks_a_promise(emulator: GeminiEmulator) -> None:
    made = cast("type[Machine]", partial(Machine, emulator))
    run_state_machine_as_test(made, settings=SETTINGS)
