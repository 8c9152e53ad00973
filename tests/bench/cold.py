"""Cold starts: a fresh interpreter imports a function's `main.py`. The floor is functions-framework alone."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, Size

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("submit", "poll", "write")
RUNS = {Size.SMALL: 3, Size.FULL: 5}
HEAVY = ("google.genai", "google.cloud.firestore", "google.cloud.storage", "google.cloud.pubsub_v1", "grpc", "pydantic")
_MEASURE = """
import json, sys, time
begun = time.perf_counter()
{work}
seconds = time.perf_counter() - begun
heavy = [name for name in {heavy!r} if name in sys.modules]
print(json.dumps([seconds, len(sys.modules), heavy]))
"""
_IMPORT = """
import importlib.util
spec = importlib.util.spec_from_file_location("main", {path!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


def run(size: Size) -> Iterator[Figure]:
    """Measure each function."""
    floor, _, _ = _measured("import functions_framework", RUNS[size])
    for name in NAMES:
        work = _IMPORT.format(path=str(ROOT / "functions" / name / "main.py"))
        seconds, modules, heavy = _measured(work, RUNS[size])
        context: dict[str, float | str] = {"modules": modules, "heavy": " ".join(heavy) or "none"}
        yield Figure("cold import", name, seconds * 1e3, "ms", floor * 1e3, None, context)


def _measured(work: str, runs: int) -> tuple[float, int, list[str]]:
    """Return the median seconds, the number of modules, and the heavy ones among them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "shared")])}
    code = _MEASURE.format(work=work, heavy=HEAVY)
    found = [
        json.loads(
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment).stdout
        )
        for _ in range(runs)
    ]
    return statistics.median(entry[0] for entry in found), found[0][1], found[0][2]
