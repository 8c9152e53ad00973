"""A function's archive: its `main.py`, its requirements and the whole package, named by its content.

The digest covers names and bytes in sorted order, so the archive's name changes exactly when its content does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "batchdrop"


@dataclass(frozen=True, slots=True)
class SourceArchive:
    """Files by their names in the archive, and the digest of all of it."""

    files: dict[str, Path]
    digest: str


def source_archive(function: Path, package: Path) -> SourceArchive:
    """Collect a function's files.

    Args:
        function: The folder with `main.py` and `requirements.txt`.
        package: The folder of the package `batchdrop`.

    Raises:
        FileNotFoundError: One of the two files is missing.
    """
    files = {name: function / name for name in ("main.py", "requirements.txt")}
    for path in package.rglob("*.py"):
        files[f"{PACKAGE}/{path.relative_to(package).as_posix()}"] = path
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        data = path.read_bytes()
        digest.update(f"{len(name)} {name} {len(data)} ".encode() + data)
    return SourceArchive(dict(sorted(files.items())), digest.hexdigest())
