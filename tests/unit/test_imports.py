"""What a process does not need it does not import: a cold start is mostly imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import gc, json, sys
import {module}
{then}
json.dump(sorted(sys.modules), sys.stdout)
"""
CLOUD = {"google.cloud.firestore", "google.cloud.storage", "google.cloud.pubsub_v1", "grpc"}
HEAVY = CLOUD | {"google.genai", "genai_prices", "httpx2", "pyarrow", "yaml", "watchdog"}
"""Of other people: 30 ms and more each, but yaml and watchdog, which take 10."""
STEPS = {
    "plan": "batchdrop.steps.plan.plan",
    "convert": "batchdrop.dialects.convert",
    "translate": "batchdrop.dialects.translate",
    "write": "batchdrop.steps.write.write",
    "finalize": "batchdrop.steps.finalize.finalize",
    "tick": "batchdrop.steps.poll.tick",
}
SUBMIT = "from batchdrop.steps.submit import submit; from batchdrop.steps.plan import advance, receive"
POLL = "from batchdrop.steps.poll import look, tick"
WRITE = "from batchdrop.steps.write import write; from batchdrop.steps.finalize import finalize"


def imported(module: str, then: str = "") -> set[str]:
    """Return the modules a new process has once it imported one, and did something more."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(module=module, then=then)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "shared")},
        capture_output=True,
        check=True,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["submit", "poll", "write"])
def test_a_function_is_imported_without_what_only_a_message_needs(name: str) -> None:
    found = imported(f"batchdrop.functions.{name}")
    assert "flask" in found, "the framework's request is what a function takes"
    assert not found & (HEAVY | set(STEPS.values()))


@pytest.mark.parametrize(
    ("name", "steps", "others"),
    [
        ("poll", POLL, {"plan", "convert", "translate", "write", "finalize"}),
        ("write", WRITE, {"plan", "convert", "translate", "tick"}),
        ("submit", SUBMIT, {"write", "finalize", "tick"}),
    ],
)
def test_a_function_has_no_steps_of_others(name: str, steps: str, others: set[str]) -> None:
    found = imported(f"batchdrop.functions.{name}", steps)
    assert not found & HEAVY
    assert not found & {STEPS[other] for other in others}


def test_an_instance_that_has_started_collects_garbage_seldom(tmp_path: Path) -> None:
    start = (
        "from batchdrop.core.settings import PollSettings; from batchdrop.functions.starting import started;"
        f" from pathlib import Path; import os; os.environ['BATCHDROP_LOCAL_DIR'] = {str(tmp_path)!r};"
        " started(PollSettings); assert gc.get_threshold() == (50_000, 20, 100), gc.get_threshold();"
        " assert gc.get_freeze_count() > 10_000"
    )
    assert "google.genai" not in imported("batchdrop.functions.starting", start)
