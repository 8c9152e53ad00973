"""Work that goes on in a thread until it is stopped: an error of one step is logged and never ends the thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from batchdrop.core.logs import log
from batchdrop_local.threads import in_threads

PAUSE_SECONDS = 1.0
"""After a step that failed."""


def _nothing() -> None:
    return


@contextmanager
def kept_up(
    steps: Mapping[str, Callable[[], object]],
    stopped: threading.Event,
    wake: Callable[[], object] = _nothing,
) -> Generator[None]:
    """Keep doing each step in a thread of its own until the block ends; a step under way is let end.

    Args:
        steps: What to do again and again, by the names of the threads.
        stopped: Set at the end; the steps look at it where they wait.
        wake: Ends their waits for anything else.
    """

    def stop() -> None:
        stopped.set()
        wake()

    with in_threads(
        {
            name: partial(keep_doing, name, step, stopped)
            for name, step in steps.items()
        },
        stop,
    ):
        yield


def keep_doing(
    name: str,
    step: Callable[[], object],
    stopped: threading.Event,
    pause_seconds: float = PAUSE_SECONDS,
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
                log(
                    "a step of the local stack failed",
                    severity="ERROR",
                    step=name,
                    error=type(error).__name__,
                )
            stopped.wait(pause_seconds)
