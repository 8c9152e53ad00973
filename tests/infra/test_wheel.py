"""The package as a person installs it: built, in an empty environment, outside the clone, without extras."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from batchdrop.core.money.costs import BY
from tests.samples.tables import write_samples

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]
STACK_COMMANDS = (["list"], ["status", "a"], ["cancel", "a"], ["release", "a"], ["replay"], ["savings"])
RECORDS = "id,review\n1,good\n2,bad\n"
RECIPE = 'prompt: "Is this kind? {{ review }}"\n'
OPENAI = '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[%s]}}\n'
GEMINI = '{"key":"a","request":{"contents":[{"parts":[{"text":"hello"}]}]}}\n'

PROJECT = """
import os

from batchdrop_local.emulators.gemini import Faults, RowFaults


def test_every_review_has_a_label(batchdrop_stack):
    batchdrop_stack.put("team/recipe.yaml", 'prompt: "Is this kind? {{ text }}"')
    done = batchdrop_stack.run("team/reviews.csv", "id,text\\n1,good\\n2,bad\\n")
    assert (done.state, done.verdict, done.reason) == ("DONE", "complete", "")
    assert [row["line"] for row in done.results] == [1, 2]
    assert done.manifest["counts"]["lines"] == 2
    assert os.environ["BATCHDROP_LOCAL_DIR"] == batchdrop_stack.environment["BATCHDROP_LOCAL_DIR"]


def test_a_blocked_answer_is_an_error_row(batchdrop_stack, gemini_emulator):
    gemini_emulator.faults = Faults(rows=RowFaults(blocked_rate=1))
    request = '{"key":"a","request":{"contents":[{"parts":[{"text":"hello"}]}]}}'
    done = batchdrop_stack.run("a.jsonl", request + "\\nno request\\n")
    assert [row["outcome"] for row in done.errors] == ["blocked"]
    assert (done.verdict, len(done.rejections), done.results) == ("partial", 1, [])


def test_an_upload_that_waits_says_why(batchdrop_stack):
    done = batchdrop_stack.run("team/reviews.csv", "id,text\\n1,good\\n")
    assert (done.state, done.reason.partition(":")[0]) == ("HELD", "RECIPE_MISSING")


def test_the_environment_is_as_it_was_before():
    assert "BATCHDROP_LOCAL_DIR" not in os.environ
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def described(wheel: Path) -> Message:
    """The wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="session")
def home(wheel: Path, described: Message, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it asks for without extras: links to the releases installed here."""
    return installed(tmp_path_factory.mktemp("home"), wheel, asked_for(described))


@pytest.fixture(scope="session")
def local_home(wheel: Path, described: Message, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with what the extra `local` brings, and pytest."""
    return installed(tmp_path_factory.mktemp("local"), wheel, asked_for(described, "local", "pytest"))


def installed(folder: Path, wheel: Path, distributions: list[metadata.Distribution]) -> Path:
    """Make an environment of the wheel and these distributions."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for distribution in distributions:
        for entry in {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."} - {"__pycache__"}:
            if not (packages / entry).exists():
                (packages / entry).symlink_to(str(distribution.locate_file(entry)))
    pip = [folder / "bin" / "python", "-m", "pip", "--isolated", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-index", wheel], check=True)
    return folder


def asked_for(described: Message, extra: str = "", *beside: str) -> list[metadata.Distribution]:
    """Return the distributions that the wheel asks for, those beside it, and those that they ask for."""
    known: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    left = [("batchdrop", name) for name in {"", extra}] + [(name, "") for name in beside]
    while left:
        name, wanted = left.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        requires = described.get_all("Requires-Dist")
        if name != "batchdrop":
            known[name] = metadata.distribution(name)
            requires = known[name].requires
        for asked in map(Requirement, requires or []):
            if asked.marker is None or asked.marker.evaluate({"extra": wanted}):
                left += [(canonicalize_name(asked.name), of) for of in {"", *asked.extras}]
    return list(known.values())


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """Run the installed command in an empty folder, in an environment that names nothing."""
    return runner(home, tmp_path)


@pytest.fixture
def run_local(local_home: Path, tmp_path: Path) -> Run:
    """The same, installed with the extra `local`."""
    return runner(local_home, tmp_path)


def runner(home: Path, folder: Path) -> Run:
    def go(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(home / "bin" / "batchdrop"), *map(str, arguments)]
        env = empty(folder) | variables
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)

    return go


def empty(folder: Path) -> dict[str, str]:
    """Return an environment that names nothing."""
    return {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8"}


def stopped(process: subprocess.Popen[str]) -> int:
    """Stop a command as Ctrl-C does; return how it ended."""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    return process.returncode


def test_help_and_version_need_nothing(run: Run, described: Message) -> None:
    helped = run("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    for command in ("validate", "estimate", "convert", "demo", "up", *(name for name, *_ in STACK_COMMANDS)):
        assert re.search(rf"^    {command} ", helped.stdout, re.MULTILINE)
        assert run(command, "--help").returncode == 0
    assert run("--version").stdout == f"batchdrop {described['Version']}\n"
    assert all(word in run("savings", "--help").stdout for word in BY)


def test_help_imports_nothing_but_the_standard_library(home: Path) -> None:
    code = (
        "import sys, json; before = set(sys.modules); from batchdrop.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([home / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    modules: list[str] = json.loads(done.stderr)
    assert {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) == {"batchdrop"}
    ours = {name for name in modules if name.startswith("batchdrop")}
    commands = {f"batchdrop.cli.{name}" for name in ("main", "drain", "jobs", "local")}
    nouns = {"batchdrop.core", "batchdrop.core.codes", "batchdrop.core.errors"}
    assert ours == {"batchdrop", "batchdrop.cli"} | nouns | commands
    assert len(modules) < 100


def test_a_file_is_checked_estimated_and_converted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GEMINI)
    assert run("validate", "a.jsonl").stdout == "gemini: 1 requests, 0 rejections\n"
    estimated = run("estimate", "a.jsonl", "--json")
    assert json.loads(estimated.stdout)["batch"]["likely"] is not None
    (tmp_path / "openai.jsonl").write_text(OPENAI % '{"role":"user","content":"hello"}')
    converted = run("convert", "openai.jsonl", "--model", "gemini-2.5-flash")
    assert (converted.returncode, json.loads(converted.stdout)["request"]["contents"][0]["role"]) == (0, "user")


def test_records_are_rendered_with_a_recipe(run: Run, tmp_path: Path) -> None:
    (tmp_path / "records.csv").write_text(RECORDS)
    assert "RECIPE_MISSING" in run("validate", "records.csv").stderr
    (tmp_path / "recipe.yaml").write_text(RECIPE + "response_schema: {type: object}\n")
    done = run("validate", "records.csv")
    assert (done.returncode, done.stdout.endswith(": 2 requests, 0 rejections\n")) == (0, True), done
    assert "Is this kind? good" in run("convert", "records.csv").stdout


def test_parquet_says_which_extra_reads_it(run: Run, tmp_path: Path) -> None:
    write_samples(tmp_path)
    for command in ("validate", "estimate", "convert"):
        done = run(command, "products/products.parquet")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "EXTRA_MISSING: Parquet needs more packages: pip install 'batchdrop[tables]'\n"


@pytest.mark.parametrize("arguments", STACK_COMMANDS, ids=lambda arguments: arguments[0])
def test_without_a_stack_a_sentence_says_how_to_get_one(arguments: list[str], run: Run, tmp_path: Path) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("STACK_MISSING: The environment names no stack: ")
    assert '`eval "$(pulumi stack output environment)"`' in done.stderr
    done = run(*arguments, BATCHDROP_LOCAL_DIR=str(tmp_path / "nowhere"))
    assert (done.returncode, done.stderr.count("\n"), (tmp_path / "nowhere").exists()) == (1, 1, False)
    assert done.stderr.startswith(f"STACK_MISSING: There is no stack in {tmp_path}/nowhere (BATCHDROP_LOCAL_DIR)")
    done = run(*arguments, BATCHDROP_PROJECT="some-project")
    assert done.returncode == 1
    assert done.stderr == (
        "EXTRA_MISSING: A stack on Google Cloud needs more packages: pip install 'batchdrop[cloud]'\n"
    )


def test_a_stack_on_this_machine_needs_no_extra(run: Run, tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    for arguments, code in ((["list"], 0), (["status", "a"], 1), (["replay"], 0), (["savings"], 0)):
        done = run(*arguments, BATCHDROP_LOCAL_DIR=str(tmp_path / "stack"))
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


@pytest.mark.parametrize("arguments", [("demo",), ("up",), ("emulator", "gemini")], ids=" ".join)
def test_without_the_extra_a_stack_on_this_machine_names_it(
    arguments: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    done = run(*arguments)
    sentence = "A stack on this machine needs more packages: pip install 'batchdrop[local]'"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"EXTRA_MISSING: {sentence}\n")
    assert not list(tmp_path.iterdir())


def test_the_demo_runs_outside_the_clone_and_keeps_its_data_in_the_users_folder(run_local: Run, tmp_path: Path) -> None:
    done = run_local("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    home = tmp_path / ".local" / "share" / "batchdrop" / "demo"
    manifest = Path(done.stdout.rpartition("manifest: ")[2].strip())
    assert json.loads(manifest.read_bytes())["verdict"] == "partial"
    assert manifest.is_relative_to(home / "1")
    (tmp_path / "a.jsonl").write_text(GEMINI)
    done = run_local("demo", "--input", "a.jsonl", "--model", "gemini-2.5-flash", XDG_DATA_HOME=str(tmp_path / "data"))
    assert (done.returncode, (tmp_path / "data" / "batchdrop" / "demo" / "1" / "run.json").exists()) == (0, True)


def test_a_stack_that_stays_takes_a_file_and_stops_at_once(local_home: Path, run_local: Run, tmp_path: Path) -> None:
    command = [local_home / "bin" / "batchdrop", "up"]
    env = empty(tmp_path)
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        shown = list(iter(up.stdout.readline, "ready; stop with Ctrl-C\n"))
        [folder] = [line.split()[2] for line in shown if line.startswith("input folder")]
        (tmp_path / "a.jsonl").write_text(GEMINI)
        (tmp_path / "a.jsonl").rename(Path(folder) / "a.jsonl")
        assert "arrived" in up.stdout.readline()
        assert "complete: 1 results" in up.stdout.readline()
        listed = run_local("list", BATCHDROP_LOCAL_DIR=str(Path(folder).parent))
        assert "a.jsonl" in listed.stdout
        assert stopped(up) == 0
    assert Path(folder) == tmp_path / ".local" / "share" / "batchdrop" / "embedded" / "input"


@pytest.mark.parametrize(("service", "path"), [("gemini", "/control/stats"), ("storage", "/storage/v1/b")])
def test_an_emulator_runs_alone(local_home: Path, tmp_path: Path, service: str, path: str) -> None:
    command = [local_home / "bin" / "batchdrop", "emulator", service]
    with subprocess.Popen(command, cwd=tmp_path, env=empty(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert url is not None
        with urllib.request.urlopen(url[0] + path, timeout=10) as answer:
            assert json.load(answer)
        assert stopped(process) == 0
    assert (tmp_path / ".local" / "share" / "batchdrop" / service).is_dir()


def test_the_fixtures_serve_a_project_that_only_installed_the_package(local_home: Path, tmp_path: Path) -> None:
    (tmp_path / "test_reviews.py").write_text(PROJECT)
    command = [local_home / "bin" / "python", "-m", "pytest", "-q", "test_reviews.py"]
    done = subprocess.run(command, cwd=tmp_path, env=empty(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_a_test_that_asks_for_no_fixture_imports_nothing_of_ours_but_them(local_home: Path, tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\n"
        "def test_nothing():\n"
        "    ours = {name for name in sys.modules if name.startswith('batchdrop')}\n"
        "    assert ours == {'batchdrop_local', 'batchdrop_local.testing'}\n"
    )
    command = [local_home / "bin" / "python", "-m", "pytest", "-q"]
    done = subprocess.run(command, cwd=tmp_path, env=empty(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nobody_signed_in_is_a_sentence(tmp_path: Path) -> None:
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "shared"), "NO_GCE_CHECK": "true"}
    command = [sys.executable, "-m", "batchdrop.cli.main", "list"]
    env["BATCHDROP_PROJECT"] = "some-project"
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "gcloud auth application-default login" in done.stderr


def test_the_wheel_holds_every_file_of_its_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    packages = [path.parent for path in (ROOT / "shared").glob("*/__init__.py")]
    files = {path for package in packages for path in package.rglob("*") if path.is_file()}
    wanted = {path.relative_to(ROOT / "shared").as_posix() for path in files if "__pycache__" not in path.parts}
    assert wanted <= inside, wanted - inside
    assert "batchdrop/py.typed" in inside
    assert not {name for name in inside if "__pycache__" in name}


def test_the_metadata_say_who_under_which_license_and_for_what(wheel: Path, described: Message) -> None:
    assert described["Author"] == "The Batchdrop authors"
    assert described["License-Expression"] == "Apache-2.0"
    assert described["Requires-Python"] == ">=3.11"
    assert described["Description-Content-Type"] == "text/markdown"
    assert described["Keywords"]
    assert "Typing :: Typed" in (described.get_all("Classifier") or [])
    assert {"tables", "cloud", "gemini", "local"} <= set(described.get_all("Provides-Extra") or [])
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()


def test_no_extra_brings_googles_libraries(described: Message) -> None:
    names = {distribution.name.lower() for distribution in asked_for(described)}
    assert not {name for name in names if name.startswith("google-")} - {"google-crc32c"}
    assert not names & {"pyarrow", "functions-framework", "flask", "grpcio", "requests", "cryptography"}
