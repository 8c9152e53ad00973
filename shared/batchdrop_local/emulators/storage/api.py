"""What all calls share: the objects, uploads under way, and what a test wants lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from batchdrop_local.emulators.http import Call, Json, RefusedError
from batchdrop_local.emulators.storage.bodies import number
from batchdrop_local.emulators.storage.resources import (
    Sums,
    described_as,
    resource,
    take_in,
)
from batchdrop_local.emulators.storage.store import ANY, Store, Stored

MD5_KEPT: Final = 10_000


class Log(Protocol):
    """Takes a line: its message is a constant, everything else a field."""

    def __call__(self, message: str, /, *, severity: str, **fields: str | int) -> None:
        """Write the line."""
        ...


class ReplyLostError(ConnectionAbortedError):
    """The connection is closed without an answer, as a test asked for."""


@dataclass(slots=True)
class Upload:
    """A resumable upload under way."""

    path: Path
    draft: Stored
    size: int = 0
    sums: Sums = field(default_factory=Sums)
    done: Stored | None = None
    """The object, once the upload has ended; a repeated last chunk is answered with it."""


class Api:
    """Everything the routes need. Thread-safe."""

    def __init__(
        self, folder: Path, on_finalize: Callable[[Stored], None] | None, log: Log
    ) -> None:
        """Open or make the folder."""
        self.store = Store(folder)
        self.log = log
        self.uploads: dict[str, Upload] = {}
        self.lost: Counter[str] = Counter()
        self._md5: dict[int, str] = {}
        self._on_finalize = on_finalize
        self._lock = threading.Lock()

    def draft(self, call: Call, bucket: str, body: Json) -> Stored:
        """Return the object that a description asks for, without bytes yet."""
        name = str(body.get("name") or call.query.get("name") or "")
        if not name:
            raise RefusedError(400, "Required parameter: name")
        return described_as(
            Stored(bucket, name, precondition(call), 0, "", self.store.now()), body
        )

    def insert(
        self, pieces: Iterator[bytes], draft: Stored, claimed: Json | None = None
    ) -> Stored:
        """Write an object's bytes, check them against what the client claims of them, make the object visible."""
        path = self.store.scratch()
        written, sums = take_in(path, pieces, draft)
        if not sums.agree(claimed or {}):
            path.unlink()
            raise RefusedError(400, "Provided checksum does not match the data.")
        stored = self.publish(path, written, sums)
        self.announce(stored, "insert")
        return stored

    def publish(self, path: Path, written: Stored, sums: Sums) -> Stored:
        """Make an object visible."""
        stored = self.store.publish(path, written)
        with self._lock:
            self._md5[stored.generation] = sums.text("md5Hash")
            if len(self._md5) > MD5_KEPT:
                del self._md5[next(iter(self._md5))]
        return stored

    def announce(self, stored: Stored, call: str) -> None:
        """Announce a new object, and lose the reply if a test asked for it."""
        if self._on_finalize is not None:
            self._on_finalize(stored)
        with self._lock:
            if not self.lost[call]:
                return
            self.lost[call] -= 1
        raise ReplyLostError

    def resource(self, stored: Stored, call: Call) -> Json:
        """Describe an object, with its MD5 if it was uploaded lately: gcloud compares it with what it sent."""
        md5 = self._md5.get(stored.generation)
        return resource(stored, call.base) | ({} if md5 is None else {"md5Hash": md5})


def precondition(call: Call) -> int:
    """Return the generation that a new object must replace; 0: none, ANY: whichever."""
    wanted = number(call, "ifGenerationMatch")
    return ANY if wanted is None else wanted
