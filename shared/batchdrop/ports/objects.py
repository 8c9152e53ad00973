"""Objects: buckets of immutable generations, streamed in and out under preconditions.

Sizes are bytes, times are aware UTC, checksums are CRC32C in base64 as Cloud Storage writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self


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

    def stat(
        self, bucket: str, name: str, *, generation: int | None = None
    ) -> ObjectInfo | None:
        """Return the live object, or None; with `generation`, None also when it is no longer that one."""
        ...

    def read(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        start: int = 0,
        end: int | None = None,
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
        self,
        bucket: str,
        *,
        prefix: str = "",
        page_token: str | None = None,
        page_size: int = 1000,
    ) -> ObjectPage:
        """List live objects in name order."""
        ...

    def delete(self, bucket: str, name: str, *, generation: int | None = None) -> bool:
        """Delete the object (only that generation, if given); False when there was nothing to delete."""
        ...
