"""A stack's folder on this machine: marked as made by us, and owned by one process at a time.

    batchdrop.json   the format of what lies in the folder
    lock             the number of the process that runs the stack; locked by flock(2) while it lives

The kernel lets the lock go when its process ends, however it ends: a lock that is held is never stale.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MARKER = "batchdrop.json"
LOCK = "lock"
FORMAT = "batchdrop.data/1"
_OURS = ("buckets", "state")
"""Folders by which data of a version without a marker is known."""


class FolderError(Exception):
    """The folder cannot be used; the message is a sentence for a person."""


@contextmanager
def owned(root: Path) -> Generator[None]:
    """Own a stack's folder while the block runs; an empty or new one is marked as ours.

    Raises:
        FolderError: Another process owns it, or it holds data of another format.
    """
    root.mkdir(parents=True, exist_ok=True)
    _check_format(root)
    with (root / LOCK).open("a+") as lock:
        _lock(lock, root)
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
            raise FolderError(f"{root} holds data of another version ({format}): move it away, or name another folder")
    elif any((root / name).exists() for name in _OURS):
        raise FolderError(f"{root} holds data of an older version: move it away, or name another folder")


def _format(marker: Path) -> str:
    try:
        return str(json.loads(marker.read_bytes())["schema"])
    except (ValueError, KeyError, TypeError):
        return "its batchdrop.json is damaged"


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
    with contextlib.suppress(OSError):  # a full disk; the number is only for the sentence
        (root / LOCK).write_text(f"{os.getpid()}\n")
    if not is_ours(root):
        write_durably(root / MARKER, json.dumps({"schema": FORMAT}).encode() + b"\n")


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file so that after a crash, of the machine too, either the old or the new bytes are there, whole."""
    partial = path.with_name(path.name + ".new")
    with partial.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system that cannot sync a folder
            os.fsync(folder)
    finally:
        os.close(folder)
