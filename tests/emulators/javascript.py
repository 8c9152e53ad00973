"""Node's test runner on the files of `js/`, with the packages of their package.json installed beside them once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent / "js"


def run_tests(file: str, environment: dict[str, str]) -> str:
    """Run one file's tests and return what Node printed; skip where Node is missing, or fail where all has to run."""
    node = _installed()
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", file],
        cwd=HERE,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def _installed() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _missing("node and npm (Node.js 20 or newer) are needed for the tests of JavaScript clients")
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    folder = HERE / "node_modules"
    folder.mkdir(exist_ok=True)
    with (folder / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the test run may be at it
        if not all((folder / name).is_dir() for name in packages):
            done = subprocess.run([npm, "install"], cwd=HERE, capture_output=True, text=True, timeout=240, check=False)
            if done.returncode:
                _missing(f"npm could not install {', '.join(packages)}: {done.stderr[-500:]}")
    return node


def _missing(what: str) -> NoReturn:
    if os.environ.get("BATCHDROP_REQUIRE_EMULATORS") == "1":
        pytest.fail(what)
    pytest.skip(what)
