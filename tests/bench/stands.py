"""A stack to measure: the tests' stack on a temporary folder, the Gemini emulator in a process of its own.

Messages are handled one after the other in this process, so the seconds of each function can be told apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from batchdrop.core import logs
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.ports import Batch, ObjectInfo, Objects, Topic
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop_local.emulators.gemini import GeminiEmulator
from batchdrop_local.folder.notifying import notify
from batchdrop_local.stack.children import Children
from batchdrop_local.stack.stack import Options, gemini
from tests.bench.counting import Counted, Tally
from tests.harness import PUSHED, Stack, make_stack, wrapped

TIER = 3
"""The documented enqueued tokens of this tier hold every upload measured here at once."""
MODEL = "gemini-2.5-flash-lite"


@dataclass(frozen=True)
class Remote:
    """The emulator in another process, as far as a stack needs it."""

    url: str


class Spent(NamedTuple):
    """Seconds of the wall, and of this process on a processor: the second hardly depends on what others do."""

    wall: float
    cpu: float

    @classmethod
    def since(cls, begun: Spent) -> Spent:
        """Return what has passed since a moment."""
        now = cls.now()
        return cls(now.wall - begun.wall, now.cpu - begun.cpu)

    @classmethod
    def now(cls) -> Spent:
        """Return this moment."""
        return cls(time.perf_counter(), time.process_time())

    def least(self, other: Spent) -> Spent:
        """Return the less of each."""
        return Spent(min(self.wall, other.wall), min(self.cpu, other.cpu))


@dataclass
class Stand:
    """A stack, what its ports counted, and the seconds each function took."""

    stack: Stack
    root: Path
    tally: Tally = field(default_factory=Tally)
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    cpu: dict[str, float] = field(default_factory=dict[str, float])

    def put(self, chunks: Iterable[bytes], name: str = "bench/upload.jsonl") -> ObjectInfo:
        """Put an object into the input bucket, a request of its own whatever it holds; nobody is told."""
        with self.stack.objects.create("input", name, metadata={"again": name}) as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.close()

    def announce(self, info: ObjectInfo) -> None:
        """Publish the notification of an object."""
        notify(self.stack.topics, info)

    def deliver(self) -> None:
        """Handle every message and time it; nothing may be refused."""
        while message := next(filter(None, (self.stack.topics.lease(topic, 600) for topic in PUSHED)), None):
            begun = Spent.now()
            status = self.stack.handle(message)[1]
            self._spent("write" if message.topic is Topic.BATCHES_FINISHED else "submit", begun)
            if status != 204:
                raise RuntimeError(f"a message on {message.topic} was refused")
            self.stack.topics.ack(message)

    def tick(self) -> float:
        """Let the scheduler call once; return the seconds."""
        begun = Spent.now()
        self.stack.tick()
        return self._spent("poll", begun)

    def job(self, info: ObjectInfo) -> Job:
        """Return an upload's job, which must have ended well."""
        found = self.stack.find(names.job_id(info.bucket, info.name, info.generation))
        if found is None or found.verdict != "complete":
            raise RuntimeError(f"the job did not end well: {found}")
        return found

    def common(self) -> Any:
        """Return a context of no function in particular."""
        return self.stack.context(CommonSettings)

    def _spent(self, function: str, begun: Spent) -> float:
        spent = Spent.since(begun)
        self.seconds[function] = self.seconds.get(function, 0.0) + spent.wall
        self.cpu[function] = self.cpu.get(function, 0.0) + spent.cpu
        return spent.wall


@contextmanager
def folder() -> Generator[Path]:
    """A temporary folder below TMPDIR, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="batchdrop-bench-") as found:
        yield Path(found)


@contextmanager
def emulator(root: Path, faults: str = "") -> Generator[str]:
    """The Gemini emulator in a process of its own; its URL."""
    with Children() as children:
        yield str(gemini(children, Options(root=root, faults=faults)))


@contextmanager
def stand(*, faults: str = "", **overrides: Any) -> Generator[Stand]:
    """A stack whose ports are counted, until the block ends."""
    with folder() as root, emulator(root, faults) as url, (root / "log").open("w") as log, logs.to(log):
        plain = make_stack(root, cast(GeminiEmulator, Remote(url)), tier=TIER, **overrides)
        tally = Tally()
        ports: dict[str, Any] = {
            name: Counted(name, getattr(plain, name), tally) for name in ("objects", "documents", "topics", "provider")
        }
        yield Stand(wrapped(plain, **ports), root, tally)


def staged(objects: Objects, provider: GeminiApi, info: ObjectInfo) -> Spent:
    """Read an object and upload it as it is; return the seconds. The floor of intake."""
    begun = Spent.now()
    file = provider.stage(objects.read(info.bucket, info.name), size=info.size, name="floor").reference
    spent = Spent.since(begun)
    provider.delete_file(file)
    return spent


def downloaded(objects: Objects, provider: GeminiApi, batches: Iterable[Batch]) -> tuple[Spent, int]:
    """Download results and write them as they are; return seconds and bytes. The floor of writing."""
    size, begun = 0, Spent.now()
    for number, batch in enumerate(batches):
        with objects.create("floor", f"{number}-{time.monotonic_ns()}") as writer:
            for part in provider.results(batch):
                for chunk in part.chunks:
                    writer.write(chunk)
            size += writer.close().size
    spent = Spent.since(begun)
    for info in objects.list("floor").objects:
        objects.delete("floor", info.name)
    return spent, size
