"""The local stack as a user runs it: processes, files, signals; nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local import google_emulators

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 60


@pytest.fixture(params=["embedded", "emulators"])
def stack(request: pytest.FixtureRequest) -> str:
    """Each stack in turn."""
    name: str = request.param
    lacking = google_emulators.missing() if name == "emulators" else []
    if lacking:
        message = "; ".join(lacking)
        if os.environ.get("BATCHDROP_REQUIRE_EMULATORS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return name


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "shared"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.local.demo", "--data", str(folder), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )


def outputs(folder: Path) -> dict[str, bytes]:
    found = sorted((folder / "buckets" / "output").rglob("*.jsonl"))
    return {path.name: path.read_bytes() for path in found if path.is_file()}


def left_behind(marker: str) -> list[str]:
    """Return the command lines of processes that mention the marker."""
    found: list[str] = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if marker in line and process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(line)
    return found


def eventually(check: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.05)
    return False


def test_the_demo_accounts_for_every_line_and_says_where_the_rows_are(tmp_path: Path, stack: str) -> None:
    folder = tmp_path / "demo-folder"
    done = demo(folder, "--stack", stack)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith("manifest: ")
    manifest = json.loads(Path(last.removeprefix("manifest: ")).read_text())
    rows = [json.loads(line) for data in outputs(folder).values() for line in data.split(b"\n") if line]
    source = (folder / "tickets.jsonl").read_bytes().split(b"\n")
    expected = [number for number, line in enumerate(source, 1) if line.strip()]
    assert len(expected) >= 1000
    assert sorted(row["line"] for row in rows) == expected
    assert manifest["counts"]["results"] > 1000
    assert manifest["counts"]["rejections"] >= 5
    assert left_behind(str(folder)) == []


def test_both_stacks_write_the_same_bytes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if google_emulators.missing() and os.environ.get("BATCHDROP_REQUIRE_EMULATORS") != "1":
        pytest.skip("; ".join(google_emulators.missing()))
    written: list[dict[str, bytes]] = []
    for name in ("embedded", "emulators"):
        assert demo(tmp_path / name, "--stack", name).returncode == 0
        written.append(outputs(tmp_path / name))
    assert written[0] == written[1]
    assert set(written[0]) == {"results-00000.jsonl", "errors-00000.jsonl", "rejections.jsonl"}


def test_the_demo_runs_a_file_of_the_users_own(tmp_path: Path) -> None:
    source = tmp_path / "mine.jsonl"
    source.write_text('{"key":"a","request":{"contents":[{"parts":[{"text":"hello"}]}]}}\n')
    done = demo(tmp_path / "d", "--input", str(source), "--model", "gemini-2.5-pro")
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = outputs(tmp_path / "d")["results-00000.jsonl"].splitlines()
    assert json.loads(row)["model"] == "gemini-2.5-pro"


def test_the_demo_ends_when_the_upload_is_held_and_says_why(tmp_path: Path) -> None:
    source = tmp_path / "records.jsonl"
    source.write_text('{"review":"good"}\n')
    done = demo(tmp_path / "d", "--input", str(source))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "RECIPE_MISSING" in done.stdout
    assert done.stdout.rstrip().endswith("manifest: none")


def test_the_demo_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    done = demo(tmp_path / "d", "--live")
    assert (done.returncode, "GEMINI_API_KEY" in done.stdout) == (2, True)
    done = demo(tmp_path / "d", "--input", str(tmp_path / "nobody.jsonl"))
    assert (done.returncode, "there is no file" in done.stdout) == (2, True)


@pytest.fixture
def up(tmp_path: Path, stack: str) -> Generator[tuple[subprocess.Popen[str], Path]]:
    """A stack that is kept running."""
    folder = tmp_path / f"up-{stack}"
    command = [sys.executable, "-m", "infra.local.up", "--stack", stack, "--data", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    yield process, folder
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("ready"):
            return "".join(said)
    raise AssertionError(f"never ready: {said}")


def test_a_file_copied_into_the_input_folder_is_an_upload(up: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = up
    said = until_ready(process)
    variables = (folder / "environment").read_text()
    assert "export BATCHDROP_GEMINI_BASE_URL=http://127.0.0.1:" in variables
    assert "submit" in said
    source = folder / "input" / "team-a" / "hello.jsonl"
    source.parent.mkdir(parents=True)
    source.write_text('{"key":"a","request":{"contents":[{"parts":[{"text":"hello"}]}]}}\n')
    assert eventually(lambda: list((folder / "buckets").rglob("manifest.json")) != [])
    assert b'"key":"a"' in outputs(folder)["results-00000.jsonl"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stopping_leaves_no_process(up: tuple[subprocess.Popen[str], Path], number: signal.Signals) -> None:
    process, folder = up
    until_ready(process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.pid in {process.pid, *(c.pid for c in children)}:
            address: Any = connection.laddr
            assert str(address[0]) in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    process.send_signal(number)
    process.wait(timeout=WAIT_SECONDS)
    assert eventually(lambda: not any(_runs(child) for child in children))
    assert left_behind(str(folder)) == []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("delay", [0.1, 0.4, 0.9])
def test_being_killed_while_starting_leaves_no_process(up: tuple[subprocess.Popen[str], Path], delay: float) -> None:
    process, folder = up
    time.sleep(delay)
    process.kill()
    process.wait()
    assert eventually(lambda: left_behind(str(folder)) == [])


def test_the_functions_answer_as_the_framework_serves_them(up: tuple[subprocess.Popen[str], Path]) -> None:
    import urllib.request

    process, _ = up
    said = until_ready(process)
    match = re.search(r"(http://\S+)/submit/", said)
    assert match is not None
    for path, body, status in (("submit", b"not a push", 204), ("write", b"{}", 204), ("poll", b"", 204)):
        request = urllib.request.Request(f"{match[1]}/{path}/", data=body, method="POST")
        with urllib.request.urlopen(request) as answer:
            assert (answer.status, answer.read()) == (status, b"")


def test_make_says_what_there_is() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is missing")
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("demo", "up", "test", "check", "gemini-emulator"):
        assert re.search(rf"^  {target} ", done.stdout, re.MULTILINE)
