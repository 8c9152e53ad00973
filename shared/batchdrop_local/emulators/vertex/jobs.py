"""Batch prediction jobs: creating, looking, cancelling, deleting.

A job has no thread: its state follows from the clock, its creation and the faults frozen with it. What it has exported
by then is written when somebody next asks for it.

    created --pending_seconds--> PENDING --running_seconds--> RUNNING --> end_state    (72 h queued: EXPIRED)
                    cancel --> CANCELLING --cancel_seconds--> CANCELLED, unless it ended before
"""

from __future__ import annotations

import math
import secrets
import threading
import zlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from batchdrop_local.emulators.gemini.batches import TERMINAL, State
from batchdrop_local.emulators.gemini.faults import POISON
from batchdrop_local.emulators.gemini.lines import lines
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.gemini.wire import ApiError, stamp
from batchdrop_local.emulators.vertex.export import Exporter
from batchdrop_local.emulators.vertex.faults import Faults
from batchdrop_local.emulators.vertex.labels import check_labels
from batchdrop_local.emulators.vertex.storage import Storage, parsed

EXPIRY_SECONDS: Final = 72 * 3600
"""In the queue (guide "Batch inference with Gemini", read in a stored copy 2026-11-23)."""
MAX_REQUESTS: Final = 200_000
MAX_BYTES: Final = 10**9
"""Of the input (same page)."""


class Source(msgspec.Struct, rename="camel"):
    """Where the addresses of the input stand."""

    uris: list[str] = []


class Input(msgspec.Struct, rename="camel"):
    """Where a job's requests are."""

    instances_format: str = ""
    gcs_source: Source = msgspec.field(default_factory=Source)


class Destination(msgspec.Struct, rename="camel"):
    """Where the address of the output stands."""

    output_uri_prefix: str = ""


class Output(msgspec.Struct, rename="camel"):
    """Where a job's rows go."""

    predictions_format: str = ""
    gcs_destination: Destination = msgspec.field(default_factory=Destination)


class Wanted(msgspec.Struct, rename="camel"):
    """The body of a create call."""

    model: str = ""
    display_name: str = ""
    input_config: Input = msgspec.field(default_factory=Input)
    output_config: Output = msgspec.field(default_factory=Output)
    labels: dict[str, str] = {}


class Job(msgspec.Struct, frozen=True):
    """A stored job; `content` is the name of the file that holds its input."""

    name: str
    model: str
    created: float
    content: str
    source: str
    destination: str
    display_name: str
    labels: dict[str, str]
    faults: Faults
    requests: int = 0
    failed: int = 0
    broken: str = ""
    """Why the input cannot be run."""
    cancel_asked: float = 0.0
    forced: str = ""
    forced_at: float = 0.0
    exported: str = ""
    """Up to which moment of its life its rows are written: running, ended, all."""

    @property
    def directory(self) -> str:
        """The address of the folder its output goes to."""
        folder = f"prediction-{self.model}-{stamp(self.created)}"
        return f"{self.destination.rstrip('/')}/{folder}"

    @property
    def parent(self) -> str:
        """Its project and location."""
        return self.name.partition("/batchPredictionJobs/")[0]


def state_of(job: Job, now: float) -> State:
    """Return the state at a time; a pure function, so nothing has to run for a job to go on."""
    if job.forced:
        return State(job.forced, job.forced_at)
    faults, running = job.faults, job.created + job.faults.pending_seconds
    last = State(_end_word(job), running + faults.running_seconds)
    if faults.hold_state or running > job.created + EXPIRY_SECONDS:
        last = State("EXPIRED", job.created + EXPIRY_SECONDS)
    if faults.hold_state not in ("", "PENDING", "RUNNING"):
        last = State(faults.hold_state, math.inf)
    cancelled = job.cancel_asked + faults.cancel_seconds
    if job.cancel_asked and cancelled < last.since:
        last = State("CANCELLED", cancelled)
    if now >= last.since:
        return last
    if job.cancel_asked:
        return State("CANCELLING", job.cancel_asked)
    if faults.hold_state:
        return State(faults.hold_state, job.created)
    return State("PENDING", job.created) if now < running else State("RUNNING", running)


def _end_word(job: Job) -> str:
    return "FAILED" if job.broken else job.faults.end_state


class Jobs:
    """All jobs of all locations. Thread-safe."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        now: Callable[[], float],
        faults: Callable[[], Faults],
    ) -> None:
        """Take what jobs read from and write to."""
        self._store = store
        self._storage = storage
        self._now = now
        self._faults = faults
        self._lock = threading.RLock()
        self._exporter = Exporter(store, storage)
        self.made: list[Job] = []
        """Jobs created since the start, also deleted ones, oldest first: what was paid for."""

    def create(self, parent: str, wanted: Wanted) -> Job:
        """Create a job from one input object.

        Raises:
            ApiError: 400, it is not asked for as documented.
        """
        source = _checked(wanted)
        faults, number = self._faults(), secrets.randbelow(9 * 10**18) + 10**18
        draft = Job(
            name=f"{numbered(parent)}/batchPredictionJobs/{number}",
            model=wanted.model.rpartition("/")[2],
            created=self._now(),
            content=f"job-{number}",
            source=source,
            destination=wanted.output_config.gcs_destination.output_uri_prefix,
            display_name=wanted.display_name,
            labels=wanted.labels,
            faults=faults,
        )
        job = self._with_input(draft)
        with self._lock:
            self._store.put(job)
            self.made.append(job)
        return job

    def _with_input(self, draft: Job) -> Job:
        """Keep the input as it is now, and look through it once; what is wrong with it makes the job fail."""
        bucket, name = parsed(draft.source)
        path = self._store.content / draft.content
        if not self._storage.exists(bucket, name):
            path.touch()
            return _failing(draft, f"The input {draft.source} cannot be read.")
        with path.open("wb") as out:
            out.writelines(self._storage.read(bucket, name))
        rows = self._exporter.rows(draft)
        requests = failed = 0
        for number, raw in enumerate(lines(path), 1):
            verdict = rows.verdict(raw)
            if verdict is None or POISON in raw:
                return _failing(draft, f"Line {number} of the input is no request.")
            requests, failed = number, failed + (not verdict)
        if not 0 < requests <= MAX_REQUESTS or path.stat().st_size > MAX_BYTES:
            return _failing(draft, "The input is empty, or larger than a job may be.")
        return msgspec.structs.replace(draft, requests=requests, failed=failed)

    def get(self, name: str) -> tuple[Job, State]:
        """Return a job that can be seen already, and its state; what it has exported by now is written.

        Raises:
            ApiError: 404.
        """
        now = self._now()
        with self._lock:
            job = self._store.get(Job, numbered(name))
            if job is None or job.created + job.faults.late_create_seconds > now:
                raise ApiError(404, f"The BatchPredictionJob {name} does not exist.")
            state = state_of(job, now)
            return self._exported(job, state, now), state

    def _exported(self, job: Job, state: State, now: float) -> Job:
        moment = self._exporter.moment(job.faults, state, now)
        if job.broken or moment in ("", job.exported):
            return job
        self._exporter.write(job, state, moment)
        job = msgspec.structs.replace(job, exported=moment)
        self._store.put(job)
        return job

    def listed(self, parent: str) -> list[tuple[Job, State]]:
        """Return the jobs of a location that are listed already, newest first."""
        now, parent = self._now(), numbered(parent)
        return [
            (job, state_of(job, now))
            for job in self._store.all(Job)
            if job.parent == parent
            and job.created
            + job.faults.late_create_seconds
            + job.faults.list_lag_seconds
            <= now
        ]

    def every(self) -> list[tuple[Job, State]]:
        """Return all jobs, also those nobody can see yet."""
        now = self._now()
        return [(job, state_of(job, now)) for job in self._store.all(Job)]

    def cancel(self, name: str) -> None:
        """Ask for cancellation.

        Raises:
            ApiError: 400, the job has ended.
        """
        with self._lock:
            job, state = self.get(name)
            _must_be(not state.ended, job)
            if not job.cancel_asked:
                asked = msgspec.structs.replace(job, cancel_asked=self._now())
                self._store.put(asked)

    def delete(self, name: str) -> None:
        """Delete a job that has ended; what it wrote stays.

        Raises:
            ApiError: 400, it has not ended.
        """
        with self._lock:
            job, state = self.get(name)
            _must_be(state.ended, job)
            self._store.delete(Job, job.name)
            (self._store.content / job.content).unlink(missing_ok=True)

    def force(self, name: str, word: str) -> None:
        """Put a job in a state, for ever; an empty word lets it go on by itself."""
        with self._lock:
            job, _ = self.get(name)
            forced = msgspec.structs.replace(job, forced=word, forced_at=self._now())
            self._store.put(forced)


def numbered(path: str) -> str:
    """Return a resource's name with the project's number in place of its id, as the service answers."""
    first, project, rest = [*path.split("/", 2), "", ""][:3]
    if project.isdecimal():
        return path
    return f"{first}/{10**11 + zlib.crc32(project.encode())}/{rest}"


def _checked(wanted: Wanted) -> str:
    """Return the address of the input."""
    if wanted.input_config.instances_format != "jsonl" or not wanted.display_name:
        raise ApiError(400, "instancesFormat must be jsonl, and displayName be set.")
    if wanted.output_config.predictions_format != "jsonl":
        raise ApiError(400, "predictionsFormat must be jsonl.")
    uris = wanted.input_config.gcs_source.uris
    if len(uris) != 1:
        raise ApiError(400, "Exactly one input URI is supported.")
    parsed(f"{wanted.output_config.gcs_destination.output_uri_prefix}/any")
    parsed(uris[0])
    check_labels(wanted.labels)
    return uris[0]


def _failing(draft: Job, why: str) -> Job:
    return msgspec.structs.replace(draft, broken=why)


def _must_be(right: bool, job: Job) -> None:
    if not right:
        raise ApiError(400, f"The state of {job.name} does not allow this.")


def counts_of(job: Job, state: State) -> dict[str, Any]:
    """Return how many requests are done, as strings; nothing where the service does not say."""
    if not job.faults.counts or state.word in ("PENDING", "FAILED"):
        return {}
    whole = state.word in TERMINAL - {"CANCELLED", "EXPIRED"}
    share = 1.0 if whole else job.faults.answered_share
    if not state.ended:
        share = job.faults.running_share
    done, failed = int(job.requests * share), int(job.failed * share)
    left = job.requests - done
    counts = {
        "successfulCount": done - failed,
        "failedCount": failed,
        "incompleteCount": left,
    }
    return {name: str(count) for name, count in counts.items() if count}
