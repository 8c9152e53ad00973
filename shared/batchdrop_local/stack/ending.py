"""Ctrl-C and the signals that mean the same: the first ends the stack within ten seconds, the second at once.

Whatever is under way is taken up at the next start, so an end that waits for nothing loses nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from batchdrop_local.stack import children

GRACE_SECONDS = 8.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals(code: int) -> Generator[None]:
    """Raise KeyboardInterrupt in the main thread at the first signal; leave with `code` when the end takes too long."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, leave)
        within_grace(code)
        raise KeyboardInterrupt

    def leave(_number: int, _frame: FrameType | None) -> None:
        leave_now(code)

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def within_grace(code: int) -> None:
    """Leave with `code` in a few seconds, whatever still runs then."""
    timer = threading.Timer(GRACE_SECONDS, leave_now, (code,))
    timer.daemon = True
    timer.start()


def leave_now(code: int) -> None:
    """Kill the children and end this process without waiting for any thread."""
    children.kill_all()
    os._exit(code)
