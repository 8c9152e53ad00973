"""A function's archive: its `main.py`, its requirements and every file of the package, named by its content.

The digest covers names and bytes in sorted order, so the archive's name changes exactly when its content does, and a
clone and a wheel of the same commit make the same one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import batchdrop

PACKAGE = "batchdrop"
FUNCTION_FILES = ("main.py", "requirements.txt")


@dataclass(frozen=True, slots=True)
class SourceArchive:
    """Files by their names in the archive, and the digest of all of it."""

    files: dict[str, Path]
    digest: str


def installed_archive(entry: str) -> SourceArchive:
    """Collect the files of a function as this environment has them: from the clone, or from the installed wheel.

    Raises:
        FileNotFoundError: The function is neither in the clone nor in the wheel.
    """
    return source_archive(_functions() / entry, Path(batchdrop.__file__).parent)


def source_archive(function: Path, package: Path) -> SourceArchive:
    """Collect a function's files.

    Args:
        function: The folder with `main.py` and `requirements.txt`.
        package: The folder of the package `batchdrop`.

    Raises:
        FileNotFoundError: One of the two files is missing.
    """
    files = {name: function / name for name in FUNCTION_FILES}
    for path in package.rglob("*"):
        inside = path.relative_to(package)
        if path.is_file() and not _left_out(inside):
            files[f"{PACKAGE}/{inside.as_posix()}"] = path
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        data = path.read_bytes()
        digest.update(f"{len(name)} {name} {len(data)} ".encode() + data)
    return SourceArchive(dict(sorted(files.items())), digest.hexdigest())


def _left_out(inside: Path) -> bool:
    """True for what running or editing leaves beside the sources: compiled and hidden files."""
    return any(part == "__pycache__" or part.startswith(".") for part in inside.parts)


def _functions() -> Path:
    """Return the folder of the functions: beside this package in a wheel, at the root of a clone."""
    here = Path(__file__).resolve().parent
    packed = here / "functions"
    return packed if packed.is_dir() else here.parents[1] / "functions"
