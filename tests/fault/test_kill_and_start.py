"""A machine that loses its power: `up` is killed by SIGKILL at a random moment of a large job, then started again.

The provider lives on meanwhile, as the real one does, and counts the creates. Afterwards every line has one row, and
no batch was made twice. `FAULT=full` does it 50 times; `SEED` chooses the moments.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.harness import lines

ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("FAULT") == "full"
RUNS = int(os.environ.get("KILLS", "50" if FULL else "3"))
SEED = int(os.environ.get("SEED", "20261125"))
LINES = 20_000
STEPS = 19
"""Lines in the log of an undisturbed job: received, planned, four each staged, submitted, ended and settled, ended."""
STEP_SECONDS = 0.5
"""A moment is a step of the job, and at most so long after it: so every phase is met, however busy the machine is."""
END_SECONDS = 240.0
SETTINGS = {
    "BATCHDROP_TIER": "3",
    "BATCHDROP_SHARD_REQUESTS": "5000",
    "BATCHDROP_CREATE_TIMEOUT_SECONDS": "5",
    "BATCHDROP_QUARANTINE_SECONDS": "15",
    "BATCHDROP_RECONCILE_SECONDS": "2",
}
"""Leases are as long as by default, 600 s; the quarantine, 1,200 s, is not: a kill between an intent and its create
waits for its end, as it must."""


@contextmanager
def running(folder: Path, gemini: GeminiEmulator, *more: str) -> Generator[subprocess.Popen[bytes]]:
    """`up` on the folder, with more arguments, killed at the end."""
    path = os.pathsep.join([str(ROOT / "shared"), str(ROOT)])
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": path, "GEMINI_API_KEY": "none"}
    environment |= {"BATCHDROP_GEMINI_BASE_URL": gemini.url}
    command = [sys.executable, "-m", "batchdrop_local.up", "--data", str(folder), "--gemini", "live", *more]
    with (folder.parent / "said").open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def manifest_of(folder: Path) -> dict[str, Any] | None:
    found = list((folder / "buckets").glob("output/**/manifest.json"))
    return json.loads(found[0].read_bytes()) if found else None


def steps(folder: Path) -> int:
    """Return how many lines the log has, ticks and reports aside."""
    log = folder / "logs" / "functions.log"
    if not log.exists():
        return 0
    return sum(b'"tick"' not in line and b'"report written"' not in line for line in log.read_bytes().splitlines())


def upload_and_kill(folder: Path, gemini: GeminiEmulator, upload: bytes, step: int, wait: float) -> None:
    """Put a file into the input folder; kill `up` some seconds after that step of the job."""
    path = folder / "input" / "big.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(upload)
    os.utime(path, (1_700_000_000, 1_700_000_000))  # written long ago: uploaded at once
    with running(folder, gemini) as process:
        until = time.monotonic() + END_SECONDS
        while steps(folder) < step and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(wait)


def started_again(folder: Path, gemini: GeminiEmulator) -> tuple[dict[str, Any], float]:
    """Start `up` again; return the manifest, and the seconds from the start to the end of the job."""
    begun = time.monotonic()
    with running(folder, gemini):
        while (manifest := manifest_of(folder)) is None:
            assert time.monotonic() - begun < END_SECONDS, "the job did not end"
            time.sleep(0.05)
    return manifest, time.monotonic() - begun


def check(folder: Path, manifest: dict[str, Any], gemini: GeminiEmulator) -> None:
    rows: Counter[int] = Counter()
    for path in (folder / "buckets" / "output").rglob("*.jsonl"):
        if path.is_file():
            rows.update(json.loads(line)["line"] for line in path.read_bytes().split(b"\n") if line)
    assert rows == Counter(range(1, LINES + 1))
    assert manifest["counts"]["results"] == LINES
    assert gemini.calls["create"] == len(manifest["batches"]) == 4


@pytest.mark.timeout(RUNS * 60 + int(2 * END_SECONDS))
def test_killed_at_any_moment_of_a_large_job_a_start_ends_it_at_once(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    upload = lines(*(f"line {number}" for number in range(LINES)))
    taken: list[float] = []
    for number in range(RUNS):
        place = tmp_path / str(number)
        step, wait = chance.randrange(STEPS), chance.uniform(0, STEP_SECONDS)
        with GeminiEmulator(data_dir=place / "gemini") as gemini:
            upload_and_kill(place / "stack", gemini, upload, step, wait)
            manifest, seconds = started_again(place / "stack", gemini)
            check(place / "stack", manifest, gemini)
        taken.append(seconds)
        doubt = b'"QUARANTINE"' in (place / "stack" / "logs" / "functions.log").read_bytes()
        words = "; a create was in doubt" if doubt else ""
        print(f"killed {wait:.2f} s after step {step}, ended {seconds:.1f} s after the next start{words}", flush=True)
    print(f"{RUNS} kills: median {statistics.median(taken):.1f} s, worst {max(taken):.1f} s to the end")
