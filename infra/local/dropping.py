"""The input folder: a file copied into it is an upload, once it has stopped growing.

What was uploaded is remembered by size and time of change, so a restart uploads nothing twice and an overwritten
file is an upload of its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from batchdrop.core.errors import BatchdropError
from batchdrop.core.logs import log

SCAN_SECONDS = 0.5
Stamp = tuple[int, int]


class DropFolder:
    """Watches a folder and hands every new or changed file to `upload(path, name)`."""

    def __init__(self, folder: Path, memory: Path, upload: Callable[[Path, str], None]) -> None:
        """Watch `folder`; `memory` is the file that remembers what was uploaded."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._memory = memory
        self._upload = upload
        self._done: dict[str, Stamp] = _remembered(memory)
        self._seen: dict[str, Stamp] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="input folder", daemon=True)

    def __enter__(self) -> Self:
        """Begin watching."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the upload under way, then stop."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(SCAN_SECONDS):
            for path in sorted(self._folder.rglob("*")):
                try:
                    self._look(path)
                except (BatchdropError, OSError) as error:
                    log("input file could not be uploaded", severity="WARNING", error=type(error).__name__)

    def _look(self, path: Path) -> None:
        """Upload a file that looked the same at the last scan and was not uploaded like this."""
        if not path.is_file():
            return
        name = path.relative_to(self._folder).as_posix()
        stat = path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns)
        steady = self._seen.get(name) == stamp
        self._seen[name] = stamp
        if steady and self._done.get(name) != stamp:
            self._upload(path, name)
            self._done[name] = stamp
            partial = self._memory.with_suffix(".new")
            partial.write_text(json.dumps(self._done))
            partial.replace(self._memory)


def _remembered(memory: Path) -> dict[str, Stamp]:
    if not memory.exists():
        return {}
    entries: dict[str, list[int]] = json.loads(memory.read_text())
    return {name: (size, changed) for name, (size, changed) in entries.items()}
