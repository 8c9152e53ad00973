"""The input folder: a file that is put into it is an upload, once it is written to its end.

    scan, every half second and after an event --> settled? --> upload --> note

Nothing that lies in the folder stops the rest: what cannot be an upload is refused with a sentence, once; what fails
is tried again after a pause that grows.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from batchdrop.core.clock import SystemClock
from batchdrop.core.errors import BatchdropError
from batchdrop.core.logs import log
from batchdrop.ports import Clock
from batchdrop_local.folder.events import Happened, Kind, Watch
from batchdrop_local.folder.inbox import Inbox
from batchdrop_local.folder.scanning import Found, object_name, opened, scan, shown
from batchdrop_local.folder.settling import QUIET_SECONDS, Seen
from batchdrop_local.folder.uploaded import Uploaded
from batchdrop_local.folder.writers import Identity, open_for_writing
from batchdrop_local.stack.keeping import kept_up

SCAN_SECONDS: Final = 0.5
SCAN_SHARE: Final = 10
"""A scan that takes long is followed by a pause of so many times its length."""
FIRST_PAUSE_SECONDS: Final = 1.0
LAST_PAUSE_SECONDS: Final = 60.0


class DropFolder:
    """Watches a folder and uploads every new or changed file."""

    def __init__(
        self,
        folder: Path,
        inbox: Inbox,
        uploaded: Uploaded,
        *,
        say: Callable[[str], None],
        quiet_seconds: float = QUIET_SECONDS,
        clock: Clock | None = None,
        written: Callable[[], frozenset[Identity]] = open_for_writing,
    ) -> None:
        """Watch nothing yet.

        Args:
            folder: The input folder.
            inbox: Where its files go.
            uploaded: What went there before.
            say: Takes the lines that a person should see.
            quiet_seconds: How long a file that was seen to grow must rest.
            clock: The time.
            written: Tells which files are open for writing.
        """
        self._written = written
        self._folder = folder
        self._inbox = inbox
        self._uploaded = uploaded
        self._say = say
        self._quiet_seconds = quiet_seconds
        self._clock = clock or SystemClock()
        self._seen: dict[str, Seen] = {}
        self._told: dict[str, str] = {}
        self._pauses: dict[str, tuple[float, float]] = {}
        """Of files that failed: until when they rest, and how long the next rest is."""
        self._events: deque[Happened] = deque()
        self._wake = threading.Event()
        self._stopped = threading.Event()

    @contextmanager
    def watched(self) -> Generator[None]:
        """Watch until the block ends; an upload under way is finished."""
        self._folder.mkdir(parents=True, exist_ok=True)
        watch = Watch(self._folder, self.happened)
        with kept_up({"input folder": self._step}, self._stopped, self._wake.set):
            try:
                yield
            finally:
                watch.stop()

    def happened(self, event: Happened) -> None:
        """Take an event of the file system; they only make a decision earlier, none is needed."""
        self._events.append(event)
        self._wake.set()

    def look(self) -> None:
        """Scan once and upload what has settled."""
        self._folder.mkdir(parents=True, exist_ok=True)
        events = self._taken_events()
        present: set[str] = set()
        written: frozenset[Identity] | None = None
        for found in scan(self._folder):
            if self._stopped.is_set():
                break
            present.add(found.path)
            if self._is_waiting(found, events):
                written = self._written() if written is None else written
                if found.identity not in written:
                    self._try(found)
        else:
            self._forget_all_but(present)
        self._uploaded.save()

    def _forget_all_but(self, present: set[str]) -> None:
        for known in (self._seen, self._told, self._pauses):
            for path in known.keys() - present:
                del known[path]

    def _step(self) -> None:
        begun = time.monotonic()
        self.look()
        self._wake.clear()
        if not self._events:
            self._wake.wait(max(SCAN_SECONDS, SCAN_SHARE * (time.monotonic() - begun)))

    def _taken_events(self) -> dict[str, list[Kind]]:
        taken: dict[str, list[Kind]] = {}
        while self._events:
            event = self._events.popleft()
            taken.setdefault(event.path, []).append(event.kind)
        return taken

    def _is_waiting(self, found: Found, events: dict[str, list[Kind]]) -> bool:
        """Tell whether a file is to be uploaded now, as far as its looks say."""
        if found.problem:
            self._tell(found.path, found.problem, "REFUSED")
            return False
        now = self._clock.monotonic()
        seen = self._seen.setdefault(found.path, Seen(found.stamp, now))
        seen.looked(found.stamp, now)
        for kind in events.get(found.path, ()):
            seen.closes += kind is Kind.CLOSED
            seen.renamed = seen.renamed or kind is Kind.RENAMED
        if self._uploaded.knows(object_name(found.parts), found.stamp):
            return False
        resting = now < self._pauses.get(found.path, (0.0, 0.0))[0]
        age = self._clock.now().timestamp() - found.stamp[1] / 1e9
        return not resting and seen.settled(now, age, self._quiet_seconds)

    def _try(self, found: Found) -> None:
        try:
            self._upload(found)
        except FileNotFoundError:
            return  # it vanished: nothing to upload
        except BatchdropError as error:
            self._failed(found, error.sentence, error.code)
        except sqlite3.Error as error:
            self._failed(found, str(error), type(error).__name__)
        except OSError as error:
            self._failed(
                found, error.strerror or type(error).__name__, type(error).__name__
            )
        else:
            self._pauses.pop(found.path, None)
            self._told.pop(found.path, None)

    def _upload(self, found: Found) -> None:
        name = object_name(found.parts)
        with opened(self._folder, found.parts) as source:
            before = os.fstat(source.fileno())
            if (before.st_size, before.st_mtime_ns) != found.stamp:
                return  # it grew since the scan; the next one sees that
            info, was_there = self._inbox.bring(
                source, name, known=self._uploaded.generation(name)
            )
        self._uploaded.note(name, found.stamp, info.generation)
        seen = self._seen[found.path]
        seen.changes = seen.closes = 0
        seen.renamed = False
        if was_there:
            self._say(
                f"{shown(found.path)} is in the bucket already, byte for byte; touch it to run it again"
            )

    def _failed(self, found: Found, reason: str, code: str) -> None:
        _, pause = self._pauses.get(found.path, (0.0, FIRST_PAUSE_SECONDS))
        self._pauses[found.path] = (
            self._clock.monotonic() + pause,
            min(2 * pause, LAST_PAUSE_SECONDS),
        )
        self._tell(
            found.path, f"could not be uploaded and is tried again: {reason}", code
        )

    def _tell(self, path: str, sentence: str, code: str) -> None:
        """Say once what is the matter with a file; its name stands on the terminal, not in the log."""
        if self._told.get(path) != sentence:
            self._told[path] = sentence
            self._say(f"{shown(path) or 'the input folder'} {sentence}")
            with suppress(OSError):
                log("input file is not uploaded", severity="WARNING", code=code)
