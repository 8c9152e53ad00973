"""The scheduler on one machine: calls `poll` again and again, never two at a time."""

from __future__ import annotations

import threading
import urllib.request
from types import TracebackType
from typing import Self

from batchdrop_local.stack.keeping import keep_doing

DEADLINE_SECONDS = 300.0


class Scheduler:
    """Posts to a URL every so many seconds until stopped."""

    def __init__(self, url: str, seconds: float) -> None:
        """Start nothing yet."""
        self._url = url
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=keep_doing, args=("tick", self._tick, self._stopped), name="scheduler", daemon=True
        )

    def __enter__(self) -> Self:
        """Begin ticking."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the running tick end, then stop."""
        self._stopped.set()
        self._thread.join()

    def _tick(self) -> None:
        if self._stopped.wait(self._seconds):
            return
        request = urllib.request.Request(self._url, data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS):
            pass
