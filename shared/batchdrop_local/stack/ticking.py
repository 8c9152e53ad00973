"""The scheduler on one machine: calls `poll` again and again, never two at a time, and seldom while nothing is open.

An upload needs no tick to begin: it is pushed. Whether anything is open is asked as often as ticks would come, so a
tick is never later than it was for what needs one. What has just been opened may end soon, so the first ticks come
close together:

    nothing open | first | | |  |   |    |     |      |  seconds  |           |           |
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import queries
from batchdrop.ports import Collection
from batchdrop.steps.context import Context
from batchdrop_local.stack.keeping import kept_up

DEADLINE_SECONDS = 300.0
FIRST_SECONDS: Final = 0.1
"""From one look at an embedded stack to the next while nothing is open; two queries of a file, 0.2 ms."""
_GROWTH: Final = 1.5
IDLE_SECONDS: Final = 15.0
"""Between two ticks while nothing is open: for sweeps, and the heartbeat every five minutes."""
_AGES: Final = timedelta(days=3650)
"""Everything that has a next step is due within this time."""


def nothing_open(context: Context[CommonSettings]) -> bool:
    """Tell whether no job and no shard has a next step."""
    end, documents = context.now() + _AGES, context.store.documents
    return not any(
        documents.query(queries.due(kind, end, 1))
        for kind in (Collection.JOB, Collection.SHARD)
    )


@contextmanager
def ticking(
    url: str,
    seconds: float,
    *,
    idle: Callable[[], bool],
    first_seconds: float | None = None,
    idle_seconds: float = IDLE_SECONDS,
) -> Generator[None]:
    """Post to a URL every so many seconds until the block ends; a tick under way is let end.

    Args:
        url: Of `poll`.
        seconds: Between two ticks.
        idle: Tells whether nothing is open; ticks are `idle_seconds` apart then.
        first_seconds: Between the first ticks after something was opened, growing to `seconds`; None: `seconds`.
        idle_seconds: How long a sweep may be late.
    """
    stopped = threading.Event()
    first = seconds if first_seconds is None else min(first_seconds, seconds)
    pause, due_at = first, time.monotonic()

    def tick() -> None:
        nonlocal pause, due_at
        if stopped.wait(pause):
            return
        now, nothing = time.monotonic(), idle()
        pause = first if nothing else min(_GROWTH * pause, seconds)
        if nothing and now < due_at:
            return
        due_at = now + idle_seconds
        request = urllib.request.Request(url, data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS):
            pass

    with kept_up({"scheduler": tick}, stopped):
        yield
