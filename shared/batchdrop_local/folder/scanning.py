"""What lies in the input folder, and what of it can be an object: any name, any depth, whatever vanishes meanwhile.

Links are never followed: who may write into the folder must not read, with our rights, what lies outside.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from batchdrop.core.limits import limit
from batchdrop_local.folder.settling import Stamp

UNFINISHED: Final = (
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".filepart",
    ".tmp",
)
"""What browsers and copying programs append until a file is whole; they rename it then."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something in the folder; `problem` says why it cannot be an upload."""

    parts: tuple[str, ...]
    """Its path below the folder, as the system spells it."""
    stamp: Stamp = (0, 0)
    identity: tuple[int, int] = (0, 0)
    problem: str = ""

    @property
    def path(self) -> str:
        """The path below the folder."""
        return "/".join(self.parts)


class NotRegularError(OSError):
    """What was a file a moment ago is something else now."""


def scan(folder: Path) -> Iterator[Found]:
    """Yield everything below a folder that is not hidden or unfinished, in order of names, folder by folder."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        try:
            with os.scandir(folder.joinpath(*parts)) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            continue  # removed since its parent was listed
        except OSError as error:
            yield Found(parts, problem=f"cannot be listed ({error.strerror})")
            continue
        for entry in listed:
            inside = (*parts, entry.name)
            if entry.name.startswith(".") or entry.name.lower().endswith(UNFINISHED):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(inside)
            else:
                yield from _file(entry, inside)


def _file(entry: os.DirEntry[str], parts: tuple[str, ...]) -> Iterator[Found]:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return  # gone since it was listed
    problem = _problem(found, parts)
    yield Found(parts, stamp_of(found), (found.st_dev, found.st_ino), problem)


def _problem(found: os.stat_result, parts: tuple[str, ...]) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "is a link, and links are not followed: copy the file itself"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    try:
        name = object_name(parts)
    except UnicodeDecodeError:
        return "has a name that is not UTF-8: rename it"
    size, most = len(name.encode()), limit("object_name")
    if size > most:
        return (
            f"would have a name of {size:,} bytes in the bucket, which takes {most:,}:"
            " move it up or shorten its name"
        )
    if "\n" in name or "\r" in name:
        return "has a line break in its name, which no bucket takes: rename it"
    return ""


def object_name(parts: tuple[str, ...]) -> str:
    """Return the object's name, whatever encoding the system takes names to be in; UnicodeDecodeError if none."""
    return os.fsencode("/".join(parts)).decode("utf-8")


def stamp_of(found: os.stat_result) -> Stamp:
    """Return by what a change of a file is seen."""
    return (found.st_size, found.st_mtime_ns)


def shown(path: str) -> str:
    """Return a path that any terminal can show."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in path
    )


@contextmanager
def opened(folder: Path, parts: tuple[str, ...]) -> Generator[BinaryIO]:
    """Open a file below a folder, following no link on the way.

    Raises:
        OSError: It is gone, may not be read, or became a link or something that is no file (NotRegularError).
    """
    with ExitStack() as held:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        held.callback(os.close, place)
        for part in parts[:-1]:
            place = os.open(
                part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place
            )
            held.callback(os.close, place)
        descriptor = os.open(
            parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place
        )
        source = held.enter_context(os.fdopen(descriptor, "rb"))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError("not a regular file")
        yield source
