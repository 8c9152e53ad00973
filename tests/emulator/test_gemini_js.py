"""The Gemini emulator and the unmodified JavaScript SDK; the tests themselves are in js/conformance.test.mjs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from infra.local.gemini import GeminiEmulator

HERE = Path(__file__).parent / "js"


def _missing(what: str) -> NoReturn:
    """Skip, or fail where everything has to run."""
    if os.environ.get("BATCHDROP_REQUIRE_EMULATORS") == "1":
        pytest.fail(what)
    pytest.skip(what)


def _tools() -> tuple[str, str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _missing("node and npm (Node.js 20 or newer) are needed for the JavaScript SDK's conformance tests")
    return node, npm


def _install(npm: str) -> None:
    """Install the SDK beside its tests, once."""
    if (HERE / "node_modules" / "@google" / "genai").is_dir():
        return
    done = subprocess.run([npm, "install"], cwd=HERE, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        _missing(f"npm could not install @google/genai: {done.stderr[-500:]}")


def test_the_javascript_sdk_does_everything_it_can(gemini: GeminiEmulator) -> None:
    node, npm = _tools()
    _install(npm)
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", "conformance.test.mjs"],
        cwd=HERE,
        env={**os.environ, "GEMINI_URL": gemini.url},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "# pass 10" in done.stdout
