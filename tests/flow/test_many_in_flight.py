"""A tick that meets many batches: it asks for lists, sees every end, and goes on where its time was over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batchdrop.core.state import queries
from batchdrop.steps.poll.in_flight import ASKED_SINGLY
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Stack, lines, make_stack, wrapped

COUNT = ASKED_SINGLY + 30


def in_flight(folder: Path, gemini: GeminiEmulator) -> tuple[Stack, str]:
    """Return a stack with an upload of so many lines, each a batch that runs, and the job's id."""
    gemini.faults = Faults(running_seconds=1800, max_batches=1000)
    stack = make_stack(folder, gemini, shard_requests=1, max_batches=1000, look_first_minutes=1e6)
    info = stack.upload("a.jsonl", lines(*(f"line {number}" for number in range(COUNT))))
    stack.deliver()
    stack.tick()
    stack.deliver()
    stack.tick()
    assert len(stack.documents.query(queries.submitted(1000))) == COUNT
    return stack, stack.find_by(info).job_id


def test_above_so_many_batches_a_tick_reads_the_list(tmp_path: Path, gemini: GeminiEmulator) -> None:
    stack, _ = in_flight(tmp_path, gemini)
    gemini.calls.clear()
    stack.tick()
    assert (gemini.calls["get"], gemini.calls["list"]) == (ASKED_SINGLY, 1)


def test_ends_are_seen_beside_a_list(tmp_path: Path, gemini: GeminiEmulator) -> None:
    stack, job_id = in_flight(tmp_path, gemini)
    stack.advance(3600)
    stack.tick()
    stack.deliver()
    job = stack.find(job_id)
    assert job is not None
    assert (job.state, job.counts.results) == ("DONE", COUNT)


def test_a_list_that_cannot_be_read_stops_no_look(tmp_path: Path, gemini: GeminiEmulator) -> None:
    stack, job_id = in_flight(tmp_path, gemini)
    gemini.faults = Faults(calls=(CallFault("list", status=503),))
    stack.advance(3600)
    stack.tick()
    stack.deliver()
    job = stack.find(job_id)
    assert job is not None
    assert job.counts.results == COUNT


class Slow:
    """A provider of which each look takes some of a call's time."""

    def __init__(self, inner: Any, stack: Stack, seconds: float) -> None:
        self._inner = inner
        self._stack = stack
        self._seconds = seconds
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get(self, name: str) -> Any:
        self.asked.append(name)
        self._stack.advance(self._seconds)
        return self._inner.get(name)


def test_a_tick_goes_on_behind_the_last_batch_of_the_one_before(tmp_path: Path, gemini: GeminiEmulator) -> None:
    stack, _ = in_flight(tmp_path, gemini)
    stack.overrides = {**stack.overrides, "call_seconds": 30}
    asked: list[str] = []
    for _ in range(3):
        slow = Slow(stack.provider, stack, 1)
        wrapped(stack, provider=slow).tick()
        assert len(slow.asked) == 30
        asked += slow.asked
    assert len(set(asked[:COUNT])) == COUNT, "each was looked at before one was looked at again"
    assert asked[COUNT:] == asked[: len(asked) - COUNT]
