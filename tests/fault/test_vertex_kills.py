"""A process dies before and after every call to Vertex AI and every look at its rows; no line is lost or paid twice."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import CallFault, GeminiEmulator
from batchdrop_local.emulators.vertex import Faults, VertexEmulator
from tests.fault.killing import NO_FAULTS, KillableStack, Point, Trap, killable
from tests.harness import assert_accounted, lines
from tests.vertex import on_vertex

DATA = lines("one", "two", "three [[emulate:missing-once]]")
WORLDS = {
    "as usual": Faults(),
    "no ids, late rows": Faults(echo_keys=False, output_objects=2, late_seconds=45),
    "lost create": Faults(calls=(CallFault("create", lose=True, times=1),)),
}


@contextmanager
def killing(gemini: GeminiEmulator, points: frozenset[Point], faults: Faults) -> Generator[tuple[Trap, VertexEmulator]]:
    """Run an upload to its end with crashes at the points."""
    with tempfile.TemporaryDirectory() as folder:
        trap = Trap(points)
        plain = killable(gemini, Path(folder), trap, NO_FAULTS, {})
        with on_vertex(plain, Path(folder), faults) as (found, service):
            stack = dataclasses.replace(found)
            assert isinstance(stack, KillableStack)
            stack.trap = trap
            done(stack, trap)
            yield trap, service


def done(stack: KillableStack, trap: Trap) -> None:
    with stack.at_peace():
        stack.tick()
        info: ObjectInfo = stack.upload("team/a.jsonl", DATA)
    job = stack.run(info, rounds=5000)
    with stack.at_peace():
        assert (job.state, job.verdict) == ("DONE", "complete")
        assert_accounted(stack, job)
        assert stack.objects.list("work").objects == ()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", WORLDS)
def test_no_death_around_a_call_loses_a_line_or_pays_twice(gemini: GeminiEmulator, world: str) -> None:
    with killing(gemini, frozenset(), WORLDS[world]) as (trap, _):
        theirs = [number for number, name in enumerate(trap.calls, 1) if name.startswith("VertexApi.")]
    assert {"VertexApi.create", "VertexApi.get", "VertexApi.results"} <= set(trap.calls)
    for number in theirs:
        for when in ("before", "after"):
            with killing(gemini, frozenset({(number, when)}), WORLDS[world]) as (_, service):
                silent = service.stats()["duplicate_display_names"]
                assert silent == [], f"paid twice after dying {when} {trap.calls[number - 1]}"
