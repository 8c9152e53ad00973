"""Crashing a stack at any port call: before it or after it, once or twice, then letting it heal.

A crash is a BaseException, so nothing in the code can catch it: the message stays unacknowledged, the lease stays
taken, and whatever was done is done. Every run ends with the same checks.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import Leased, SqliteTopics
from batchdrop.core.clock import TimeLeft
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import Ledger
from batchdrop.core.state.job import Job
from batchdrop.ports import Collection, ObjectInfo, Provider
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop.steps.context import Context
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.harness import Stack, TestClock, assert_accounted, direct_provider, jsonl

NO_FAULTS = Faults()
K = TypeVar("K", bound="KillableStack")
Point = tuple[int, str]
"""The number of a port call, and whether the process dies `before` or `after` it."""


class Crash(BaseException):
    """The process is gone."""


class Gate(Protocol):
    """What every port call of a function goes through."""

    armed: bool

    def begin(self) -> None:
        """A function begins."""
        ...

    def pass_through(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Do the call, when and if at all."""
        ...


@dataclass
class Trap:
    """Counts port calls and kills at the chosen ones."""

    points: frozenset[Point] = frozenset()
    calls: list[str] = field(default_factory=list[str])
    starts: set[int] = field(default_factory=set[int])
    """The numbers of calls that are the first of their function."""
    armed: bool = True

    def begin(self) -> None:
        """A function begins with the next call."""
        self.starts.add(len(self.calls) + 1)

    def points_after(self, number: int) -> list[Point]:
        """Return the places a process can die at behind a call of this run, each state of the world once.

        Between two calls of a function nothing happens: to die after the one is to die before the other.
        """
        last = len(self.calls)
        ends = {call for call in range(1, last + 1) if call == last or call + 1 in self.starts}
        calls = range(number + 1, last + 1)
        return [(call, "before") for call in calls] + [(call, "after") for call in calls if call in ends]

    def pass_through(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Do a call, and die around it if this is the place."""
        if not self.armed:
            return call(*args, **options)
        self.calls.append(name)
        number = len(self.calls)
        if (number, "before") in self.points:
            raise Crash(name)
        result = call(*args, **options)
        if (number, "after") in self.points:
            raise Crash(name)
        return result


class Watched:
    """A port whose every method goes through the trap."""

    def __init__(self, port: Any, trap: Gate) -> None:
        self._port = port
        self._trap = trap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*args: Any, **options: Any) -> Any:
            result = self._trap.pass_through(f"{type(self._port).__name__}.{name}", found, *args, **options)
            return Watched(result, self._trap) if name == "create" and hasattr(result, "abort") else result

        return call

    def __enter__(self) -> Any:
        self._port.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not Crash:
            self._port.__exit__(*exc)


def _watched(provider: Provider, trap: Gate) -> Provider:
    """Return a provider whose every call goes through the trap."""
    ports = {name: getattr(provider, name) for name in ("batches", "inputs", "files", "caches", "tokens", "ask")}
    calls: dict[str, Any] = {name: Watched(port, trap) for name, port in ports.items() if port is not None}
    return dataclasses.replace(provider, **calls)


class KillableStack(Stack):
    """A stack whose functions work through watched ports; the driver itself is never killed."""

    trap: Gate
    hurried: bool = False

    def context(self, settings: type[Any]) -> Context[Any]:
        """Return a context on watched ports."""
        found = super().context(settings)
        if self.hurried and settings is SubmitSettings and not self._planned():
            found = dataclasses.replace(found, time_left=TimeLeft(self.clock, 0, 0))
        self.trap.begin()
        store = dataclasses.replace(found.store, documents=Watched(found.store.documents, self.trap))
        return dataclasses.replace(
            found,
            objects=Watched(found.objects, self.trap),
            store=store,
            topics=Watched(found.topics, self.trap),
            providers={name: _watched(provider, self.trap) for name, provider in found.providers.items()},
        )

    def _planned(self) -> bool:
        found = self.documents.query(queries.newest_jobs(1))
        return any(document.data["state"] not in ("RECEIVED", "PLANNING") for document in found)

    def handle(self, message: Leased) -> tuple[str, int]:
        """Handle a message; a crash is a missing answer."""
        try:
            return super().handle(message)
        except Crash:
            return "", 0

    def tick(self) -> None:
        """Tick; a crash ends it."""
        try:
            super().tick()
        except Crash:
            return

    def advance(self, seconds: float) -> None:
        """Move the one clock."""
        self.clock.ahead += timedelta(seconds=seconds)

    @contextmanager
    def at_peace(self) -> Generator[None]:
        """Look without counting."""
        before, self.trap.armed = self.trap.armed, False
        try:
            yield
        finally:
            self.trap.armed = before

    def find(self, job_id: str) -> Job | None:
        """Return a job, uncounted."""
        with self.at_peace():
            return super().find(job_id)

    def shards(self, job_id: str) -> list[Any]:
        """Return shards, uncounted."""
        with self.at_peace():
            return super().shards(job_id)


@dataclass(frozen=True)
class Scenario:
    """What is uploaded and how the world behaves."""

    name: str
    data: bytes
    faults: Faults = NO_FAULTS
    overrides: dict[str, Any] = field(default_factory=dict[str, Any])
    lose_event: bool = False
    hurried: bool = False
    """Until a job is planned, the time is over with each piece of work."""
    act: Callable[[KillableStack, ObjectInfo], None] | None = None
    """Something a user does while it runs."""
    ends: str = "DONE"
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """What lies in the input bucket besides."""
    same_bytes: bool = True
    """Answers follow from what is sent, and nothing in it is made anew in every run."""


LONG_CONVERSION = Scenario(
    "long conversion",
    jsonl(
        {"custom_id": str(number), "url": "/v1/responses", "body": {"model": "gpt-5", "input": "x"}}
        for number in range(5)
    ),
    overrides={"range_lines": 2},
    hurried=True,
)


def run(
    scenario: Scenario, gemini: GeminiEmulator, folder: Path, points: frozenset[Point]
) -> tuple[Trap, dict[str, bytes]]:
    """Run a scenario with crashes at the points; return the trap and the output, all checks passed."""
    trap = Trap(points)
    stack = killable(gemini, folder, trap, scenario.faults, scenario.overrides)
    stack.hurried = scenario.hurried
    info = begin(stack, scenario)
    if scenario.act is not None:
        scenario.act(stack, info)
    return trap, finish(stack, scenario, info)


def killable(
    gemini: GeminiEmulator,
    folder: Path,
    trap: Gate,
    faults: Faults,
    overrides: dict[str, Any],
    kind: type[K] = KillableStack,
) -> K:
    """Return an empty stack whose functions go through the trap."""
    CLOCK.ahead = timedelta()
    gemini.reset()
    gemini.faults = faults
    overrides, settings = SETTINGS.setdefault(repr(overrides), (overrides, {}))
    stack = kind(
        objects=DirectoryObjects(folder, CLOCK.now),
        documents=SqliteDocuments(":memory:"),
        topics=SqliteTopics(":memory:", min_backoff_seconds=0),
        provider=shared_provider(gemini),
        gemini=gemini,
        clock=CLOCK,
        overrides=overrides,
        settings=settings,
    )
    stack.trap = trap
    return stack


def begin(stack: KillableStack, scenario: Scenario) -> ObjectInfo:
    """Let the stack tick once, then upload."""
    with stack.at_peace():
        stack.tick()
        for name, data in scenario.objects.items():
            with stack.objects.create("input", name) as writer:
                writer.write(data)
                writer.close()
        if not scenario.lose_event:
            return stack.upload("team/a.jsonl", scenario.data)
        with stack.objects.create("input", "team/a.jsonl") as writer:
            writer.write(scenario.data)
            info = writer.close()
        stack.advance(1300)
        return info


def finish(stack: KillableStack, scenario: Scenario, info: ObjectInfo) -> dict[str, bytes]:
    """Run to the end; return the output without the manifest, all checks passed."""
    job = stack.run(info, rounds=5000)
    check(stack, job, scenario)
    return {name: data for name, data in stack.output(job).items() if name != "manifest.json"}


def check(stack: KillableStack, job: Job, scenario: Scenario) -> None:
    """Check every invariant of a stack at rest."""
    with stack.at_peace():
        for _ in range(3):
            stack.advance(1300)
            stack.tick()
            stack.deliver()
        assert job.state == scenario.ends, job.state
        assert_accounted(stack, job)
        reported = {shard.shard_id for shard in stack.shards(job.job_id) if shard.batch.duplicates}
        silent = [name for name in paid_twice(stack.gemini) if name.rpartition(".")[2] not in reported]
        assert not silent, f"paid twice and not reported: {silent}"
        for kind in (Collection.JOB, Collection.SHARD):
            left = [found.id for found in stack.documents.query(queries.due(kind, stack.clock.now(), 99))]
            assert not left, f"{kind} still due: {left}"
        for shard in stack.shards(job.job_id):
            assert shard.state.terminal, shard.state
        for document in stack.documents.query(queries.ledgers()):
            held = [name for name, entry in Ledger.model_validate(document.data).entries.items() if not entry.until]
            assert not held, f"reservations left: {held}"
        ended = [data for data, _ in stack.completions() if data.get("state") != "HELD"]
        assert ended, "no completion message"
        assert len({json.dumps(data, sort_keys=True) for data in ended}) == 1
        assert stack.objects.list("work").objects == ()
        assert stack.gemini.files() == [], "provider files left"
        assert stack.provider.list_caches().caches == (), "context caches left"


def paid_twice(gemini: GeminiEmulator) -> list[str]:
    """Return the display names that more than one batch was ever created with, also deleted ones."""
    found: list[str] = gemini.stats()["duplicate_display_names"]
    return found


CLOCK = TestClock(datetime(2026, 11, 23, 12, tzinfo=UTC))
"""One for all runs and for the emulator; every run starts at the same time."""

SETTINGS: dict[str, tuple[dict[str, Any], dict[tuple[type[Any], int], Any]]] = {}
"""The settings of all runs, by what they override: reading them takes a while."""


@cache
def shared_provider(gemini: GeminiEmulator) -> GeminiApi:
    """One client for all runs on an emulator: making one takes longer than a run."""
    return direct_provider(gemini)
