"""Seeds of the simulation: `make fault SEEDS=2000`, and the seeds that once failed.

A failing seed is printed with the command that runs it again.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.fault.simulation import Simulation

SEEDS = int(os.environ.get("SEEDS", "100"))
FIRST = int(os.environ.get("SEED", "1"))
PART = 50
"""Seeds of one test: small enough to be shared out between workers."""
REGRESSIONS: tuple[int, ...] = (113, 1781)
"""Seeds that found a defect."""
ALL = (*REGRESSIONS, *range(FIRST, FIRST + SEEDS))
PARTS = [ALL[start : start + PART] for start in range(0, len(ALL), PART)]


def simulate(seed: int, emulator: GeminiEmulator) -> Simulation:
    """Run one seed."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(seed, emulator, Path(folder))
        try:
            simulation.run()
        except Exception as error:
            again = f"make fault SEED={seed}"
            raise AssertionError(f"seed {seed} failed ({error}); run it again: {again}") from error
    return simulation


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", PARTS, ids=lambda seeds: f"seeds {seeds[0]} to {seeds[-1]}")
def test_no_seed_breaks_a_promise(seeds: tuple[int, ...], emulator: GeminiEmulator) -> None:
    crashes = workers = drops = 0
    for seed in seeds:
        done = simulate(seed, emulator)
        crashes, workers, drops = crashes + done.crashes, workers + done.started, drops + done.drops
    print(f"{len(seeds)} seeds: {workers} calls of functions, {crashes} killed, {drops} messages dropped")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_seed_gives_the_same_run(seed: int, emulator: GeminiEmulator) -> None:
    assert simulate(seed, emulator).turnstile.calls == simulate(seed, emulator).turnstile.calls
