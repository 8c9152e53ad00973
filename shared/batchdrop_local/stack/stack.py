"""The topology of the cloud on one machine, in two forms with the same code path.

embedded    one process: a folder, SQLite, a pusher; nothing but Python
emulators   Google's Pub/Sub and Firestore emulators and a local Cloud Storage server

file --> input bucket --event--> uploads --push--> submit --> Gemini (an emulator, or the real one)
^ shards           ^
scheduler --every second--> poll -----+------------------+--> batches-finished --> write --> output
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.core.errors import ConfigurationError
from batchdrop.core.settings import CommonSettings, load
from batchdrop.ports import ObjectInfo, Objects, Topic
from batchdrop.steps.context import Context
from batchdrop.steps.take_over import take_over
from batchdrop.wiring import build
from batchdrop_local.folder.dropping import DropFolder
from batchdrop_local.folder.inbox import Inbox
from batchdrop_local.folder.settling import QUIET_SECONDS
from batchdrop_local.folder.uploaded import Uploaded
from batchdrop_local.stack import functions
from batchdrop_local.stack.children import ChildDiedError, Children
from batchdrop_local.stack.owning import FolderError, owned
from batchdrop_local.stack.pusher import pushing
from batchdrop_local.stack.ticking import FIRST_SECONDS, nothing_open, ticking

ROUTES = {
    Topic.UPLOADS: "submit",
    Topic.SHARDS: "submit",
    Topic.BATCHES_FINISHED: "write",
    Topic.LOOKS: "poll",
}
START_SECONDS = 30.0
GEMINI = "the Gemini emulator"
EMULATOR_KEY = "emulator"
LOCATION = "europe-west4"
"""Of an emulated service: any will do."""


def _say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Options:
    """What a local stack is started with."""

    root: Path
    """Its folder: `input/` to drop files into, `buckets/`, `state/`, `logs/`."""
    moved: bool = False
    """The folder looks like a copy, and somebody says that it is the only one there is."""
    provider: str = "gemini"
    """Which service answers: gemini, or vertex (`answering`), which has an emulator only."""
    live: bool = False
    """Use the real Gemini API with GEMINI_API_KEY instead of the emulator."""
    gemini_url: str = ""
    """An emulator that runs already; empty: one is started."""
    gemini_port: int = 0
    functions_port: int = 0
    tick_seconds: float = 1.0
    quiet_seconds: float = QUIET_SECONDS
    """How long a file of the input folder that was seen to grow must rest."""
    faults: str = ""
    """JSON for the emulator's faults at its start."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """More `BATCHDROP_*` variables."""
    say: Callable[[str], None] = _say
    """Takes the lines that a person should see."""


@dataclass(frozen=True)
class Stack:
    """A running stack as the command line and the tests see it."""

    context: Context[CommonSettings]
    environment: Mapping[str, str]
    url_of: Callable[[str], str]
    """The address of a function."""
    gemini_url: str | None
    children: Children
    input_folder: Path
    notifies: bool
    """True when the bucket itself announces new objects."""

    @property
    def gemini_pid(self) -> int | None:
        """The Gemini emulator's process."""
        return self.children.pid_of(GEMINI)

    @property
    def inbox(self) -> Inbox:
        """The input bucket."""
        return Inbox(self.context, self.notifies)

    def upload(
        self, path: Path, name: str, metadata: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Copy a file into the input bucket, replacing what has its name; the stack runs it."""
        there = self.context.objects.stat(self.context.settings.input_bucket, name)
        with path.open("rb") as source:
            return self.inbox.put(
                source, name, metadata, generation=there.generation if there else 0
            )


@contextmanager
def embedded(options: Options) -> Generator[Stack]:
    """Run the stack on a folder and SQLite until the block ends.

    Raises:
        FolderError: Another process runs a stack on the folder, it is a copy, or its data is of another format.
        ChildDiedError: The Gemini emulator did not start.
    """
    root = options.root
    with ExitStack() as running:
        running.enter_context(owned(root, moved=options.moved))
        children = running.enter_context(Children(options.say))
        gemini_url = gemini(children, options)
        buckets = DirectoryObjects(root / "buckets")
        variables = {
            **variables_of(options, gemini_url),
            **running.enter_context(answering(options, buckets)),
            "BATCHDROP_LOCAL_DIR": str(root),
        }
        export(running, variables)
        context = build(load(CommonSettings))
        begin_alone(context, restored=options.moved)
        serving = running.enter_context(functions.served(options.functions_port))
        routes = {topic: partial(serving.post, name) for topic, name in ROUTES.items()}
        running.enter_context(pushing(context.topics, routes))
        idle = partial(nothing_open, context)
        running.enter_context(
            ticking(
                serving.url_of("poll"),
                options.tick_seconds,
                idle=idle,
                first_seconds=FIRST_SECONDS,
            )
        )
        stack = Stack(
            context,
            variables,
            serving.url_of,
            gemini_url,
            children,
            root / "input",
            notifies=False,
        )
        running.enter_context(dropping(stack, options).watched())
        yield stack


def begin_alone(context: Context[CommonSettings], *, restored: bool) -> None:
    """Take over what a dead stack held: the lock of the folder says that nobody else is there.

    Raises:
        FolderError: The stack's identity is damaged.
    """
    try:
        take_over(context, restored=restored)
    except ConfigurationError as error:
        raise FolderError(error.sentence) from None
    if isinstance(context.topics, SqliteTopics):
        context.topics.hand_back()


def dropping(stack: Stack, options: Options) -> DropFolder:
    """Return the watched input folder of a stack; what was uploaded is noted beside the buckets."""
    uploaded = Uploaded(
        options.root / "buckets" / ".batchdrop" / "uploaded.json", options.say
    )
    return DropFolder(
        stack.input_folder,
        stack.inbox,
        uploaded,
        say=options.say,
        quiet_seconds=options.quiet_seconds,
    )


def variables_of(options: Options, gemini_url: str | None) -> dict[str, str]:
    """Return the variables every stack sets."""
    found = dict(options.settings)
    if gemini_url is not None:
        found |= {
            "BATCHDROP_GEMINI_BASE_URL": gemini_url,
            "GEMINI_API_KEY": EMULATOR_KEY,
        }
    return found


@contextmanager
def answering(options: Options, objects: Objects) -> Generator[dict[str, str]]:
    """Let Vertex AI's emulator answer until the block ends, if it is wanted; return the variables that say so."""
    if options.provider != "vertex":
        yield {}
        return
    from batchdrop_local.emulators.vertex import VertexEmulator
    from batchdrop_local.emulators.vertex.faults import Faults, decode
    from batchdrop_local.stack.agent import Agent

    faults = decode(options.faults) if options.faults else Faults()
    folder = options.root / "vertex"
    with VertexEmulator(
        data_dir=folder, storage=Agent(objects), faults=faults
    ) as vertex:
        instance = {
            "kind": "vertex",
            "location": LOCATION,
            "base_url": vertex.url,
            "facts": {"settle_apart": 1},
        }
        yield {"BATCHDROP_PROVIDERS": json.dumps({"vertex_ai": instance})}


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


def gemini(children: Children, options: Options) -> str | None:
    """Start the Gemini emulator as a process of its own, and return its URL; None when another answers."""
    if options.live or options.provider != "gemini":
        return None
    if options.gemini_url:
        return options.gemini_url
    root = options.root
    port_file = root / "state" / "gemini.port"
    port_file.parent.mkdir(parents=True, exist_ok=True)
    port_file.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "batchdrop_local.emulators.gemini",
        "--data",
        str(root / "gemini"),
    ]
    command += ["--faults", options.faults] if options.faults else []
    log = root / "logs" / "gemini.log"
    first = [
        *command,
        "--port",
        str(options.gemini_port),
        "--port-file",
        str(port_file),
    ]
    child = children.start(GEMINI, first, log=log, environment=_python_path())
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if port_file.exists() and (port := port_file.read_text().strip()):
            child.again = [*command, "--port", port]
            return f"http://127.0.0.1:{port}"
        if child.process.poll() is not None:
            break
        time.sleep(0.02)
    raise ChildDiedError(f"{GEMINI} did not start; see {log}")


def _python_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
