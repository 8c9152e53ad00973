"""Objects in a folder: their bytes in plain files that a person can open, everything else in one SQLite index.

    <root>/<bucket>/<name>    the bytes; `<bucket>/~<generation>` where that place is taken or the name is no path
    <root>/.objects.sqlite    (bucket, name) -> generation, size, checksums, description, file
    <root>/.writing/          bytes that are not visible yet

One process has the folder. A file is never changed once it is visible, so who reads it reads one generation.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from batchdrop_local.emulators.http import CHUNK, RefusedError

ANY: Final = -1
"""In a draft: no precondition."""
NAME_BYTES: Final = 1024
METADATA_BYTES: Final = 8192
BUCKET_LETTERS: Final = (3, 63, 222)
"""At least, at most between dots, at most in all (all: cloud.google.com/storage/quotas, read 2026-11-25)."""
COMPONENT_BYTES: Final = 200
"""Of a path; most file systems take 255."""
_BUCKET: Final = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")
_PLAIN: Final = re.compile(r'[^~\x00-\x1f\x7f/\\:*?"<>|%][^\x00-\x1f\x7f/\\:*?"<>|%]*')
_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS objects
    (bucket TEXT, name TEXT, file TEXT, body BLOB, PRIMARY KEY (bucket, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (only INTEGER PRIMARY KEY CHECK (only = 1), last INTEGER);
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One generation of an object."""

    bucket: str
    name: str
    generation: int
    """In a draft: the generation that it replaces; 0: there must be none; ANY: whichever."""
    size: int
    crc32c: str
    """Base64 of the big-endian checksum."""
    created_at: datetime
    content_type: str = "application/octet-stream"
    content_encoding: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class Store:
    """The objects of all buckets, each of which comes into being with its first object. Thread-safe."""

    def __init__(self, root: Path) -> None:
        """Open or make the folder."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """Dates new objects."""
        self._root = root
        self._writing = root / ".writing"
        self._writing.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._index = sqlite3.connect(
            root / ".objects.sqlite", isolation_level=None, check_same_thread=False
        )
        self._index.executescript(_SCHEMA)

    def buckets(self) -> list[str]:
        """Return the names of the buckets."""
        return sorted(
            entry.name
            for entry in self._root.iterdir()
            if entry.is_dir() and entry.name[0] != "."
        )

    def scratch(self) -> Path:
        """Return a place for bytes that are not visible yet."""
        return self._writing / secrets.token_hex(8)

    def find(
        self, bucket: str, name: str, generation: int | None = None
    ) -> Stored | None:
        """Return the live object; with a generation, None also when it is no longer that one."""
        row = self._row(bucket, name)
        return (
            None
            if row is None or generation not in (None, row[0].generation)
            else row[0]
        )

    def get(self, bucket: str, name: str, generation: int | None = None) -> Stored:
        """Return the live object, or refuse with 404."""
        stored = self.find(bucket, name, generation)
        if stored is None:
            raise _absent(bucket, name)
        return stored

    def read(self, stored: Stored, start: int, end: int) -> Iterator[bytes]:
        """Return the bytes [start, end) of that generation, which is opened at once: none replaces it meanwhile."""
        with self._lock:
            row = self._row(stored.bucket, stored.name)
            if row is None or row[0].generation != stored.generation:
                raise _absent(stored.bucket, stored.name)
            return _chunks((self._root / row[1]).open("rb"), start, end)

    def list(
        self, bucket: str, prefix: str, after: str | None, count: int
    ) -> list[Stored]:
        """Return objects in the order of their names' UTF-8 bytes, from the prefix on or behind a name."""
        sign, begin = (">", after) if after is not None else (">=", prefix)
        with self._lock:
            rows = self._index.execute(
                f"SELECT body FROM objects WHERE bucket = ? AND name {sign} ? ORDER BY name LIMIT ?",
                (bucket, begin, count),
            ).fetchall()
        found = (msgspec.json.decode(row[0], type=Stored) for row in rows)
        return [stored for stored in found if stored.name.startswith(prefix)]

    def delete(self, stored: Stored) -> None:
        """Delete that generation, or refuse with 404."""
        with self._lock:
            row = self._row(stored.bucket, stored.name)
            if row is None or row[0].generation != stored.generation:
                raise _absent(stored.bucket, stored.name)
            self._index.execute(
                "DELETE FROM objects WHERE bucket = ? AND name = ?",
                (stored.bucket, stored.name),
            )
            self._unlink(row[1])

    def describe(self, stored: Stored) -> Stored:
        """Replace the type, encoding and metadata of that generation, or refuse with 404."""
        _check(stored)
        with self._lock:
            self.get(stored.bucket, stored.name, stored.generation)
            self._index.execute(
                "UPDATE objects SET body = ? WHERE bucket = ? AND name = ?",
                (msgspec.json.encode(stored), stored.bucket, stored.name),
            )
        return stored

    def copy(self, source: Stored, draft: Stored) -> Stored:
        """Make a draft visible with the bytes of that generation of another object."""
        path = self.scratch()
        with self._lock:
            row = self._row(source.bucket, source.name)
            if row is None or row[0].generation != source.generation:
                raise _absent(source.bucket, source.name)
            os.link(self._root / row[1], path)
        return self.publish(path, draft)

    def publish(self, written: Path, draft: Stored) -> Stored:
        """Make a written file visible whole, or not at all.

        Raises:
            RefusedError: 412, another generation is live than the draft replaces; 400, Cloud Storage takes no such
                object.
        """
        try:
            _check(draft)
            with self._lock:
                return self._publish(written, draft)
        finally:
            written.unlink(missing_ok=True)

    def check_precondition(self, draft: Stored) -> None:
        """Refuse with 412 when another generation is live than the draft replaces."""
        live = self.find(draft.bucket, draft.name)
        if draft.generation not in (ANY, live.generation if live else 0):
            raise condition_failed()

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            self._index.close()

    def _publish(self, written: Path, draft: Stored) -> Stored:
        self.check_precondition(draft)
        replaced = self._row(draft.bucket, draft.name)
        stored = replace(draft, generation=self._next_generation())
        file = self._place(written, stored)
        self._index.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
            (stored.bucket, stored.name, file, msgspec.json.encode(stored)),
        )
        if replaced is not None:
            self._unlink(replaced[1])
        return stored

    def _next_generation(self) -> int:
        """Return a number that no object ever had: microseconds, or one more than the last."""
        row = self._index.execute("SELECT last FROM counter").fetchone()
        generation = max(
            int(self.now().timestamp() * 1_000_000), (row[0] if row else 0) + 1
        )
        self._index.execute(
            "INSERT OR REPLACE INTO counter VALUES (1, ?)", (generation,)
        )
        return generation

    def _place(self, written: Path, stored: Stored) -> str:
        """Link a file to its readable place, or to one named by its generation; return which."""
        parts = stored.name.split("/")
        own = Path(stored.bucket, f"~{stored.generation}")
        for place in (
            (Path(stored.bucket, *parts), own) if all(map(_is_plain, parts)) else (own,)
        ):
            try:
                (self._root / place).parent.mkdir(parents=True, exist_ok=True)
                os.link(written, self._root / place)
            except (FileExistsError, NotADirectoryError):
                continue
            return str(place)
        raise RefusedError(503, "The object could not be placed.")

    def _row(self, bucket: str, name: str) -> tuple[Stored, str] | None:
        with self._lock:
            row: tuple[bytes, str] | None = self._index.execute(
                "SELECT body, file FROM objects WHERE bucket = ? AND name = ?",
                (bucket, name),
            ).fetchone()
        return (
            None if row is None else (msgspec.json.decode(row[0], type=Stored), row[1])
        )

    def _unlink(self, file: str) -> None:
        """Remove a file that no name points to, and the folders that it leaves empty."""
        path = self._root / file
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder.parent == self._root or any(folder.iterdir()):
                return
            folder.rmdir()


def condition_failed() -> RefusedError:
    """Return the refusal of a lost race."""
    return RefusedError(
        412, "At least one of the pre-conditions you specified did not hold."
    )


def _absent(bucket: str, name: str) -> RefusedError:
    return RefusedError(404, f"No such object: {bucket}/{name}")


def _chunks(source: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with source:
        source.seek(start)
        left = end - start
        while left > 0 and (chunk := source.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _check(draft: Stored) -> None:
    """Refuse with 400 what Cloud Storage takes for no object."""
    least, most, in_all = BUCKET_LETTERS
    parts = draft.bucket.split(".")
    bounded = least <= len(draft.bucket) <= in_all and max(map(len, parts)) <= most
    if not bounded or not all(map(_BUCKET.fullmatch, parts)):
        raise RefusedError(400, f"Invalid bucket name: {draft.bucket!r}")
    named = (
        draft.name not in ("", ".", "..")
        and "\r" not in draft.name
        and "\n" not in draft.name
    )
    if not named or _size(draft.name) > NAME_BYTES:
        raise RefusedError(400, "Invalid object name.")
    if (
        sum(_size(key) + _size(value) for key, value in draft.metadata.items())
        > METADATA_BYTES
    ):
        raise RefusedError(
            400,
            f"The total size of custom metadata is larger than {METADATA_BYTES} bytes.",
        )


def _size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise RefusedError(400, "A name or a value is not valid Unicode.") from None


def _is_plain(part: str) -> bool:
    """Tell whether a part of a name can stand in a path as it is."""
    whole: Any = _PLAIN.fullmatch(part)
    return (
        bool(whole)
        and part not in (".", "..")
        and len(part.encode()) <= COMPONENT_BYTES
    )
