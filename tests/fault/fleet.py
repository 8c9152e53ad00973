"""The three functions as processes of functions-framework, which can be killed at any moment and come back."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from batchdrop_local.stack import children

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("submit", "poll", "write")
START_SECONDS = 30.0


class Fleet:
    """One process group for each function, at a port that stays the same when the process does not."""

    def __init__(self, logs: Path) -> None:
        """Start nothing yet."""
        self._logs = logs
        self._ports: dict[str, int] = dict(zip(NAMES, _free_ports(), strict=False))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.killed: dict[str, int] = dict.fromkeys(NAMES, 0)

    def url_of(self, name: str) -> str:
        """Return the address of one function."""
        return f"http://127.0.0.1:{self._ports[name]}/"

    def __enter__(self) -> Self:
        """Start all three and wait until they answer."""
        for name in NAMES:
            self._start(name)
        for name in NAMES:
            self._wait(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left."""
        for name in NAMES:
            self._end(name)

    def kill_one(self, chance: random.Random) -> str:
        """Kill one function with SIGKILL, whatever it is doing, and start it again at once; return its name."""
        name = chance.choice(NAMES)
        self._end(name)
        self.killed[name] += 1
        self._start(name)
        return name

    def revive(self) -> None:
        """Start again what ended by itself, as the platform does."""
        for name in NAMES:
            if self._running[name].poll() is not None:
                self._start(name)

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "functions_framework", "--target", name, "--host", "127.0.0.1"]
        command += ["--source", str(ROOT / "functions" / name / "main.py"), "--port", str(self._ports[name])]
        path = os.pathsep.join([str(ROOT / "shared"), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path}
        self._running[name] = children.start(command, log=self._logs / f"{name}.log", environment=environment)

    def _end(self, name: str) -> None:
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._ports[name])) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{name} did not start; see {self._logs / name}.log")


def _free_ports() -> Iterator[int]:
    """Yield free ports that the kernel gives to no outgoing connection while a function is down."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                yield port
