"""What only some providers have: files that requests name, caches, a count of tokens, a synchronous call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchdrop.core.provider.batch import BatchKind


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
class FilePage:
    """One page of the account's files."""

    files: tuple[ProviderFile, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Staged:
    """Lines that lie ready for `create`: `reference` names them there until `expires_at`."""

    reference: str
    expires_at: datetime | None = None


class Inputs(Protocol):
    """Files of the service that hold the lines of a batch: for `Staging.FILE`. The others take them from WORK."""

    def stage(self, chunks: Iterable[bytes], *, size: int, name: str) -> Staged:
        """Lay exactly `size` bytes ready; PermanentError SIZE_MISMATCH when the chunks have another length."""
        ...

    def delete_file(self, name: str) -> None:
        """Delete what was staged, by its reference; no error when it is gone."""
        ...


class Files(Protocol):
    """Files that requests can name, and that nobody else deletes."""

    def upload(
        self, chunks: Iterable[bytes], *, size: int, name: str, mime_type: str
    ) -> ProviderFile:
        """Upload exactly `size` bytes; PermanentError SIZE_MISMATCH when the chunks have another length."""
        ...

    def list_files(self, page_token: str | None = None) -> FilePage:
        """Return one page of files."""
        ...

    def delete_file(self, name: str) -> None:
        """Delete a file; no error when it is gone."""
        ...


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
    """One page of the account's cached contents."""

    caches: tuple[Cache, ...]
    next_token: str | None


class Caches(Protocol):
    """Cached contents as objects of their own, billed by the hour."""

    def create_cache(
        self, *, model: str, body: bytes, display_name: str, ttl_seconds: int
    ) -> Cache:
        """Make a cached content of `body`: JSON members of it without braces. Not idempotent."""
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


class Tokens(Protocol):
    """A count of tokens by the service itself."""

    def count_tokens(self, *, model: str, request: bytes) -> int:
        """Return how many tokens the provider counts in a request."""
        ...


class Ask(Protocol):
    """A synchronous call, at the standard price."""

    def answer(
        self, *, model: str, kind: BatchKind, request: bytes, timeout_seconds: float
    ) -> bytes:
        """Send one request; return the response's JSON on one line."""
        ...
