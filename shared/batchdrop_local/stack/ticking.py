"""The scheduler on one machine: calls `poll` again and again, never two at a time, and seldom while nothing is open.

An upload needs no tick to begin: it is pushed. Whether anything is open is asked as often as ticks would come, so a
tick is never later than it was for what needs one.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import queries
from batchdrop.ports import Collection
from batchdrop.steps.context import Context
from batchdrop_local.stack.keeping import keep_doing

DEADLINE_SECONDS = 300.0
IDLE_SECONDS: Final = 15.0
"""Between two ticks while nothing is open: for sweeps, and the heartbeat every five minutes."""
_AGES: Final = timedelta(days=3650)
"""Everything that has a next step is due within this time."""


def nothing_open(context: Context[CommonSettings]) -> bool:
    """Tell whether no job and no shard has a next step."""
    end, records = context.now() + _AGES, context.store.documents
    return not any(records.query(queries.due(kind, end, 1)) for kind in (Collection.JOB, Collection.SHARD))


class Scheduler:
    """Posts to a URL every so many seconds until stopped."""

    def __init__(
        self, url: str, seconds: float, *, idle: Callable[[], bool], idle_seconds: float = IDLE_SECONDS
    ) -> None:
        """Start nothing yet.

        Args:
            url: Of `poll`.
            seconds: Between two ticks.
            idle: Tells whether nothing is open; ticks are `idle_seconds` apart then.
            idle_seconds: How long a sweep may be late.
        """
        self._url = url
        self._seconds = seconds
        self._idle = idle
        self._idle_seconds = idle_seconds
        self._ticked: float | None = None
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
        now = time.monotonic()
        if self._ticked is not None and now < self._ticked + self._idle_seconds and self._idle():
            return
        self._ticked = now
        request = urllib.request.Request(self._url, data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS):
            pass
