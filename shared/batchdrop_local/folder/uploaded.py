"""What was uploaded from the input folder: for each name the file's size and time of change, and the generation made.

The file lies beside the buckets, so it lives and goes with them. It is an index only: without it, or when it is
damaged, the objects in the bucket say what was uploaded (`inbox`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from batchdrop_local.folder.settling import Stamp
from batchdrop_local.stack.owning import write_durably

_Entries = dict[str, tuple[int, int, int]]
_entries: TypeAdapter[_Entries] = TypeAdapter(_Entries)


class Uploaded:
    """The notes of what was uploaded, kept in one JSON file."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        """Read the file; one that is damaged is replaced, which `say` is told."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._changed = False
        self._notes = _read(path, say)

    def knows(self, name: str, stamp: Stamp) -> bool:
        """True when the file was uploaded as it looks now."""
        note = self._notes.get(name)
        return note is not None and note[:2] == stamp

    def generation(self, name: str) -> int:
        """Return the generation that was made of a name last; 0: none that is known."""
        note = self._notes.get(name)
        return note[2] if note else 0

    def note(self, name: str, stamp: Stamp, generation: int) -> None:
        """Remember an upload; `save` makes it last."""
        self._notes[name] = (*stamp, generation)
        self._changed = True

    def save(self) -> None:
        """Write what is new to the disk; OSError when that cannot be, and the next call tries again."""
        if self._changed:
            write_durably(self._path, json.dumps(self._notes).encode())
            self._changed = False


def _read(path: Path, say: Callable[[str], None]) -> _Entries:
    if not path.exists():
        return {}
    try:
        return _entries.validate_json(path.read_bytes())
    except ValidationError:
        say(
            f"{path} is damaged: it is made again from what is in the input bucket; nothing there runs twice"
        )
        return {}
