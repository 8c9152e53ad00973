"""Fixtures for tests of every kind: a Gemini emulator, a stack, quiet logs, a clean environment."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from batchdrop.core import logs
from infra.local.gemini import Faults, GeminiEmulator
from tests.harness import Stack, make_stack

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
"""How long an example takes says how busy the machine is; a test that hangs is ended by its timeout."""

Gemini = Callable[..., GeminiEmulator]


@pytest.fixture(autouse=True)
def log() -> Generator[io.StringIO]:
    """What the code logged."""
    with io.StringIO() as out, logs.to(out):
        yield out


@pytest.fixture
def gemini(tmp_path: Path) -> Generator[GeminiEmulator]:
    """A Gemini emulator without faults; set `gemini.faults` to change that."""
    with GeminiEmulator(data_dir=tmp_path / "gemini", faults=Faults()) as emulator:
        yield emulator


@pytest.fixture
def stack(tmp_path: Path, gemini: GeminiEmulator) -> Stack:
    """A stack with the settings as they are."""
    return make_stack(tmp_path, gemini)


@pytest.fixture
def stack_with(tmp_path: Path, gemini: GeminiEmulator) -> Callable[..., Stack]:
    """Make a stack with other settings."""

    def make(**overrides: Any) -> Stack:
        return make_stack(tmp_path, gemini, **overrides)

    return make
