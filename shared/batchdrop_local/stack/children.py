"""Processes we start, none of which outlives us: they are stopped at the end, and killed by the kernel if we are.

One that dies meanwhile is noticed: `tend` starts it again when its state is on disk, else it says that all is over.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
STOP_SECONDS = 4.0
"""From asking until killing, for all children together."""
RESTARTS = 5
RESTART_SECONDS = 60.0
"""A child that died more often than RESTARTS within this time is given up."""
SHOWN_LINES = 8
SHOWN_BYTES = 4096

_running: list[subprocess.Popen[bytes]] = []


class ChildDiedError(Exception):
    """A child did not start, or died and cannot be started again; the message is for a person."""


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
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one ctypes call, no Python locks
            start_new_session=True,
        )
    _running.append(process)
    return process


def kill_all() -> None:
    """Kill every child of this process at once; for an end that waits for nothing."""
    for process in _running:
        with suppress(OSError):
            process.kill()


@dataclass
class Child:
    """A process of the stack; `again` is the command that starts it once more, None when its state dies with it."""

    name: str
    log: Path
    environment: Mapping[str, str] | None
    process: subprocess.Popen[bytes]
    again: Sequence[str] | None = None
    deaths: list[float] = field(default_factory=list[float])


def _say(line: str) -> None:
    print(line, flush=True)


class Children:
    """The processes of one stack, stopped together when the block ends."""

    def __init__(
        self,
        say: Callable[[str], None] = _say,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start nothing yet; `say` takes the lines that a person should see."""
        self._say = say
        self._monotonic = monotonic
        self._children: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a child; from the main thread only."""
        child = Child(
            name, log, environment, start(command, log=log, environment=environment)
        )
        self._children.append(child)
        return child

    def pid_of(self, name: str) -> int | None:
        """Return a child's process id, None when there is no such child."""
        return next(
            (child.process.pid for child in self._children if child.name == name), None
        )

    def tend(self) -> None:
        """Notice children that died: start them again, from the main thread.

        Raises:
            ChildDiedError: One died whose state died with it, or dies again and again.
        """
        for child in self._children:
            if child.process.poll() is not None:
                self._revive(child)

    def _revive(self, child: Child) -> None:
        now = self._monotonic()
        child.deaths = [at for at in child.deaths if now - at < RESTART_SECONDS] + [now]
        code, pid = child.process.returncode, child.process.pid
        died = f"{child.name} (process {pid}) ended with {code}{_last_lines(child.log)}"
        if child.again is None:
            raise ChildDiedError(
                f"{died}\nits memory held the state of this stack, so the stack ends"
            )
        if len(child.deaths) > RESTARTS:
            raise ChildDiedError(
                f"{died}\nit was started again {RESTARTS} times within a minute, so the stack ends"
            )
        self._say(f"{died}\n{child.name} is started again")
        child.process = start(child.again, log=child.log, environment=child.environment)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all children: ask, wait, then kill."""
        processes = [
            child.process
            for child in reversed(self._children)
            if child.process.poll() is None
        ]
        for process in processes:
            process.terminate()
        deadline = self._monotonic() + STOP_SECONDS
        for process in processes:
            stop(process, max(deadline - self._monotonic(), 0.0))


def stop(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """End a process: ask, wait, then kill."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_lines(log: Path) -> str:
    """Return what the child said last, to be shown behind a sentence."""
    try:
        with log.open("rb") as source:
            source.seek(0, 2)
            source.seek(max(source.tell() - SHOWN_BYTES, 0))
            lines = source.read().decode("utf-8", "replace").splitlines()[-SHOWN_LINES:]
    except OSError:
        lines = []
    shown = "".join(f"\n    {line}" for line in lines)
    return f"; the last lines of {log}:{shown}" if lines else f"; {log} is empty"
