"""Processes we start, none of which outlives us: they are stopped at the end, and killed by the kernel if we are."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
STOP_SECONDS = 10.0


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent's thread ends (Linux: prctl(2); elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a child whose output goes to a file.

    Raises:
        RuntimeError: Called from another thread than the main one, whose end would kill the child.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started from the main thread")
    with log.open("ab") as out:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one ctypes call, no Python locks
            start_new_session=True,
        )


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a child: ask, wait, then kill."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
