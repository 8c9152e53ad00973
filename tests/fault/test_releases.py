"""A release finishes what the one before left in flight, and the one before finishes what this one left: P1, P2, P3.

The folders in `tests/samples/releases` were frozen by each release (`tests.fault.release`); what is tagged in this
clone is run itself, in both directions.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest
from packaging.version import Version

from batchdrop import __version__
from tests.fault.release import NOTE, UPLOADS, finish, freeze

ROOT: Final = Path(__file__).resolve().parents[2]
ARCHIVES: Final = {path.name.removesuffix(".tar.xz"): path for path in ROOT.glob("tests/samples/releases/*.tar.xz")}
STATES: Final = ("queued", "staging", "staged", "creating", "submitted", "ended", "writing", "settling", "written")
"""Of a shard whose batch is answered."""


def folders_in(archive: Path) -> set[str]:
    with tarfile.open(archive) as packed:
        return {name.partition("/")[0] for name in packed.getnames()}


FROZEN: Final = [
    pytest.param(version, name, id=f"{version} {name}")
    for version, path in sorted(ARCHIVES.items())
    for name in sorted(folders_in(path))
]


def unpacked(archive: Path, folder: Path) -> list[Path]:
    """Unpack an archive; return its folders."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return sorted(note.parent for note in folder.glob(f"*/{NOTE}"))


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the release before this one."""
    tags = [tag for tag in git("tag", "--list", "v*").split() if Version(tag) < Version(__version__)]
    if not tags:
        pytest.skip(f"no release before {__version__} is tagged in this clone")
    folder = tmp_path_factory.mktemp("before")
    archive = folder / "sources.tar"
    git("archive", "--output", str(archive), max(tags, key=Version), "shared", "tests")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def run(sources: Path, *arguments: object) -> None:
    """Run the tool of another release, on its own code."""
    env = {**os.environ, "PYTHONPATH": f"{sources / 'shared'}{os.pathsep}{sources}"}
    command = [sys.executable, "-m", "tests.fault.release", *map(str, arguments)]
    done = subprocess.run(command, cwd=sources, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("version", "name"), FROZEN)
def test_what_an_earlier_release_left_in_flight_is_finished(version: str, name: str, tmp_path: Path) -> None:
    unpacked(ARCHIVES[version], tmp_path)
    finish(tmp_path / name)


def test_every_release_since_the_first_is_frozen_in_every_state() -> None:
    assert "0.2.0" in ARCHIVES
    for version in ARCHIVES:
        names = folders_in(ARCHIVES[version])
        assert {name.partition("-")[0] for name in names} == set(UPLOADS)
        for state in ("received", "planning", "running", "finalizing", "done"):
            assert f"lines-job-{state}" in names
        for state in (
            "queued",
            "staging",
            "staged",
            "creating",
            "submitted",
            "ended",
            "writing",
            "settling",
            "written",
        ):
            assert f"lines-shard-{state}" in names


def test_this_release_finishes_what_the_one_before_leaves(before: Path, tmp_path: Path) -> None:
    run(before, "freeze", tmp_path / "left.tar.xz")
    for folder in unpacked(tmp_path / "left.tar.xz", tmp_path / "left"):
        finish(folder)


def test_the_release_before_finishes_what_this_one_leaves(before: Path, tmp_path: Path) -> None:
    freeze(tmp_path / "left.tar.xz")
    run(before, "finish", *unpacked(tmp_path / "left.tar.xz", tmp_path / "left"))
