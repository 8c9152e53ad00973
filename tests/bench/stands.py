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
from typing import Any, cast

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


@dataclass
class Stand:
    """A stack, what its ports counted, and the seconds each function took."""

    stack: Stack
    root: Path
    tally: Tally = field(default_factory=Tally)
    seconds: dict[str, float] = field(default_factory=dict[str, float])

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
            begun = time.perf_counter()
            status = self.stack.handle(message)[1]
            self._spent("write" if message.topic is Topic.BATCHES_FINISHED else "submit", begun)
            if status != 204:
                raise RuntimeError(f"a message on {message.topic} was refused")
            self.stack.topics.ack(message)

    def tick(self) -> float:
        """Let the scheduler call once; return the seconds."""
        begun = time.perf_counter()
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

    def _spent(self, function: str, begun: float) -> float:
        seconds = time.perf_counter() - begun
        self.seconds[function] = self.seconds.get(function, 0.0) + seconds
        return seconds


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


def staged(objects: Objects, provider: GeminiApi, info: ObjectInfo) -> float:
    """Read an object and upload it as it is; return the seconds. The floor of intake."""
    begun = time.perf_counter()
    file = provider.stage(objects.read(info.bucket, info.name), size=info.size, name="floor").reference
    seconds = time.perf_counter() - begun
    provider.delete_file(file)
    return seconds


def downloaded(objects: Objects, provider: GeminiApi, batches: Iterable[Batch]) -> tuple[float, int]:
    """Download results and write them as they are; return seconds and bytes. The floor of writing."""
    size, begun = 0, time.perf_counter()
    for number, batch in enumerate(batches):
        with objects.create("floor", f"{number}-{time.monotonic_ns()}") as writer:
            for part in provider.results(batch):
                for chunk in part.chunks:
                    writer.write(chunk)
            size += writer.close().size
    seconds = time.perf_counter() - begun
    for info in objects.list("floor").objects:
        objects.delete("floor", info.name)
    return seconds, size
