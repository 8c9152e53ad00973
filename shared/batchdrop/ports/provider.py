"""Provider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

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
