"""The flow tests once more, with each function held to what the Pulumi program grants its account."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType

import pytest

from infra.local.gemini import GeminiEmulator
from tests.emulator import test_attachments, test_conversions, test_deadlines, test_flow
from tests.fault import test_sweeping
from tests.harness import Stack, make_stack
from tests.infra.engine import Journal
from tests.infra.guard import Guard, guarded
from tests.infra.stands import deployed

FLOWS: tuple[ModuleType, ...] = (test_flow, test_attachments, test_conversions, test_deadlines, test_sweeping)
"""Uploads of every kind, recipes, redo, deadlines, reports, sweeps, and objects of other buckets."""
Make = Callable[..., Stack]

for flows in FLOWS:
    globals().update({name: found for name, found in vars(flows).items() if name.startswith("test_")})


def granted() -> Journal:
    """Return what the program grants when requests may name the buckets of `test_attachments`."""
    return deployed({"batchdrop:attachment_buckets": "pictures,other"})


@pytest.fixture
def stack_with(tmp_path: Path, gemini: GeminiEmulator) -> Generator[Make]:
    """Make stacks whose functions are held to their grants; at the end nothing may have been lacking."""
    guard = Guard(granted())
    yield lambda **overrides: guarded(make_stack(tmp_path, gemini, **overrides), guard)
    assert sorted(set(guard.lacking)) == []


@pytest.fixture
def stack(stack_with: Make) -> Stack:
    """A stack with the settings as they are."""
    return stack_with()
