"""What the system tells of changes in a folder: files closed after writing, files renamed into place.

Events make decisions earlier and are never needed: without them (no more watches, a network folder) scanning does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from watchdog.events import (
    FileClosedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from batchdrop.core.logs import log


class Kind(Enum):
    """What happened to a file."""

    CLOSED = "closed"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Happened:
    """An event; the path is below the folder, as the system spells it."""

    kind: Kind
    path: str


class Watch:
    """A running observer, or none where the system has no more to give."""

    def __init__(self, folder: Path, take: Callable[[Happened], None]) -> None:
        """Begin to hand the events of a folder to `take`."""
        self._observer = Observer()
        self._observer.daemon = True
        self._observer.schedule(_Handler(folder, take), str(folder), recursive=True)
        try:
            self._observer.start()
        except OSError as error:
            log(
                "the input folder is scanned only",
                severity="WARNING",
                error=type(error).__name__,
            )

    def stop(self) -> None:
        """Stop observing."""
        if self._observer.is_alive():
            self._observer.stop()


class _Handler(FileSystemEventHandler):
    def __init__(self, folder: Path, take: Callable[[Happened], None]) -> None:
        super().__init__()
        self._folder = str(folder)
        self._take = take

    def on_closed(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileClosedEvent):
            self._tell(Kind.CLOSED, event.src_path)

    def on_moved(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileMovedEvent):
            self._tell(Kind.RENAMED, event.dest_path)

    def _tell(self, kind: Kind, path: bytes | str) -> None:
        self._take(Happened(kind, os.path.relpath(os.fsdecode(path), self._folder)))
