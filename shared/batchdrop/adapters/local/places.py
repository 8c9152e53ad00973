"""Places: where the bytes of an object stand in a folder, under a name that a person can read.

<root>/<bucket>/<name>                the object's own name, as far as a file system takes it
<root>/<bucket>/<name>~<generation>   when that place is taken
<root>/<bucket>/~<generation>         when a file stands where one of its folders would be
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from batchdrop.core.codes import Code
from batchdrop.core.errors import TransientError

LINK_TRIES: Final = 20
MAX_COMPONENT_BYTES: Final = 200
"""Most file systems allow 255 bytes."""
_FORBIDDEN: Final = '/\\:*?"<>|%'
"""Characters that some file system does not take, and the one that stands for them."""


def place(root: Path, written: Path, bucket: str, name: str, generation: int) -> str:
    """Link a written file to the first place that is free; return the place, below the root.

    Raises:
        TransientError: OBJECTS_BUSY, all places were taken, or folders vanished again and again.
    """
    for candidate in _candidates(bucket, name, generation):
        if _linked(written, root / candidate):
            return str(candidate)

    raise TransientError("the object could not be placed", code=Code.OBJECTS_BUSY)


def _candidates(bucket: str, name: str, generation: int) -> Iterator[Path]:
    """Yield the places an object's bytes can have, the readable one first."""
    parts = [component(part) for part in name.split("/")]
    readable = Path(bucket, *parts)
    yield readable
    yield readable.with_name(f"{parts[-1]}~{generation}")
    yield Path(bucket, f"~{generation}")


def _linked(written: Path, target: Path) -> bool:
    """Link a file to a place; False when it is taken."""
    for _ in range(LINK_TRIES):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(written, target)
        except FileNotFoundError:
            continue  # a delete just removed the folder, empty as it was
        except (FileExistsError, NotADirectoryError):
            return False
        return True
    return False


def remove(root: Path, file: str) -> None:
    """Remove a file that no name points to, and the folders it leaves empty, but never a bucket's."""
    path = root / file
    path.unlink(missing_ok=True)

    for folder in path.parents:
        if folder.parent == root:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def component(part: str) -> str:
    """Return a path component that every file system takes; it need not be reversible, the index knows the name."""
    if part in ("", ".", ".."):
        return f"%{part.encode().hex()}"

    safe = "".join(map(_safe, part))
    encoded = safe.encode("utf-8", "surrogateescape")
    if len(encoded) <= MAX_COMPONENT_BYTES:
        return safe

    short = encoded[: MAX_COMPONENT_BYTES - 20].decode("utf-8", "ignore")
    return f"{short}~{secrets.token_hex(4)}"


def _safe(char: str) -> str:
    if char.isprintable() and char not in _FORBIDDEN:
        return char
    return quote(char, safe="")
