"""A stack's folder that lost a part of itself, or was copied: `up` and `demo` as real processes, the provider lives on.

Nothing that was sent is sent again, and nobody waits for a mark of the stack that died: the folder's lock says that
the new one is alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.fault.test_kill_and_start import ROOT, manifest_of, running
from tests.harness import lines

LINES = 300
END_SECONDS = 90.0
"""Far below the 12 minutes after which a mark is old, and the 10 after which an event is taken for lost."""


@pytest.fixture
def gemini(tmp_path: Path) -> Generator[GeminiEmulator]:
    """A provider whose batches are still running when the stack has been killed."""
    with GeminiEmulator(data_dir=tmp_path / "gemini", faults=Faults(running_seconds=15)) as emulator:
        yield emulator


def put(folder: Path, name: str) -> None:
    """Put a file that was written long ago into the input folder: it is uploaded at once."""
    path = folder / "input" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines(*(f"line {number}" for number in range(LINES))))
    os.utime(path, (1_700_000_000, 1_700_000_000))


def wait_for(check: Callable[[], Any]) -> None:
    until = time.monotonic() + END_SECONDS
    while not check():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def submitted(folder: Path) -> bool:
    log = folder / "logs" / "functions.log"
    return log.exists() and b'"batch submitted"' in log.read_bytes()


def killed_with_a_batch_in_flight(folder: Path, gemini: GeminiEmulator) -> None:
    put(folder, "a.jsonl")
    with running(folder, gemini):
        wait_for(lambda: submitted(folder))
    assert manifest_of(folder) is None


def notes(folder: Path) -> dict[str, list[int]]:
    return json.loads((folder / "buckets" / ".batchdrop" / "uploaded.json").read_bytes())


def check(folder: Path, gemini: GeminiEmulator) -> None:
    """Every line has one row, of one job, and one batch was made."""
    assert len(list((folder / "buckets" / "output").rglob("manifest.json"))) == 1
    rows: Counter[int] = Counter()
    for path in (folder / "buckets" / "output").rglob("*.jsonl"):
        if path.is_file():
            rows.update(json.loads(line)["line"] for line in path.read_bytes().split(b"\n") if line)
    assert rows == Counter(range(1, LINES + 1))
    assert gemini.calls["create"] == 1


@pytest.mark.parametrize("lost", ["state", "state/records.sqlite*"])
def test_a_stack_that_lost_its_state_ends_the_job_within_seconds_and_sends_nothing_twice(
    tmp_path: Path, gemini: GeminiEmulator, lost: str
) -> None:
    folder = tmp_path / "stack"
    killed_with_a_batch_in_flight(folder, gemini)
    before = notes(folder)
    for path in folder.glob(lost):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with running(folder, gemini):
        wait_for(lambda: manifest_of(folder))
    check(folder, gemini)
    assert notes(folder) == before


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `up` or `demo` to its end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "shared"), str(ROOT)])}
    command = [sys.executable, "-m", f"batchdrop_local.{module}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_a_copy_of_the_folder_does_not_start_and_the_first_one_goes_on(tmp_path: Path, gemini: GeminiEmulator) -> None:
    folder, copy = tmp_path / "stack", tmp_path / "copy"
    killed_with_a_batch_in_flight(folder, gemini)
    shutil.copytree(folder, copy)
    done = run("up", "--data", str(copy))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"{copy} is a copy of a stack's folder")
    assert done.stdout.count("\n") == 1
    assert "MOVED=1" in done.stdout
    with running(folder, gemini):
        wait_for(lambda: manifest_of(folder))
    check(folder, gemini)


def test_a_folder_moved_to_another_disk_goes_on_when_somebody_says_so(tmp_path: Path, gemini: GeminiEmulator) -> None:
    folder, moved = tmp_path / "stack", tmp_path / "moved"
    killed_with_a_batch_in_flight(folder, gemini)
    shutil.copytree(folder, moved)
    shutil.rmtree(folder)
    with running(moved, gemini, "--moved"):
        wait_for(lambda: manifest_of(moved))
    check(moved, gemini)


def test_a_copied_run_of_the_demo_does_not_go_on(tmp_path: Path) -> None:
    source, home, copy = tmp_path / "a.jsonl", tmp_path / "home", tmp_path / "copy"
    source.write_bytes(lines("one"))
    assert run("demo", "--data", str(home), "--input", str(source)).returncode == 0
    note = home / "1" / "run.json"
    note.write_text(json.dumps({**json.loads(note.read_bytes()), "ended": False}))
    shutil.copytree(home, copy)
    asked = ("demo", "--data", str(copy), "--input", str(source))
    done = run(*asked)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith(f"{copy / '1'} is a copy of a stack's folder")
    assert run(*asked, "--moved").returncode == 0
