"""A stack's folder on this machine: marked as made by us, owned by one process at a time, and known from its copies.

    batchdrop.json   the format of what lies in the folder, and its place: what a copy cannot keep
    lock             the number of the process that runs the stack; locked by flock(2) while it lives

The kernel lets the lock go when its process ends, however it ends: a lock that is held is never stale.

The place is the inode number of the folder and that of the marker, for one alone may be the same by chance: the root
of every ext4 volume is inode 2. A rename on one file system keeps both; a copy, a restored backup and a move to
another file system keep neither. The device number is left out, for it may change when the machine starts again
(GNU tar manual, `--no-check-device`). A clone of the whole file system keeps every inode number and is not noticed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MARKER = "batchdrop.json"
LOCK = "lock"
FORMAT = "batchdrop.data/2"
_OURS = ("buckets", "state")
"""Folders by which data of a version without a marker is known."""


class FolderError(Exception):
    """The folder cannot be used; the message is a sentence for a person."""


@contextmanager
def owned(root: Path, *, moved: bool = False) -> Generator[None]:
    """Own a stack's folder while the block runs; an empty or new one is marked as ours.

    Args:
        root: The folder.
        moved: Take a folder that looks like a copy for the only one there is, from now on.

    Raises:
        FolderError: Another process owns it, it is a copy, or it holds data of another format.
    """
    root.mkdir(parents=True, exist_ok=True)
    _check_format(root)
    with (root / LOCK).open("a+") as lock:
        _lock(lock, root)
        if not moved:
            _check_place(root)
        _mark(root)
        yield


def is_ours(folder: Path) -> bool:
    """True when we made the folder."""
    return (folder / MARKER).is_file()


def in_use(root: Path) -> bool:
    """True while a process owns the folder."""
    try:
        with (root / LOCK).open("r+") as lock:
            _lock(lock, root)
    except FolderError:
        return True
    except OSError:
        return False
    return False


def _check_format(root: Path) -> None:
    marker = root / MARKER
    if marker.exists():
        format = _format(marker)
        if format != FORMAT:
            raise FolderError(
                f"{root} holds data of another version ({format}): move it away, or name another folder"
            )
    elif any((root / name).exists() for name in _OURS):
        raise FolderError(
            f"{root} holds data of an older version: move it away, or name another folder"
        )


def _format(marker: Path) -> str:
    try:
        return str(_read(marker)["schema"])
    except (ValueError, KeyError, TypeError):
        return "its batchdrop.json is damaged"


def _check_place(root: Path) -> None:
    marker = root / MARKER
    if marker.exists() and _read(marker).get("place") != _place(
        root, marker.stat().st_ino
    ):
        raise FolderError(
            f"{root} is a copy of a stack's folder, a restored backup, or was moved to another disk: two stacks of one"
            " identity would cancel each other's batches and pay for them twice. If no other copy of it will ever run"
            " again, start this one once with MOVED=1 added to the make command (without make: --moved);"
            " otherwise name another folder"
        )


def _read(marker: Path) -> dict[str, Any]:
    return json.loads(marker.read_bytes())


def _place(root: Path, marker_inode: int) -> list[int]:
    return [root.stat().st_ino, marker_inode]


def _lock(lock: IO[str], root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        raise FolderError(
            f"a stack runs on {root} already (process {owner}): stop it first, or name another folder"
        ) from None


def _mark(root: Path) -> None:
    with contextlib.suppress(
        OSError
    ):  # a full disk; the number is only for the sentence
        (root / LOCK).write_text(f"{os.getpid()}\n")
    marker = root / MARKER
    if not marker.exists() or _read(marker).get("place") != _place(
        root, marker.stat().st_ino
    ):
        _replace(
            marker,
            lambda inode: (
                json.dumps({"schema": FORMAT, "place": _place(root, inode)}).encode()
                + b"\n"
            ),
        )


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file so that after a crash, of the machine too, either the old or the new bytes are there, whole."""
    _replace(path, lambda _inode: data)


def _replace(path: Path, content: Callable[[int], bytes]) -> None:
    """Replace a file durably; `content` is told the inode number that the file has from then on."""
    partial = path.with_name(path.name + ".new")
    with partial.open("wb") as out:
        out.write(content(os.fstat(out.fileno()).st_ino))
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system that cannot sync a folder
            os.fsync(folder)
    finally:
        os.close(folder)
