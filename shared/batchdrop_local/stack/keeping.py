"""Work that goes on in a thread until it is stopped: an error of one step is logged and never ends the thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from batchdrop.core.logs import log

PAUSE_SECONDS = 1.0
"""After a step that failed."""


def keep_doing(
    name: str, step: Callable[[], object], stopped: threading.Event, pause_seconds: float = PAUSE_SECONDS
) -> None:
    """Do a step again and again until stopped; the step itself waits for its next time.

    A thread that ended would take every later upload or message with it, and nobody would see it; so whatever a step
    raises is logged by its type, also when the log itself cannot be written (a full disk).
    """
    while not stopped.is_set():
        try:
            step()
        except Exception as error:  # noqa: BLE001 - see above
            with suppress(OSError):
                log("a step of the local stack failed", severity="ERROR", step=name, error=type(error).__name__)
            stopped.wait(pause_seconds)
