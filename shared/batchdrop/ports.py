"""The four ports: everything foreign that a step may touch, as small Protocols and value objects.

Each port has one contract suite (`tests/flow/test_*_contract.py`) run against every adapter of it:

    Objects   Cloud Storage | a directory        streams, generation preconditions, copies, lists
    Documents Firestore | SQLite                 compare-and-set on one document, declared queries
    Topics    Pub/Sub | a SQLite queue           publish; the broker pushes, retries, dead-letters
    Provider  Gemini through google-genai        stage, create, look, list, cancel, stream results, delete

Sizes are bytes, times are aware UTC datetimes, checksums are CRC32C in base64 as Cloud Storage writes them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol, Self

IndexValue = str | int | datetime | None
Json = Mapping[str, Any]


# --------------------------------------------------------------------------------------------- objects
@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored generation of an object."""

    bucket: str
    name: str
    generation: int
    size: int
    crc32c: str
    created_at: datetime
    content_type: str = "application/octet-stream"
    content_encoding: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One page of a listing in name order; `next_token` is None on the last."""

    objects: tuple[ObjectInfo, ...]
    next_token: str | None


class ObjectWriter(Protocol):
    """A new object being written: nothing is visible before `close`, nothing remains after `abort`."""

    def write(self, data: bytes) -> None:
        """Append bytes; memory stays bounded by one chunk."""
        ...

    def close(self) -> ObjectInfo:
        """Make the object visible whole, or raise ObjectExistsError when the precondition fails."""
        ...

    def abort(self) -> None:
        """Drop what was written; a no-op after `close`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None:
        """Abort unless `close` was called."""
        ...


class Objects(Protocol):
    """Buckets of immutable generations with preconditions."""

    def stat(self, bucket: str, name: str, *, generation: int | None = None) -> ObjectInfo | None:
        """Return the live object, or None; with `generation`, None also when it is no longer that one."""
        ...

    def read(
        self, bucket: str, name: str, *, generation: int | None = None, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """Stream the stored bytes [start, end) raw (no gzip transcoding); PermanentError GONE if absent."""
        ...

    def create(
        self,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectWriter:
        """Open a writer whose `close` succeeds only on the given generation (0: no such object)."""
        ...

    def copy(
        self,
        source: ObjectInfo,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Copy that generation server-side, metadata kept unless given; PermanentError code GONE if it is gone."""
        ...

    def list(
        self, bucket: str, *, prefix: str = "", page_token: str | None = None, page_size: int = 1000
    ) -> ObjectPage:
        """List live objects in name order."""
        ...

    def delete(self, bucket: str, name: str, *, generation: int | None = None) -> bool:
        """Delete the object (only that generation, if given); False when there was nothing to delete."""
        ...


# --------------------------------------------------------------------------------------------- records
class Collection(StrEnum):
    """The record collections."""

    JOB = "jobs"
    SHARD = "shards"
    CAPACITY = "capacity"
    BUDGET = "budgets"
    COST = "costs"
    IDENTITY = "identities"
    META = "meta"


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document as read: `version` and `write_id` belong to the store, the rest to us."""

    kind: Collection
    id: str
    version: int
    write_id: str
    index: Mapping[str, IndexValue]
    data: Json
    token: object = field(default=None, compare=False)
    """What the store itself needs to recognise this version."""


@dataclass(frozen=True, slots=True)
class Query:
    """One of the declared queries (`core.state.queries`): equalities, one bound, an order, a cursor."""

    kind: Collection
    equal: tuple[tuple[str, IndexValue], ...] = ()
    at_most: tuple[str, IndexValue] | None = None
    at_least: tuple[str, IndexValue] | None = None
    order: tuple[str, ...] = ()
    descending: bool = False
    after: tuple[IndexValue, ...] = ()
    limit: int = 100


class Documents(Protocol):
    """Documents changed only by compare-and-set. All index fields are always written (None if unset)."""

    def get(self, kind: Collection, id: str) -> Document | None:
        """Read one document, strongly consistent."""
        ...

    def create(self, kind: Collection, id: str, *, index: Mapping[str, IndexValue], data: Json) -> Document:
        """Create at version 1, or raise ConflictError; our own lost success is recognised by its write id."""
        ...

    def replace(self, document: Document, *, index: Mapping[str, IndexValue], data: Json) -> Document:
        """Write all of it as version + 1 if the stored version is `document.version`, else ConflictError."""
        ...

    def delete(self, document: Document) -> bool:
        """Delete it if it still has this version; False otherwise."""
        ...

    def query(self, query: Query) -> list[Document]:
        """Run a declared query. Documents without (None in) an ordered or bounded field are not found."""
        ...

    def count(self, query: Query) -> int:
        """Return how many documents a declared query finds, at most its limit, without reading them."""
        ...


# ---------------------------------------------------------------------------------------------- topics
class Topic(StrEnum):
    """Our topics; the broker pushes the first three to a function, users subscribe to the last."""

    UPLOADS = "uploads"
    SHARDS = "shards"
    BATCHES_FINISHED = "batches-finished"
    JOBS_COMPLETED = "jobs-completed"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message the broker gave up on; `topic` is where it came from."""

    topic: Topic
    message_id: str
    published_at: datetime
    data: bytes
    attributes: Mapping[str, str]


class Topics(Protocol):
    """A broker with at-least-once push, retry and dead letters."""

    def publish(self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        """Return the message id once the broker has stored the message; TransientError otherwise."""
        ...

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """List dead letters of every topic without consuming them."""
        ...

    def replay(self) -> Generator[DeadLetter]:
        """Publish every dead letter again on its own topic and remove it; yield each when that is done.

        None is lost; one is delivered twice only if removing it fails. What was not reached stays a dead letter.
        """
        ...


# -------------------------------------------------------------------------------------------- provider
JSONL: Final = "application/jsonl"
"""The type of a batch's input at the provider."""


class BatchState(StrEnum):
    """What the provider says of a batch; UNKNOWN stands for every word we do not know (P9)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"

    @property
    def terminal(self) -> bool:
        """True when the provider will not change it any more; UNKNOWN is never terminal."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        BatchState.SUCCEEDED,
        BatchState.PARTIALLY_SUCCEEDED,
        BatchState.FAILED,
        BatchState.CANCELLED,
        BatchState.EXPIRED,
    }
)


class BatchKind(StrEnum):
    """Which provider method runs the requests of a shard."""

    GENERATE = "generate"
    EMBED = "embed"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model can be asked in batches; `said` is False when the provider does not tell."""

    batches: frozenset[BatchKind]
    said: bool = True


@dataclass(frozen=True, slots=True)
class ProviderFile:
    """A file at the provider. `sha256` is the lowercase hex digest the provider computed."""

    name: str
    uri: str
    size: int
    sha256: str
    display_name: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch at the provider as last seen; `raw_state` is the provider's own word."""

    name: str
    display_name: str
    model: str
    state: BatchState
    raw_state: str
    created_at: datetime
    ended_at: datetime | None = None
    output_file: str | None = None
    refused: bool = False
    """It ended without running for want of capacity, after it was accepted: nothing is paid, it is made again later."""
    error_code: int | None = None
    error_message: str = ""
    succeeded: int = 0
    failed: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One page of the project's batches."""

    batches: tuple[Batch, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page of the project's files."""

    files: tuple[ProviderFile, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Cache:
    """A cached content at the provider: `tokens` as it counts them."""

    name: str
    display_name: str
    tokens: int
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CachePage:
    """One page of the project's cached contents."""

    caches: tuple[Cache, ...]
    next_token: str | None


class Provider(Protocol):
    """The Gemini Batch API. `model` is the bare id (`gemini-2.5-flash`), `request` a JSON request body.

    Error translation, once, in the adapter: 429 -> CapacityError; 401, 403, 5xx and transport errors ->
    TransientError; other 4xx -> PermanentError with code PROVIDER_<google.rpc status>. In `create` a TransientError
    proves that nothing was created, and whatever proves no refusal is UnknownOutcomeError.
    """

    def account(self) -> str:
        """Return a fingerprint of the account in use; with another one, what this one made may be out of reach."""
        ...

    def stage(self, chunks: Iterable[bytes], *, size: int, display_name: str, mime_type: str = JSONL) -> ProviderFile:
        """Upload exactly `size` bytes; PermanentError SIZE_MISMATCH when the chunks have another length."""
        ...

    def create(self, *, model: str, kind: BatchKind, file: str, display_name: str, timeout_seconds: float) -> Batch:
        """Send one create call, never retried. Not idempotent: only after an intent was recorded."""
        ...

    def get(self, name: str) -> Batch | None:
        """Return the batch, or None when the provider does not know it."""
        ...

    def list_batches(self, page_token: str | None = None) -> BatchPage:
        """Return one page; a page that cannot be read whole raises (a failed look-up is not "not found")."""
        ...

    def cancel(self, name: str) -> None:
        """Ask for cancellation; the state changes later. No error when it is terminal or gone."""
        ...

    def delete(self, name: str) -> None:
        """Delete the batch; no error when it is gone."""
        ...

    def read_results(self, batch: Batch) -> Iterator[bytes]:
        """Stream the result file's bytes; a cut transfer raises TransientError, never ends early."""
        ...

    def list_files(self, page_token: str | None = None) -> FilePage:
        """Return one page of files."""
        ...

    def delete_file(self, name: str) -> None:
        """Delete a file; no error when it is gone."""
        ...

    def answer(self, *, model: str, kind: BatchKind, request: bytes, timeout_seconds: float) -> bytes:
        """Send one synchronous request at the standard price; return the response's JSON on one line."""
        ...

    def count_tokens(self, *, model: str, request: bytes) -> int:
        """Return how many tokens the provider counts in a request."""
        ...

    def model_info(self, model: str) -> ModelInfo | None:
        """Return what a model can do, or None when the provider does not have it."""
        ...

    def create_cache(self, *, model: str, body: bytes, display_name: str, ttl_seconds: int) -> Cache:
        """Make a cached content of `body`: JSON members of it without braces. Not idempotent, billed by the hour."""
        ...

    def keep_cache(self, name: str, ttl_seconds: int) -> bool:
        """Let a cache live so long from now; False when it is gone."""
        ...

    def list_caches(self, page_token: str | None = None) -> CachePage:
        """Return one page of the caches that live."""
        ...

    def delete_cache(self, name: str) -> None:
        """Delete a cache; no error when it is gone."""
        ...


# ----------------------------------------------------------------------------------------------- clock
class Clock(Protocol):
    """Time, passed in so that tests can own it."""

    def now(self) -> datetime:
        """Return the wall clock as aware UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def pause(self, least: float, most: float) -> None:
        """Let a random time between so many seconds go by."""
        ...
