"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.fault.killing import CLOCK


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Generator[GeminiEmulator]:
    """One emulator for all runs of a worker, on the runs' clock; each run makes it forget the one before."""
    folder: Path = tmp_path_factory.mktemp("gemini")
    with GeminiEmulator(data_dir=folder, clock=CLOCK.still) as gemini:
        yield gemini
