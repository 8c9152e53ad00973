"""Two equal uploads and a crash at any port call: both are answered, one of them is paid."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.job import Job
from batchdrop.ports import Collection, Documents
from batchdrop.steps.plan.identities import original
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.fault.killing import NO_FAULTS, KillableStack, Point, Trap, killable, paid_twice
from tests.harness import Stack, lines

FULL = os.environ.get("FAULT") == "full"
SAMPLE = 60
SEED = int(os.environ.get("SEED", "20261123"))


def twice(emulator: GeminiEmulator, folder: Path, points: frozenset[Point], *, cancel: bool) -> tuple[Trap, list[Job]]:
    """Upload the same twice, let processes die at the points, cancel the first if asked; return the ended jobs."""
    faults = Faults(running_seconds=7200) if cancel else NO_FAULTS
    trap = Trap(points)
    stack = killable(emulator, folder, trap, faults, {}, KillableStack)
    with stack.at_peace():
        stack.tick()
        uploads = [stack.upload(f"team/{name}.jsonl", lines("one")) for name in "ab"]
    if cancel:
        stack.run(uploads[1], until=lambda job: job.state in ("HELD", "RUNNING"), rounds=5000)
        running = [info for info in uploads if stack.find_by(info).state != "HELD"]
        with stack.at_peace():
            stack.want(running[0], "cancel")
        emulator.faults = NO_FAULTS
    jobs = [stack.run(info, rounds=5000) for info in uploads]
    with stack.at_peace():
        assert not paid_twice(emulator)
        assert all(sum(row["line"] == 1 for row in stack.rows(job)) == 1 for job in jobs if job.state == "DONE")
    return trap, jobs


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cancel", [False, True], ids=["complete", "cancelled"])
def test_a_crash_anywhere_leaves_one_to_run_and_one_answered(emulator: GeminiEmulator, cancel: bool) -> None:
    ends = ["CANCELLED", "DONE"] if cancel else ["DONE", "DUPLICATE"]
    with tempfile.TemporaryDirectory() as folder:
        trap, jobs = twice(emulator, Path(folder), frozenset(), cancel=cancel)
    assert sorted(job.state for job in jobs) == ends
    points = trap.points_after(0)
    for point in points if FULL else random.Random(SEED).sample(points, min(SAMPLE, len(points))):
        with tempfile.TemporaryDirectory() as folder:
            _, jobs = twice(emulator, Path(folder), frozenset([point]), cancel=cancel)
        assert sorted(job.state for job in jobs) == ends, point


class Overtaken:
    """Records where somebody else's write comes first, just before one of ours."""

    def __init__(self, records: Documents, before: Callable[[], object]) -> None:
        self._records = records
        self._before: list[Callable[[], object]] = [before]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._records, name)

        def call(*args: Any, **options: Any) -> Any:
            if name in ("create", "replace") and self._before:
                self._before.pop()()
            return found(*args, **options)

        return call


@pytest.mark.parametrize("there", [False, True], ids=["created", "taken over"])
def test_of_two_that_write_at_once_one_waits_for_the_other(stack: Stack, there: bool) -> None:
    uploads = [stack.upload(f"{name}.jsonl", lines("one")) for name in "abc"]
    for info in uploads:
        stack.receive_only(info)
    gone, first, second = (stack.find_by(info) for info in uploads)
    context = stack.context(SubmitSettings)
    if there:
        assert original(context, gone, "digest") is None
        document = stack.documents.get(Collection.JOB, gone.job_id)
        assert document is not None
        stack.documents.delete(document)
    records = Overtaken(stack.documents, lambda: original(context, first, "digest"))
    overtaken = replace(context, store=replace(context.store, documents=cast("Any", records)))
    assert original(overtaken, second, "digest") == first
    assert original(context, first, "digest") is None
