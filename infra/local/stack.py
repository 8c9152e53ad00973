"""The topology of the cloud on one machine, in two forms with the same code path.

embedded    one process: a folder, SQLite, a pusher; nothing but Python
emulators   Google's Pub/Sub and Firestore emulators and a local Cloud Storage server

file --> input bucket --event--> uploads --push--> submit --> Gemini (an emulator, or the real one)
^ shards           ^
scheduler --every second--> poll -----+------------------+--> batches-finished --> write --> output
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from batchdrop.core.limits import MIB
from batchdrop.core.settings import CommonSettings, load
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.usecases.context import Context
from batchdrop.wiring import build
from infra.local import children
from infra.local.dropping import DropFolder
from infra.local.functions import Functions
from infra.local.notifying import notify
from infra.local.pusher import Pusher
from infra.local.ticking import Scheduler

ROUTES = {Topic.UPLOADS: "submit", Topic.SHARDS: "submit", Topic.BATCHES_FINISHED: "write"}
START_SECONDS = 30.0


@dataclass(frozen=True)
class Options:
    """What a local stack is started with."""

    root: Path
    """Its folder: `input/` to drop files into, `buckets/`, `state/`, `logs/`."""
    live: bool = False
    """Use the real Gemini API with GEMINI_API_KEY instead of the emulator."""
    gemini_port: int = 0
    functions_port: int = 0
    tick_seconds: float = 1.0
    faults: str = ""
    """JSON for the emulator's faults at its start."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """More `BATCHDROP_*` variables."""


@dataclass(frozen=True)
class Stack:
    """A running stack as the command line and the tests see it."""

    context: Context[CommonSettings]
    environment: Mapping[str, str]
    url_of: Callable[[str], str]
    """The address of a function."""
    gemini_url: str | None
    gemini_pid: int | None
    input_folder: Path
    notifies: bool
    """True when the bucket itself announces new objects."""

    def upload(self, path: Path, name: str, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Copy a file into the input bucket, replacing what has its name; the stack runs it."""
        context = self.context
        bucket = context.settings.input_bucket
        there = context.objects.stat(bucket, name)
        generation = there.generation if there else 0
        with context.objects.create(
            bucket, name, if_generation_match=generation, metadata=dict(metadata or {})
        ) as writer:
            for chunk in _chunks(path):
                writer.write(chunk)
            info = writer.close()
        if not self.notifies:
            notify(context.topics, info)
        return info


@contextmanager
def embedded(options: Options) -> Generator[Stack]:
    """Run the stack on a folder and SQLite until the block ends."""
    root = options.root
    with ExitStack() as running:
        gemini_url, pid = gemini_process(running, options)
        variables = variables_of(options, gemini_url) | {"BATCHDROP_LOCAL_DIR": str(root)}
        export(running, variables)
        context = build(load(CommonSettings))
        functions = running.enter_context(Functions(options.functions_port))
        routes = {topic: functions.url_of(name) for topic, name in ROUTES.items()}
        running.enter_context(Pusher(context.topics, routes))
        running.enter_context(Scheduler(functions.url_of("poll"), options.tick_seconds))
        folder = root / "input"
        stack = Stack(context, variables, functions.url_of, gemini_url, pid, folder, notifies=False)
        running.enter_context(dropping(stack, root))
        yield stack


def dropping(stack: Stack, root: Path) -> DropFolder:
    """Return the watched input folder of a stack."""

    def upload(path: Path, name: str) -> None:
        stack.upload(path, name)

    return DropFolder(stack.input_folder, root / "state" / "uploaded.json", upload)


def variables_of(options: Options, gemini_url: str | None) -> dict[str, str]:
    """Return the variables every stack sets."""
    found = dict(options.settings)
    if gemini_url is not None:
        found |= {"BATCHDROP_GEMINI_BASE_URL": gemini_url, "GEMINI_API_KEY": "emulator"}
    return found


def export(running: ExitStack, variables: Mapping[str, str]) -> None:
    """Set environment variables until the stack stops: the functions read them as in the cloud."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)

    def restore() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    running.callback(restore)


def gemini_process(running: ExitStack, options: Options) -> tuple[str | None, int | None]:
    """Start the Gemini emulator as a process of its own, unless the real API is wanted."""
    if options.live:
        return None, None
    root = options.root
    port_file = root / "state" / "gemini.port"
    port_file.parent.mkdir(parents=True, exist_ok=True)
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "infra.local.gemini", "--port", str(options.gemini_port)]
    command += ["--data", str(root / "gemini"), "--port-file", str(port_file)]
    command += ["--faults", options.faults] if options.faults else []
    log = root / "logs" / "gemini.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    child = children.start(command, log=log, environment=_python_path())
    running.callback(children.stop, child)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if port_file.exists() and (port := port_file.read_text().strip()):
            return f"http://127.0.0.1:{port}", child.pid
        if child.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"the Gemini emulator did not start; see {log}")


def _python_path() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, str(Path(root) / "shared")])}


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(MIB):
            yield chunk
