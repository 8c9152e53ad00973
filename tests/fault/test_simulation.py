"""Seeds of the simulation: `SEEDS=2000 make fault`, and the seeds that once failed.

A failing seed is printed with the command that runs it again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from infra.local.gemini import GeminiEmulator
from tests.fault.simulation import Simulation

SEEDS = int(os.environ.get("SEEDS", "100"))
FIRST = int(os.environ.get("SEED", "1"))
PARTS = min(16, SEEDS)
"""So many tests share the seeds, and workers the tests."""
REGRESSIONS: tuple[int, ...] = ()
"""Seeds that found a defect."""


@pytest.fixture(scope="module")
def emulator() -> Generator[GeminiEmulator]:
    """One emulator for all seeds."""
    folder = Path(tempfile.mkdtemp())
    with GeminiEmulator(data_dir=folder) as gemini:
        yield gemini
    shutil.rmtree(folder)


def simulate(seed: int, emulator: GeminiEmulator) -> Simulation:
    """Run one seed."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(seed, emulator, Path(folder))
        try:
            simulation.run()
        except Exception as error:
            again = f"SEED={seed} SEEDS=1 make fault"
            raise AssertionError(f"seed {seed} failed ({error}); run it again: {again}") from error
    return simulation


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_promise(part: int, emulator: GeminiEmulator) -> None:
    crashes = workers = drops = 0
    seeds = (*REGRESSIONS, *range(FIRST, FIRST + SEEDS))[part::PARTS]
    for seed in seeds:
        done = simulate(seed, emulator)
        crashes, workers, drops = crashes + done.crashes, workers + done.started, drops + done.drops
    print(f"{len(seeds)} seeds: {workers} calls of functions, {crashes} killed, {drops} messages dropped")
