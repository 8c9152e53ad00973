"""Folders of a stack: who owns one, what is ours, and that nothing else is ever removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from batchdrop_local.cleaning import clean
from batchdrop_local.demo.summarizing import maxrss_unit
from batchdrop_local.stack.owning import FORMAT, MARKER, FolderError, in_use, is_ours, owned, write_durably

ROOT = Path(__file__).resolve().parents[2]


def test_a_folder_has_one_owner_and_a_dead_owner_has_none(tmp_path: Path) -> None:
    with owned(tmp_path):
        assert in_use(tmp_path)
        with pytest.raises(FolderError, match=rf"already \(process {os.getpid()}\)"), owned(tmp_path):
            pass
    assert not in_use(tmp_path)
    with owned(tmp_path):
        assert is_ours(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "batchdrop.data/0"}'])
def test_a_folder_of_another_format_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(FolderError, match="another version"), owned(tmp_path):
        pass


@pytest.mark.parametrize("name", ["buckets", "state"])
def test_data_without_a_marker_is_of_an_older_version(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(FolderError, match="older version"), owned(tmp_path):
        pass


def start(folder: Path, *, moved: bool = False) -> None:
    """Own the folder once, as a stack that starts and ends."""
    with owned(folder, moved=moved):
        pass


def test_a_copied_folder_is_refused_and_the_first_one_goes_on(tmp_path: Path) -> None:
    start(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    with pytest.raises(FolderError, match=r"second is a copy .* pay for them twice.* MOVED=1"):
        start(tmp_path / "second")
    start(tmp_path / "first")


def test_a_folder_copied_while_its_stack_runs_is_refused_as_a_copy(tmp_path: Path) -> None:
    with owned(tmp_path / "first"):
        shutil.copytree(tmp_path / "first", tmp_path / "second")
        with pytest.raises(FolderError, match="is a copy"):
            start(tmp_path / "second")


def test_a_folder_that_was_renamed_goes_on(tmp_path: Path) -> None:
    start(tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "second")
    start(tmp_path / "second")


def test_a_backup_restored_in_place_is_refused_until_somebody_says_that_it_is_the_only_one(tmp_path: Path) -> None:
    folder, backup = tmp_path / "stack", tmp_path / "backup"
    start(folder)
    shutil.copytree(folder, backup)
    folder.rename(tmp_path / "broken")
    shutil.copytree(backup, folder)
    with pytest.raises(FolderError, match="a restored backup"):
        start(folder)
    start(folder, moved=True)
    start(folder)


@pytest.mark.parametrize("kept", ["folder", "marker"])
def test_a_copy_that_has_one_of_the_two_inodes_by_chance_is_refused(tmp_path: Path, kept: str) -> None:
    start(tmp_path / "stack")
    marker = tmp_path / "stack" / MARKER
    body = json.loads(marker.read_bytes())
    body["place"][1 if kept == "folder" else 0] += 1
    marker.write_text(json.dumps(body))
    with pytest.raises(FolderError, match="is a copy"):
        start(tmp_path / "stack")


def test_a_folder_of_the_same_format_that_names_no_place_is_refused(tmp_path: Path) -> None:
    mark(tmp_path / "stack")
    with pytest.raises(FolderError, match="is a copy"):
        start(tmp_path / "stack")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", b"one")
    write_durably(tmp_path / "a", b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"two"}


def mark(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(f'{{"schema": "{FORMAT}"}}')


def test_clean_removes_what_we_made_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("embedded", "emulators", "demo/1", "demo/2"):
        mark(root / name)
    (root / "demo" / "tickets.jsonl").write_text("{}")
    (root / "gemini" / "content").mkdir(parents=True)
    (root / "gemini" / "state.sqlite").touch()
    (root / "photos").mkdir()
    (tmp_path / "elsewhere").mkdir()
    mark(tmp_path / "elsewhere" / "ours")
    (root / "link").symlink_to(tmp_path / "elsewhere" / "ours")
    said = list(clean(root))
    assert sorted(path.name for path in root.iterdir()) == ["link", "photos"]
    assert is_ours(tmp_path / "elsewhere" / "ours")
    assert [sentence.split()[0] for sentence in said] == [str(root / "link"), str(root / "photos")]
    shutil.rmtree(root / "photos")
    (root / "link").unlink()
    assert list(clean(root)) == []
    assert not root.exists()


def test_clean_leaves_a_stack_that_runs(tmp_path: Path) -> None:
    with owned(tmp_path / "embedded"):
        [sentence] = clean(tmp_path)
    assert "a stack runs on" in sentence
    assert is_ours(tmp_path / "embedded")


@pytest.mark.parametrize("target", ["clean", "demo", "up"])
def test_make_takes_no_data_folder_from_the_environment(target: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is missing")
    environment = {**os.environ, "DATA": "/somewhere"}
    for words, expected in ((["make", "-n", target], False), (["make", "-n", target, "DATA=/somewhere"], True)):
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert ("/somewhere" in done.stdout) is expected
        assert "rm -rf /somewhere" not in done.stdout
        assert "rm -rf .venv /somewhere" not in done.stdout


@pytest.mark.parametrize("target", ["demo", "up"])
def test_make_takes_a_folder_for_moved_only_when_it_is_told(target: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is missing")
    environment = {**os.environ, "MOVED": "1"}
    for words, expected in ((["make", "-n", target], False), (["make", "-n", target, "MOVED=1"], True)):
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert ("--moved" in done.stdout) is expected


def test_make_clean_refuses_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is missing")
    (tmp_path / "thesis").mkdir()
    command = ["make", "clean", f"DATA={tmp_path}", f"VENV={tmp_path / 'none'}", "-C", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{tmp_path / 'thesis'} was not made by Batchdrop" in done.stdout
    assert (tmp_path / "thesis").is_dir()


def test_peak_memory_is_in_the_systems_own_unit() -> None:
    assert (maxrss_unit("darwin"), maxrss_unit("linux")) == (1, 1024)
