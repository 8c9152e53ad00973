"""The scheduler on one machine: calls `poll` again and again, never two at a time."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager

from batchdrop_local.stack.keeping import kept_up

DEADLINE_SECONDS = 300.0


@contextmanager
def ticking(url: str, seconds: float) -> Generator[None]:
    """Post to a URL every so many seconds until the block ends."""
    stopped = threading.Event()

    def tick() -> None:
        if stopped.wait(seconds):
            return
        request = urllib.request.Request(url, data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS):
            pass

    with kept_up({"scheduler": tick}, stopped):
        yield
