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

from batchdrop_local.emulators import google_jars

ROOT = Path(__file__).resolve().parents[2]
LINE = b'{"key":"a","request":{"contents":[{"parts":[{"text":"hello"}]}]}}\n'
WAIT_SECONDS = 60


@pytest.fixture(params=["embedded", "emulators"])
def stack(request: pytest.FixtureRequest) -> str:
    """Each stack in turn."""
    name: str = request.param
    lacking = google_jars.missing() if name == "emulators" else []
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
    command = [sys.executable, "-m", "batchdrop_local.demo", "--data", str(folder), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )


def outputs(folder: Path) -> dict[str, bytes]:
    found = [path for path in sorted(folder.rglob("*.jsonl")) if "/buckets/output/" in path.as_posix()]
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
    if google_jars.missing() and os.environ.get("BATCHDROP_REQUIRE_EMULATORS") != "1":
        pytest.skip("; ".join(google_jars.missing()))
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
    assert f"to {tmp_path / 'recipe.yaml'}" in done.stdout
    example = [line.strip() for line in done.stdout.splitlines() if line.startswith(" " * 15)]
    assert len(example) == 3
    assert done.stdout.rstrip().endswith("manifest: none")
    (tmp_path / "recipe.yaml").write_text("\n".join(example).replace("text", "review") + "\n")
    done = demo(tmp_path / "d", "--input", str(source))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(outputs(tmp_path / "d")["results-00000.jsonl"].splitlines()) == 1


def test_the_demo_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    done = demo(tmp_path / "d", "--gemini", "live")
    assert (done.returncode, "GEMINI_API_KEY" in done.stdout) == (2, True)
    done = demo(tmp_path / "d", "--input", str(tmp_path / "nobody.jsonl"))
    assert (done.returncode, "there is no file" in done.stdout) == (2, True)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("prices.xlsx", "prices.xlsx: A spreadsheet is not read. Save it as CSV"),
        ("notes.txt", "notes.txt is no upload"),
        ("archive.zip", "archive.zip: An archive of several files is not read."),
        ("picture.png", "picture.png is no upload"),
    ],
)
def test_the_demo_refuses_at_once_what_is_no_upload(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    done = demo(tmp_path / "d", "--input", str(tmp_path / name))
    assert done.returncode == 2
    assert done.stdout.startswith(sentence)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("gemini", ["Live", "1", "real"])
@pytest.mark.parametrize("module", ["demo", "up"])
def test_an_unknown_gemini_is_refused(tmp_path: Path, module: str, gemini: str) -> None:
    command = [sys.executable, "-m", f"batchdrop_local.{module}", "--data", str(tmp_path / "d"), "--gemini", gemini]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, f"GEMINI={gemini} is unknown: it is emulator or live\n")


def test_the_demo_says_that_its_answers_and_costs_are_made_up(tmp_path: Path) -> None:
    done = demo(tmp_path / "d")
    assert "Gemini     emulator, answers made up" in done.stdout
    assert re.search(r"^cost +nothing; real answers of this size: [\d.]+ USD", done.stdout, re.MULTILINE)


def test_the_demo_keeps_every_run(tmp_path: Path) -> None:
    source = tmp_path / "mine.jsonl"
    source.write_bytes(LINE)
    for _ in range(2):
        assert demo(tmp_path / "d", "--input", str(source)).returncode == 0
    manifests = [path for path in (tmp_path / "d").rglob("manifest.json") if "output" in path.parts]
    assert sorted(path.relative_to(tmp_path / "d").parts[0] for path in manifests) == ["1", "2"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_of_the_demo_goes_on_and_sends_nothing_twice(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "batchdrop_local.demo", "--data", str(tmp_path / "d")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=-2, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "SUBMITTED" in line:
            break
    process.send_signal(number)
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped; the same command goes on" in said
    done = demo(tmp_path / "d")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "interrupted: it goes on" in done.stdout
    assert [path.name for path in (tmp_path / "d").iterdir() if path.is_dir()] == ["1"]
    assert len([path for path in (tmp_path / "d").rglob("manifest.json") if "output" in path.parts]) == 1
    log = (tmp_path / "d" / "1" / "logs" / "functions.log").read_text().splitlines()
    submitted = [entry["shard_id"] for entry in map(json.loads, log) if entry["message"] == "batch submitted"]
    assert len(submitted) == len(set(submitted))
    assert f"batches    {len(submitted)} in " in done.stdout
    assert "goes on" not in demo(tmp_path / "d").stdout


def test_the_demo_on_the_emulators_is_never_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "none")
    done = demo(tmp_path / "d", "--gemini", "live", "--stack", "emulators")
    assert (done.returncode, "GEMINI=live needs STACK=embedded" in done.stdout) == (2, True)


@pytest.fixture
def up(tmp_path: Path, stack: str) -> Generator[tuple[subprocess.Popen[str], Path]]:
    """A stack that is kept running."""
    folder = tmp_path / f"up-{stack}"
    process = start_up(folder, stack)
    yield process, folder
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def start_up(folder: Path, stack: str = "embedded") -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "batchdrop_local.up",
        "--stack",
        stack,
        "--data",
        str(folder),
        "--quiet-seconds",
        "1",
    ]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)


def until(process: subprocess.Popen[str], word: str) -> str:
    """Return what is said until a line holds the word."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if word in line:
            return "".join(said)
    raise AssertionError(f"{word} was never said: {said}")


def until_ready(process: subprocess.Popen[str]) -> str:
    return until(process, "ready;")


def put(folder: Path, name: str, data: bytes = LINE) -> Path:
    path = folder / "input" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


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


# ------------------------------------------------------------------------------------------ what `up` says and survives
def test_up_says_one_line_for_each_arrival_hold_failure_and_end(up: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = up
    until_ready(process)
    put(folder, "good.jsonl")
    put(folder, "records/held.jsonl", b'{"review":"good"}\n')
    put(folder, "wrong.jsonl", b'{"key":"a","request":{}}\n')
    said: list[str] = []
    while not all(any(word in line for line in said) for word in ("  ended ", "  held ", "  failed ")):
        said += until(process, ".jsonl").splitlines()
    assert sorted(line.split()[1] for line in said) == ["arrived"] * 3 + ["ended", "failed", "held"]
    [held] = [line for line in said if "  held " in line]
    assert re.search(r"records/held.jsonl  RECIPE_MISSING: .* \(until \d{4}-\d\d-\d\d \d\d:\d\d\)$", held)
    [ended] = [line for line in said if "  ended " in line]
    assert "good.jsonl  complete: 1 results, 0 errors, 0 rejections  output/good.jsonl/" in ended
    [failed] = [line for line in said if "  failed " in line]
    assert "wrong.jsonl  REJECTED ALL_LINES_REJECTED" in failed


def test_the_environment_file_reaches_the_stack(up: tuple[subprocess.Popen[str], Path], stack: str) -> None:
    process, folder = up
    said = until_ready(process)
    assert f"source {folder / 'environment'}" in said
    assert "GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:" in said
    variables = (folder / "environment").read_text()
    assert "export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:" in variables
    if stack == "embedded":
        return
    for name in ("STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "CLOUDSDK_CORE_PROJECT"):
        assert f"export {name}=" in variables
    assert "export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true" in variables
    for service in ("STORAGE", "PUBSUB"):
        override = f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}=http://127.0.0.1:\\d+/$"
        assert re.search(override, variables, re.MULTILINE)
    if shutil.which("gcloud"):
        command = f". {folder / 'environment'} && gcloud pubsub topics list --format='value(name)'"
        listed = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert "projects/demo-local/topics/batchdrop-uploads" in listed.stdout, listed.stderr


def test_a_second_up_on_the_same_folder_says_so_and_ends(tmp_path: Path) -> None:
    process = start_up(tmp_path / "up")
    until_ready(process)
    second = start_up(tmp_path / "up")
    said, _ = second.communicate(timeout=WAIT_SECONDS)
    assert second.returncode == 1
    assert (
        said
        == f"a stack runs on {tmp_path / 'up'} already (process {process.pid}): stop it first, or name another folder\n"
    )
    process.kill()
    process.communicate()
    third = start_up(tmp_path / "up")
    until_ready(third)
    third.kill()
    third.communicate()


def test_the_gemini_emulator_is_started_again_when_it_died(tmp_path: Path) -> None:
    process = start_up(tmp_path / "up")
    until_ready(process)
    [child] = psutil.Process(process.pid).children()
    child.kill()
    said = until(process, "is started again")
    assert f"the Gemini emulator (process {child.pid}) ended with -9; the last lines of" in said
    put(tmp_path / "up", "a.jsonl")
    assert "complete: 1 results" in until(process, "  ended ")
    process.kill()
    process.communicate()


@pytest.mark.parametrize("victim", ["pubsub", "firestore"])
def test_up_ends_when_one_of_googles_emulators_died_and_says_which(tmp_path: Path, victim: str) -> None:
    if google_jars.missing():
        pytest.skip("; ".join(google_jars.missing()))
    process = start_up(tmp_path / "up", "emulators")
    until_ready(process)
    for child in psutil.Process(process.pid).children():
        if victim in " ".join(child.cmdline()):
            child.kill()
    begun = time.monotonic()
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    assert time.monotonic() - begun < 15
    assert process.returncode == 1
    assert f"the {victim} emulator (process" in said
    assert "ended with -9; the last lines of" in said
    assert left_behind(str(tmp_path / "up")) == []


def test_ctrl_c_ends_a_stack_whose_emulator_hangs(tmp_path: Path) -> None:
    if google_jars.missing():
        pytest.skip("; ".join(google_jars.missing()))
    for signals, most in ((1, 12), (2, 3)):
        process = start_up(tmp_path / f"up{signals}", "emulators")
        until_ready(process)
        children = psutil.Process(process.pid).children()
        [firestore] = [child for child in children if "firestore" in " ".join(child.cmdline())]
        firestore.suspend()
        time.sleep(2)  # a tick is caught in a call that is never answered
        begun = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        process.wait(timeout=WAIT_SECONDS)
        assert time.monotonic() - begun < most
        assert eventually(lambda children=children: not any(_runs(child) for child in children))
        process.communicate()


def test_the_emulators_say_that_they_forget_and_run_no_file_again(tmp_path: Path) -> None:
    if google_jars.missing():
        pytest.skip("; ".join(google_jars.missing()))
    folder = tmp_path / "up"
    process = start_up(folder, "emulators")
    assert "keep jobs, records and messages in memory" in until_ready(process)
    put(folder, "a.jsonl")
    until(process, "  ended ")
    process.send_signal(signal.SIGTERM)
    assert "keep jobs, records and messages in memory" in process.communicate(timeout=WAIT_SECONDS)[0]
    process = start_up(folder, "emulators")
    until_ready(process)
    put(folder, "b.jsonl")
    said = until(process, "  ended ")
    assert "a.jsonl" not in said
    assert "b.jsonl" in said
    process.kill()
    process.communicate()


def test_live_on_the_emulators_is_warned_of_and_runs_no_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real API is never reached: its address is one where nobody listens."""
    if google_jars.missing():
        pytest.skip("; ".join(google_jars.missing()))
    monkeypatch.setenv("GEMINI_API_KEY", "none")
    monkeypatch.setenv("BATCHDROP_GEMINI_BASE_URL", "http://127.0.0.1:9")
    folder, memory = tmp_path / "up", tmp_path / "up" / "buckets" / ".batchdrop" / "uploaded.json"
    notes: list[bytes] = []
    for _ in range(2):
        command = [sys.executable, "-m", "batchdrop_local.up", "--stack", "emulators", "--data", str(folder)]
        command += ["--gemini", "live", "--quiet-seconds", "1"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
        said = until_ready(process)
        assert "GEMINI=live with STACK=emulators: when this stops, what it knows of batches under way is lost" in said
        assert ("What was known of 1 unanswered earlier upload was lost" in said) == bool(notes)
        if not notes:
            put(folder, "a.jsonl")
            assert eventually(memory.exists)
        else:
            put(folder, "b.jsonl")
            until(process, "b.jsonl")
        notes.append(memory.read_bytes())
        process.kill()
        process.communicate()
    first, second = (json.loads(note) for note in notes)
    assert second["a.jsonl"] == first["a.jsonl"]


def test_a_folder_of_an_older_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old" / "state").mkdir(parents=True)
    process = start_up(tmp_path / "old")
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    assert said.startswith(f"{tmp_path / 'old'} holds data of an older version")


def test_the_stack_takes_utf8_names_under_a_c_locale(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "batchdrop_local.up", "--data", str(tmp_path / "up"), "--quiet-seconds", "1"]
    plain = {**environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = subprocess.Popen(command, cwd=ROOT, env=plain, stdout=subprocess.PIPE, encoding="utf-8")
    until_ready(process)
    put(tmp_path / "up", "grüße/日本.jsonl")
    assert "grüße/日本.jsonl  complete: 1 results" in until(process, "  ended ")
    process.kill()
    process.communicate()


@pytest.mark.parametrize("module", ["demo", "up"])
def test_a_wrong_setting_is_a_sentence(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHDROP_LEASE_SECONDS", "5")
    command = [sys.executable, "-m", f"batchdrop_local.{module}", "--data", str(tmp_path / "d")]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "lease_seconds must be greater than function_timeout_seconds" in done.stdout
    assert "Traceback" not in done.stderr
