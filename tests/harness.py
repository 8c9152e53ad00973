"""A whole stack without threads: every message is handled in turn, and the clock is the test's.

The steps run on the embedded adapters or on those of the cloud (`tests.emulated`) and, over real HTTP, on the
Gemini emulator. Nothing sleeps: when no message is left the scheduler ticks, and when a tick does nothing the clock
goes on to what is due next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from batchdrop.adapters.cloud.gcs import GcsObjects
from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import Leased, SqliteTopics
from batchdrop.core.clock import TimeLeft
from batchdrop.core.settings import CommonSettings, PollSettings, SubmitSettings, WriteSettings
from batchdrop.core.state import names, queries
from batchdrop.core.state.job import Job
from batchdrop.core.state.messages import Uploaded
from batchdrop.core.state.shard import Shard
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.known.spoken import SPOKEN
from batchdrop.handling import Response, answered, on_poll, on_submit, on_tick, on_write
from batchdrop.ports import (
    Batch,
    BatchKind,
    Collection,
    Documents,
    Intent,
    ObjectInfo,
    Objects,
    Provider,
    Topic,
    Topics,
)
from batchdrop.providers.gemini.api import GeminiApi, gemini
from batchdrop.steps.context import Context
from batchdrop.steps.plan.receive import receive
from batchdrop.store import Store
from batchdrop_local.emulators.gemini import GeminiEmulator
from batchdrop_local.folder.notifying import notify
from batchdrop_local.stack.pusher import envelope
from tests.emulated import Emulated

NOWHERE = GcsObjects("nobody")
"""Buckets for what is built and never looks at them: connections open when they are first used."""
PUSHED = (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.LOOKS)
Row = dict[str, Any]


class TestClock:
    """Real time plus what the test added; or, from a start on, the same in each run: every look takes a microsecond."""

    __test__ = False

    def __init__(self, start: datetime | None = None) -> None:
        self.start = start
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Return the wall clock of the test."""
        if self.start is None:
            return datetime.now(UTC) + self.ahead
        self.ahead += timedelta(microseconds=1)
        return self.start + self.ahead

    def still(self) -> float:
        """Return the seconds of a clock with a start; looking takes no time."""
        assert self.start is not None
        return (self.start + self.ahead).timestamp()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self.now().timestamp()

    def pause(self, least: float, most: float) -> None:
        """Let the shortest time go by, without waiting for it."""
        del most
        self.ahead += timedelta(seconds=least)


class Broker(Topics, Protocol):
    """Topics with the ends of a queue, so that a test decides when a message is handled."""

    def lease(self, topic: Topic, seconds: float) -> Leased | None:
        """Take one message that is ready."""
        ...

    def ack(self, message: Leased) -> None:
        """Take the message as done."""
        ...

    def nack(self, message: Leased) -> None:
        """Let the message come again after a pause."""
        ...

    def messages(self, topic: Topic) -> list[Leased]:
        """Return the messages of a topic nobody consumes, oldest first."""
        ...


@dataclass
class Stack:
    """Ports, settings and the means to drive them."""

    objects: Objects
    documents: Documents
    topics: Broker
    provider: GeminiApi
    gemini: GeminiEmulator
    clock: TestClock
    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])
    answers: list[Response] = field(default_factory=list[Response])
    settings: dict[tuple[type[Any], int], Any] = field(default_factory=dict[tuple[type[Any], int], Any])
    providers: Mapping[str, Provider] = field(default_factory=dict[str, Provider])
    """Those the stack has instead of Gemini."""
    languages: Mapping[str, Dialect] = field(default_factory=lambda: SPOKEN)

    def context(self, settings: type[Any]) -> Context[Any]:
        """Return a fresh context of one function; its settings are read once, as an instance does."""
        key = (settings, id(self.overrides))
        if key not in self.settings:
            names = settings.model_fields.keys() - {"call_seconds"}
            known = {name: value for name, value in self.overrides.items() if name in names}
            self.settings[key] = settings(**known)
        found: CommonSettings = self.settings[key]
        return Context(
            settings=found,
            objects=self.objects,
            store=Store(self.documents, self.clock.pause, found.record_days),
            topics=self.topics,
            providers=self.providers or {"gemini": gemini(self.provider, found.tier)},
            clock=self.clock,
            time_left=TimeLeft.start(self.clock, self.overrides.get("call_seconds", found.call_seconds)),
            languages=self.languages,
        )

    # ------------------------------------------------------------------------------------------ driving
    def upload(self, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Put an object into the input bucket and announce it."""
        there = self.objects.stat("input", name)
        generation = there.generation if there else 0
        with self.objects.create("input", name, if_generation_match=generation, metadata=metadata) as writer:
            writer.write(data)
            info = writer.close()
        notify(self.topics, info)
        return info

    def handle(self, message: Leased) -> Response:
        """Hand one message to its function, as a push does."""
        body = json.dumps(envelope(message)).encode()
        if message.topic is Topic.BATCHES_FINISHED:
            return answered(lambda: on_write(self.context(WriteSettings), body))
        if message.topic is Topic.LOOKS:
            return answered(lambda: on_poll(self.context(PollSettings), body))
        return answered(lambda: on_submit(self.context(SubmitSettings), body))

    def deliver(self) -> int:
        """Handle every message that is ready, nacked ones once; return how many there were."""
        for count in range(100_000):
            message = next(filter(None, (self.topics.lease(topic, 600) for topic in PUSHED)), None)
            if message is None:
                return count
            response = self.handle(message)
            self.answers.append(response)
            if response[1] == 204:
                self.topics.ack(message)
            else:
                self.topics.nack(message)
        raise AssertionError("messages never end")

    def tick(self) -> None:
        """Let the scheduler call once."""
        self.answers.append(answered(lambda: on_tick(self.context(PollSettings))))

    def advance(self, seconds: float) -> None:
        """Move the clocks of the stack and of the provider."""
        self.clock.ahead += timedelta(seconds=seconds)
        self.gemini.advance(seconds)

    def to_noon(self) -> None:
        """Go on to the next noon (UTC): what is said of one day must not begin at the end of it."""
        now = self.clock.now()
        noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
        self.advance(((noon - now) % timedelta(days=1)).total_seconds())

    def run(self, info: ObjectInfo, *, until: Callable[[Job], bool] | None = None, rounds: int = 400) -> Job:
        """Drive the stack until the upload's job has ended and said so; return the job."""
        done = until or _finished
        job_id = names.job_id(info.bucket, info.name, info.generation)
        for _ in range(rounds):
            before = self._versions()
            self.deliver()
            found = self.find(job_id)
            if found is not None and done(found):
                return found
            self.tick()
            self.deliver()
            if before == self._versions():
                self._skip()
        raise AssertionError(f"the job did not end: {self.find(job_id)}; {self.shards(job_id)}")

    def _skip(self) -> None:
        """Go on to the next time something is due, or a minute."""
        now = self.clock.now()
        due = [
            moment
            for kind in (Collection.JOB, Collection.SHARD)
            for document in self.documents.query(queries.due(kind, now + timedelta(days=30), 1))
            if isinstance(moment := document.index["due_at"], datetime)
        ]
        wait = min((moment - now for moment in due), default=timedelta(minutes=1))
        self.advance(min(max(wait.total_seconds(), 1.0), 60.0))

    def _versions(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for document in self.documents.query(queries.newest_jobs(1000)):
            found.append((document.id, document.version))
            found += [(shard.id, shard.version) for shard in self.documents.query(queries.shards_of(document.id))]
        return sorted(found)

    # ------------------------------------------------------------------------------------------ looking
    def find(self, job_id: str) -> Job | None:
        """Return a job."""
        stored = self.context(CommonSettings).store.job(job_id)
        return None if stored is None else stored.value

    def shards(self, job_id: str) -> list[Shard]:
        """Return a job's shards."""
        return [entry.value for entry in self.context(CommonSettings).store.shards(queries.shards_of(job_id))]

    def manifest(self, job: Job) -> Row:
        """Return a job's manifest."""
        bucket, _, name = str(job.manifest).partition("/")
        found: Row = json.loads(b"".join(self.objects.read(bucket, name)))
        return found

    def output(self, job: Job) -> dict[str, bytes]:
        """Return the bytes of a job's output objects by their names below the job's folder."""
        prefix = names.output_prefix(job.source.object, job.job_id)
        page = self.objects.list("output", prefix=prefix, page_size=10_000)
        return {
            info.name.removeprefix(prefix): b"".join(self.objects.read("output", info.name)) for info in page.objects
        }

    def rows(self, job: Job, what: str = "") -> list[Row]:
        """Return a job's rows of a kind (results, errors, rejections), or all, in the order of parts and lines."""
        found = self.output(job)
        return [
            json.loads(line)
            for name in sorted(found)
            if name.startswith(what) and name.endswith(".jsonl")
            for line in found[name].split(b"\n")
            if line
        ]

    def find_by(self, info: ObjectInfo) -> Job:
        """Return an upload's job."""
        found = self.find(names.job_id(info.bucket, info.name, info.generation))
        assert found is not None
        return found

    def find_or_none(self, info: ObjectInfo) -> Job | None:
        """Return an upload's job, if it has one."""
        return self.find(names.job_id(info.bucket, info.name, info.generation))

    def objects_info(self, job: Job) -> ObjectInfo:
        """Return a job's upload."""
        info = self.objects.stat(job.source.bucket, job.source.object)
        assert info is not None
        return info

    def context_store_is_empty(self) -> bool:
        """Tell whether no job was made."""
        return not self.documents.query(queries.newest_jobs(1))

    def announce(self, info: ObjectInfo) -> None:
        """Deliver an upload's notification again."""
        notify(self.topics, info)

    def receive_only(self, info: ObjectInfo) -> None:
        """Make an upload's record and do nothing more with it."""
        receive(self.context(SubmitSettings), Uploaded(info.bucket, info.name, info.generation))

    def deliver_one(self) -> None:
        """Handle one upload's notification."""
        message = self.topics.lease(Topic.UPLOADS, 600)
        assert message is not None
        assert self.handle(message)[1] == 204
        self.topics.ack(message)

    def want(self, info: ObjectInfo, what: str) -> None:
        """Ask for something as the command line does."""
        context = self.context(CommonSettings)
        stored = context.store.job(self.find_by(info).job_id)
        assert stored is not None
        context.store.change(stored, lambda job: job.asked(context.now(), what))
        context.wake(Topic.SHARDS, stored.value.job_id)

    def completions(self) -> list[tuple[Row, Mapping[str, str]]]:
        """Return data and attributes of the messages about ended jobs."""
        return [(json.loads(entry.data), entry.attributes) for entry in self.topics.messages(Topic.JOBS_COMPLETED)]


def _finished(job: Job) -> bool:
    return job.state.terminal and job.cleaned


def make_stack(folder: Path, gemini: GeminiEmulator, **overrides: Any) -> Stack:
    """Return a stack on a folder and an emulator."""
    clock = TestClock()
    return Stack(
        objects=DirectoryObjects(folder / "buckets", clock.now),
        documents=SqliteDocuments(folder / "records.sqlite"),
        topics=SqliteTopics(folder / "topics.sqlite"),
        provider=GeminiApi(lambda: "a key", gemini.url, pause=clock.pause),
        gemini=gemini,
        clock=clock,
        overrides=overrides,
    )


def make_emulated(ports: Emulated, gemini: GeminiEmulator, **overrides: Any) -> Stack:
    """Return a stack on the adapters of the cloud and an emulator of Gemini."""
    clock = TestClock()
    ports.server.dated_by(clock.now)
    return Stack(
        objects=ports.objects,
        documents=ports.documents,
        topics=ports.topics,
        provider=GeminiApi(lambda: "a key", gemini.url, pause=clock.pause),
        gemini=gemini,
        clock=clock,
        overrides=overrides,
    )


def direct_provider(gemini: GeminiEmulator) -> GeminiApi:
    """Return the adapter on an emulator without sockets between them: for tests that make thousands of runs."""
    import httpx2

    key = {"x-goog-api-key": "a key"}
    http = httpx2.Client(transport=gemini.direct(), follow_redirects=True, headers=key)
    return GeminiApi(lambda: "a key", gemini.url, http=http, pause=lambda _least, _most: None)


def wrapped(stack: Stack, **ports: Any) -> Stack:
    """Return the same stack with some ports replaced."""
    return replace(stack, **ports)


def create_by_hand(stack: Stack, name: str, file: str | None = None) -> str:
    """Create a batch as somebody else does, or a worker that was thought dead; return the provider's name of it."""
    data = lines("x")
    staged = file or stack.provider.stage([data], size=len(data), name="by hand").reference
    made = stack.provider.create(Intent(name, "gemini-2.5-flash-lite", BatchKind.GENERATE, staged, requests=1))
    assert isinstance(made, Batch)
    return made.name


def request(text: str, **config: Any) -> Row:
    """Return a request body."""
    body: Row = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return body | ({"generationConfig": config} if config else {})


def lines(*texts: str, **config: Any) -> bytes:
    """Return an upload of one request for each text, keyed `k1`, `k2`, …"""
    entries = ({"key": f"k{number}", "request": request(text, **config)} for number, text in enumerate(texts, 1))
    return jsonl(entries)


def jsonl(entries: Iterable[object]) -> bytes:
    """Return JSON lines."""
    return b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)


def assert_accounted(stack: Stack, job: Job) -> None:
    """Check the promise: every non-blank line has exactly one row, in order, and the manifest says the same."""
    rows = stack.rows(job)
    numbers = sorted(row["line"] for row in rows)
    assert len(numbers) == len(set(numbers)), "a line has two rows"
    counts = job.counts
    assert counts.results + counts.errors + counts.rejections == counts.lines - counts.blank == len(rows)
    for what in ("results", "errors", "rejections"):
        listed = [row["line"] for row in stack.rows(job, what)]
        assert listed == sorted(listed), f"{what} are out of order"
        assert len(listed) == getattr(counts, what)
    assert stack.manifest(job)["counts"] == job.counts.model_dump(mode="json")
