"""The same upload ends the same on both stacks: state, report, every byte of the output, every message.

25 generated uploads run always, 100 with FAULT=full (`make fault`); UPLOAD=n runs one of them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest

from batchdrop.core.state.job import Job
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.emulated import Emulated
from tests.harness import Row, Stack, make_emulated, make_stack
from tests.samples.generated import Generated, generated

COUNT = 100 if os.environ.get("FAULT") == "full" else 25
SEEDS = [int(os.environ["UPLOAD"])] if "UPLOAD" in os.environ else range(COUNT)
GATES = frozenset({"OVER_MAX_COST", "COST_UNKNOWN", "RECIPE_INVALID"})
"""What holds a job for a week; the comparison does not wait so long."""


@pytest.fixture
def stacks(tmp_path: Path, emulated: Emulated) -> Generator[tuple[Stack, Stack]]:
    """Both stacks, each with a provider of its own, so that neither sees what the other sent."""
    with (
        GeminiEmulator(data_dir=tmp_path / "one", faults=Faults()) as one,
        GeminiEmulator(data_dir=tmp_path / "two", faults=Faults()) as two,
    ):
        yield make_stack(tmp_path, one), make_emulated(emulated, two)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_upload_ends_the_same_on_both(seed: int, stacks: tuple[Stack, Stack]) -> None:
    upload = generated(seed)
    embedded, emulators = (_ended(stack, upload) for stack in stacks)
    assert embedded == emulators


def _ended(stack: Stack, upload: Generated) -> dict[str, Any]:
    """Run the upload; return what a user sees of its end."""
    if upload.recipe is not None:
        stack.upload(upload.folder + "recipe.yaml", upload.recipe)
    info = stack.upload(upload.name, upload.data, upload.metadata)
    job = stack.run(info, until=_at_rest)
    text = {name: _without_identity(data, job) for name, data in stack.output(job).items()}
    return {
        "job": (job.state, job.verdict, job.failure, job.team, job.labels, job.warnings, job.counts, job.tokens),
        "output": text,
        "messages": [_without_identity(json.dumps(message).encode(), job) for message in stack.completions()],
        "work": len(stack.objects.list("work").objects) if job.cleaned else None,
    }


def _at_rest(job: Job) -> bool:
    held = job.state == "HELD" and job.failure is not None and job.failure.code in GATES and job.held_for != ""
    return held or (job.state.terminal and job.cleaned)


def _without_identity(data: bytes, job: Job) -> object:
    """Return an object without what no two runs share: ids, generations, times, names of batches."""
    data = data.replace(job.job_id.encode(), b"JOB")
    if b'"schema"' not in data:
        return data
    return _plain(json.loads(data))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    entries = cast("Row", value)
    if "duplicate_of" in entries:
        return entries["state"]
    return {name: _plain(entry) for name, entry in entries.items() if name not in ("timings", "generation")}
