"""A Cloud Storage server on loopback for unmodified clients: gcloud, google-cloud-storage in Python and JavaScript.

It speaks the JSON API (cloud.google.com/storage/docs/json_api; `routes` lists the addresses) and hands every new
object to `on_finalize`. Replies can be lost on purpose, to see what a client makes of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from batchdrop_local.emulators.http import Answer, Call, Server
from batchdrop_local.emulators.storage.api import Api, Log
from batchdrop_local.emulators.storage.routes import answer
from batchdrop_local.emulators.storage.store import Stored


def to_stderr(message: str, /, *, severity: str, **fields: str | int) -> None:
    """Write a line of the log."""
    sys.stderr.write(
        json.dumps({"severity": severity, "message": message, **fields}) + "\n"
    )


class StorageEmulator:
    """The server in background threads of this process; `with` starts it."""

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        on_finalize: Callable[[Stored], None] | None = None,
        log: Log = to_stderr,
    ) -> None:
        """Bind the port; serve while the block runs."""
        self._api = Api(data_dir, on_finalize, log)
        self._server = Server(port, self._answer, "storage")
        self._running = ExitStack()

    @property
    def url(self) -> str:
        """The value of STORAGE_EMULATOR_HOST."""
        return self._server.url

    def dated_by(self, now: Callable[[], datetime]) -> None:
        """Let a clock date new objects."""
        self._api.store.now = now

    def lose_replies(self, call: str, times: int = 1) -> None:
        """Do the next calls of a kind (`insert`, `rewrite`), then close the connection without an answer."""
        self._api.lost[call] = times

    def wait(self) -> None:
        """Serve until interrupted."""
        self._server.stopped.wait()

    def _answer(self, call: Call) -> Answer:
        return answer(self._api, call)

    def __enter__(self) -> Self:
        """Begin serving."""
        self._running.callback(self._api.store.close)
        self._running.enter_context(self._server.serving())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self._running.close()
