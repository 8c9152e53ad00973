"""A stack whose provider is Vertex AI: its emulator reads and writes the stack's own buckets, by the stack's clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from batchdrop.providers.vertex.api import VertexApi, vertex
from batchdrop_local.emulators.vertex import Faults, VertexEmulator
from batchdrop_local.stack.agent import Agent
from tests.harness import Stack

LOCATION: Final = "europe-west4"
NAME: Final = "vertex_ai"


@contextmanager
def on_vertex(stack: Stack, folder: Path, faults: Faults | None = None) -> Generator[tuple[Stack, VertexEmulator]]:
    """Return the stack with Vertex AI instead of Gemini, and the emulator."""

    def clock() -> float:
        return stack.clock.now().timestamp()

    storage = Agent(stack.objects)
    with VertexEmulator(data_dir=folder / "vertex", storage=storage, faults=faults, clock=clock) as emulator:
        api = VertexApi(lambda: "a token", "acme", LOCATION, stack.objects, emulator.url)
        yield dataclasses.replace(stack, providers={NAME: vertex(api)}), emulator
