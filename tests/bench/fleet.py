"""The services on a virtual clock: each row of the services table with its instances, pushed to, and a tick a minute.

A message that finds no free instance waits, one that is not acknowledged comes again. One request an instance at a
time; the number of instances is the program's default unless the row says another.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import Leased
from batchdrop.core.clock import TimeLeft
from batchdrop.core.settings import CommonSettings
from batchdrop.handling import answered, on_poll, on_submit, on_tick, on_write
from batchdrop.ports import Provider, Topic
from batchdrop.providers.gemini.api import GeminiApi, gemini
from batchdrop.steps.context import Context
from batchdrop.store import Store
from batchdrop_local.folder.notifying import notify
from batchdrop_local.stack.pusher import envelope
from batchdrop_pulumi.services import SERVICES, Service
from tests.bench.counting import PARTS
from tests.bench.far import SECONDS, Far, Writes
from tests.bench.virtual import Schedule

INSTANCES: Final = 10
"""`max_instances` of the program."""
PUSH_SECONDS: Final = 0.05
"""Assumed, from a publish to the push."""
AGAIN_SECONDS: Final = 10.0
"""Least backoff of a push subscription."""
TICK_SECONDS: Final = 60.0
REST_SECONDS: Final = 600.0
"""Ticks go on so long after the last upload."""
HANDLERS: Final[Mapping[str, Callable[[Context[Any], bytes], None]]] = {
    "submit": on_submit,
    "poll": on_poll,
    "write": on_write,
}
PUSHED: Final[Mapping[Topic, Service]] = {topic: service for service in SERVICES for topic in service.pushed}


class Fleet:
    """All functions of a stack, driven by a schedule."""

    def __init__(self, root: Path, provider: GeminiApi, clock: Schedule, settings: Mapping[str, Any]) -> None:
        self.writes = Writes()
        self.done: dict[str, float] = {}
        """When the completion of an object's job was published, by the object's name."""
        self.begun: dict[str, float] = {}
        self._clock = clock
        self._topics: Any = self
        """A stack only publishes."""
        self._objects = DirectoryObjects(root / "buckets", clock.now)
        self._documents = SqliteDocuments(":memory:")
        self._provider = gemini(provider, settings["tier"])
        self._settings = {service.name: _settings(service.settings, settings) for service in SERVICES}
        self._busy: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[Leased]] = defaultdict(deque)
        self._published = 0
        self._tick()

    def upload(self, seconds: float, name: str, data: bytes) -> None:
        """Let an object come into the input bucket in so many seconds."""

        def put() -> None:
            self.begun[name] = self._clock.seconds
            with self._objects.create("input", name) as writer:
                writer.write(data)
                info = writer.close()
            notify(self._topics, info)

        self._clock.after(seconds, put)

    def median_seconds(self) -> float:
        """Return the median from an upload to its completion."""
        return statistics.median(at - self.begun[name] for name, at in self.done.items())

    # ------------------------------------------------------------------------------------------ Topics
    def publish(self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        """Let the message be pushed soon, or note that a job has ended."""
        self._clock.sleep(SECONDS["topics.publish"])
        self._published += 1
        if topic is Topic.JOBS_COMPLETED:
            self.done[(attributes or {})["object"]] = self._clock.seconds
        elif topic in PUSHED:
            message = Leased(self._published, topic, data, attributes or {}, self._clock.now(), 1)
            self._clock.after(PUSH_SECONDS, lambda: self._push(message))
        return str(self._published)

    def _push(self, message: Leased) -> None:
        """Handle a message, and then those that waited for the instance."""
        service = PUSHED[message.topic]
        self._waiting[service.name].append(message)
        if self._busy[service.name] >= (service.instances or INSTANCES):
            return
        self._busy[service.name] += 1
        while self._waiting[service.name]:
            self._handle(service, self._waiting[service.name].popleft())
        self._busy[service.name] -= 1

    def _handle(self, service: Service, message: Leased) -> None:
        body = json.dumps(envelope(message)).encode()
        handle = HANDLERS[service.entry]
        if answered(lambda: handle(self._context(service.name), body))[1] != 204:
            again = replace(message, attempt=message.attempt + 1)
            self._clock.after(AGAIN_SECONDS, lambda: self._push(again))

    def _tick(self) -> None:
        """Tick now and again each minute, as long as something may have to end."""
        if self.begun.keys() - self.done.keys() or self._clock.seconds < REST_SECONDS:
            self._clock.after(TICK_SECONDS, self._tick)
        if self._clock.seconds:
            answered(lambda: on_tick(self._context("poll")))

    def _context(self, name: str) -> Context[Any]:
        settings, clock = self._settings[name], self._clock
        documents: Any = Far("documents", self._documents, clock, self.writes)
        objects: Any = Far("objects", self._objects, clock, self.writes)
        return Context(
            settings=settings,
            objects=objects,
            store=Store(documents, clock.pause, settings.record_days),
            topics=self._topics,
            providers={"gemini": self._far(self._provider)},
            clock=clock,
            time_left=TimeLeft.start(clock, settings.call_seconds),
        )

    def _far(self, provider: Provider) -> Provider:
        parts = {name: getattr(provider, name) for name in PARTS}
        far: dict[str, Any] = {
            name: Far("provider", part, self._clock, self.writes) for name, part in parts.items() if part
        }
        return replace(provider, **far)


def _settings(kind: type[CommonSettings], overrides: Mapping[str, Any]) -> CommonSettings:
    return kind(**{name: value for name, value in overrides.items() if name in kind.model_fields})
