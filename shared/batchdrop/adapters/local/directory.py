"""Objects in a folder: data in plain files a person can open, names and generations in one SQLite index.

    <root>/<bucket>/<name>         the bytes, never changed once visible; `<name>~<generation>` when the place is taken
    <root>/.index.sqlite           name -> generation, size, checksum, metadata, file; decides every precondition
    <root>/.writing/               objects being written; nothing in it is visible

The index row is committed after the file is in place, so a crash leaves at most a file that no name points to.
Preconditions hold across threads and processes because SQLite lets one writer in at a time.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import google_crc32c

from batchdrop.adapters.refusing import check_object
from batchdrop.core.codes import Code
from batchdrop.core.errors import ObjectExistsError, PermanentError, TransientError
from batchdrop.core.limits import MIB
from batchdrop.ports import ObjectInfo, ObjectPage

BUSY_SECONDS = 30.0
ANY = -1
"""In a draft: no precondition."""
LINK_TRIES = 20
MAX_COMPONENT_BYTES = 200
"""Most file systems allow 255 bytes."""

_TABLE = """
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT, name TEXT, generation INTEGER, size INTEGER, crc32c TEXT, created TEXT, content_type TEXT,
  content_encoding TEXT, metadata TEXT, file TEXT, PRIMARY KEY (bucket, name)
) WITHOUT ROWID"""
_COUNTER = "CREATE TABLE IF NOT EXISTS counter (last INTEGER)"
_COLUMNS = "bucket, name, generation, size, crc32c, created, content_type, content_encoding, metadata, file"
_LIST = (
    f"SELECT {_COLUMNS} FROM objects"  # noqa: S608
    " WHERE bucket = ? AND name >= ? AND name > ? AND name <= ? ORDER BY name LIMIT ?"
)
_LAST = "\U0010ffff" * 256
"""Behind a prefix it comes last: a name has 1,024 bytes at most."""


class DirectoryObjects:
    """An Objects port on one folder. Buckets come into being with their first object."""

    def __init__(
        self, root: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Open or make the folder and its index; `now` dates new objects."""
        self._root = root
        self.now = now
        self._writing = root / ".writing"
        self._writing.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._index = sqlite3.connect(
            root / ".index.sqlite",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            _TABLE,
            _COUNTER,
        ):
            self._index.execute(statement)

    def stat(
        self, bucket: str, name: str, *, generation: int | None = None
    ) -> ObjectInfo | None:
        """Return the live object, or None; with `generation`, None also when it is no longer that one."""
        found = self._find(bucket, name)
        return (
            None
            if found is None or generation not in (None, found[0].generation)
            else found[0]
        )

    def read(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> Iterator[bytes]:
        """Stream the bytes [start, end) of one generation; PermanentError GONE if it is absent."""
        with self._opened(bucket, name, generation) as source:
            source.seek(start)
            left = None if end is None else max(end - start, 0)
            while chunk := source.read(MIB if left is None else min(MIB, left)):
                left = None if left is None else left - len(chunk)
                yield chunk

    def create(
        self,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> FileWriter:
        """Open a writer whose `close` succeeds only on the given generation (0: no such object)."""
        check_object(bucket, name, metadata or {})
        draft = ObjectInfo(
            bucket,
            name,
            if_generation_match,
            0,
            "",
            self.now(),
            content_type,
            "",
            dict(metadata or {}),
        )
        return FileWriter(self, self._writing / secrets.token_hex(8), draft)

    def copy(
        self,
        source: ObjectInfo,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Link that generation's file under another name; PermanentError GONE if it is gone."""
        found = self._find(source.bucket, source.name)
        if found is None or found[0].generation != source.generation:
            raise _gone()
        link = self._writing / secrets.token_hex(8)
        try:
            os.link(self._root / found[1], link)
        except FileNotFoundError:
            raise _gone() from None
        info = found[0]
        draft = ObjectInfo(
            bucket,
            name,
            if_generation_match,
            info.size,
            info.crc32c,
            self.now(),
            info.content_type,
            info.content_encoding,
            info.metadata if metadata is None else dict(metadata),
        )
        return self.publish(link, draft)

    def list(
        self,
        bucket: str,
        *,
        prefix: str = "",
        page_token: str | None = None,
        page_size: int = 1000,
    ) -> ObjectPage:
        """List live objects in name order (by UTF-8 bytes, as Cloud Storage does)."""
        bounds = (prefix, page_token or "", prefix + _LAST)
        with self._lock:
            rows = self._index.execute(_LIST, (bucket, *bounds, page_size + 1))
            page = rows.fetchall()
        found: list[ObjectInfo] = []
        for row in page:
            info, _ = _row(row)
            found.append(info)
        more = len(found) > page_size
        return ObjectPage(
            tuple(found[:page_size]), found[page_size - 1].name if more else None
        )

    def delete(self, bucket: str, name: str, *, generation: int | None = None) -> bool:
        """Delete the object (only that generation, if given); False when there was nothing to delete."""
        with self._transaction() as index:
            found = self._find(bucket, name)
            if found is None or generation not in (None, found[0].generation):
                return False
            index.execute(
                "DELETE FROM objects WHERE bucket = ? AND name = ?", (bucket, name)
            )
        self._unlink(found[1])
        return True

    def describe(self, info: ObjectInfo) -> ObjectInfo:
        """Replace the type, encoding and metadata of a live generation; PermanentError GONE if it is gone."""
        with self._transaction() as index:
            done = index.execute(
                "UPDATE objects SET content_type = ?, content_encoding = ?, metadata = ?"
                " WHERE bucket = ? AND name = ? AND generation = ?",
                (
                    info.content_type,
                    info.content_encoding,
                    json.dumps(dict(info.metadata)),
                    info.bucket,
                    info.name,
                    info.generation,
                ),
            )
        if not done.rowcount:
            raise _gone()
        return info

    def publish(self, written: Path, draft: ObjectInfo) -> ObjectInfo:
        """Make a written file visible if the precondition in `draft.generation` holds; the writer's last step.

        Raises:
            ObjectExistsError: It does not hold.
            PermanentError: Cloud Storage takes no object of this name or with this metadata.
        """
        with contextlib.ExitStack() as undo:
            undo.callback(written.unlink, missing_ok=True)
            check_object(draft.bucket, draft.name, draft.metadata)
            with self._transaction() as index:
                found = self._find(draft.bucket, draft.name)
                if draft.generation not in (ANY, found[0].generation if found else 0):
                    raise ObjectExistsError("the object exists in another generation")
                generation = self._next_generation(index)
                file = self._place(written, draft, generation)
                index.execute(
                    "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        draft.bucket,
                        draft.name,
                        generation,
                        draft.size,
                        draft.crc32c,
                        draft.created_at.isoformat(),
                        draft.content_type,
                        draft.content_encoding,
                        json.dumps(dict(draft.metadata)),
                        file,
                    ),
                )
        if found is not None:
            self._unlink(found[1])
        return _with_generation(draft, generation)

    def _place(self, written: Path, draft: ObjectInfo, generation: int) -> str:
        """Link a file to its readable place, or beside it when that is taken; return the place."""
        parts = [_component(part) for part in draft.name.split("/")]
        readable = Path(draft.bucket, *parts)
        for place in (
            readable,
            readable.with_name(f"{parts[-1]}~{generation}"),
            Path(draft.bucket, f"~{generation}"),
        ):
            for _ in range(LINK_TRIES):
                try:
                    (self._root / place).parent.mkdir(parents=True, exist_ok=True)
                    os.link(written, self._root / place)
                except FileNotFoundError:
                    continue  # a delete just removed the folder, empty as it was
                except (FileExistsError, NotADirectoryError):
                    break
                return str(place)
        raise TransientError("the object could not be placed", code=Code.OBJECTS_BUSY)

    @contextmanager
    def _opened(self, bucket: str, name: str, generation: int | None) -> Generator[Any]:
        while True:
            found = self._find(bucket, name)
            if found is None or generation not in (None, found[0].generation):
                raise _gone()
            try:
                source = (self._root / found[1]).open("rb")
            except FileNotFoundError:
                continue  # replaced between the look-up and here
            with source:
                yield source
            return

    def _find(self, bucket: str, name: str) -> tuple[ObjectInfo, str] | None:
        with self._lock:
            row = self._index.execute(
                f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND name = ?",  # noqa: S608
                (bucket, name),
            ).fetchone()
        return None if row is None else _row(row)

    def _unlink(self, file: str) -> None:
        """Remove a file no name points to, and folders it leaves empty."""
        path = self._root / file
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder.parent == self._root:
                return
            try:
                folder.rmdir()
            except OSError:
                return

    def _next_generation(self, index: sqlite3.Connection) -> int:
        """Return a number that no object ever had: microseconds, or one more than the last."""
        row = index.execute("SELECT last FROM counter").fetchone()
        generation = max(
            int(self.now().timestamp() * 1_000_000), (row[0] if row else 0) + 1
        )
        index.execute(
            "UPDATE counter SET last = ?" if row else "INSERT INTO counter VALUES (?)",
            (generation,),
        )
        return generation

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                self._index.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                raise TransientError(Code.OBJECTS_BUSY) from None
            try:
                yield self._index
            except BaseException:
                self._index.execute("ROLLBACK")
                raise
            self._index.execute("COMMIT")


class FileWriter:
    """An object being written: nothing is visible before `close`, nothing remains after `abort`."""

    def __init__(
        self, objects: DirectoryObjects, path: Path, draft: ObjectInfo
    ) -> None:
        """Open the file below `.writing`."""
        self._objects = objects
        self._path = path
        self._draft = draft
        self._file = path.open("xb")
        self._checksum = google_crc32c.Checksum()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self._checksum.update(data)
        self._size += len(data)

    def close(self) -> ObjectInfo:
        """Make the object visible whole, or raise ObjectExistsError when the precondition fails."""
        self._file.close()
        draft = self._draft
        written = ObjectInfo(
            draft.bucket,
            draft.name,
            draft.generation,
            self._size,
            base64.b64encode(self._checksum.digest()).decode(),
            self._objects.now(),
            draft.content_type,
            "",
            draft.metadata,
        )
        try:
            return self._objects.publish(self._path, written)
        except ObjectExistsError:
            there = self._objects.stat(draft.bucket, draft.name)
            if there is None or (there.size, there.crc32c) != (
                written.size,
                written.crc32c,
            ):
                raise
            return there

    def abort(self) -> None:
        """Drop what was written; a no-op after `close`."""
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Abort unless closed."""
        self.abort()


def _row(row: tuple[Any, ...]) -> tuple[ObjectInfo, str]:
    (
        bucket,
        name,
        generation,
        size,
        crc32c,
        created,
        content_type,
        content_encoding,
        metadata,
        file,
    ) = row
    moment = datetime.fromisoformat(created)
    described = (content_type, content_encoding, json.loads(metadata))
    return ObjectInfo(bucket, name, generation, size, crc32c, moment, *described), file


def _with_generation(draft: ObjectInfo, generation: int) -> ObjectInfo:
    return ObjectInfo(
        draft.bucket,
        draft.name,
        generation,
        draft.size,
        draft.crc32c,
        draft.created_at,
        draft.content_type,
        draft.content_encoding,
        draft.metadata,
    )


def _component(part: str) -> str:
    """Return a path component that every file system takes; it need not be reversible, the index knows the name."""
    if part in ("", ".", ".."):
        return f"%{part.encode().hex()}"
    safe = "".join(
        char
        if char.isprintable() and char not in '/\\:*?"<>|%'
        else quote(char, safe="")
        for char in part
    )
    encoded = safe.encode("utf-8", "surrogateescape")
    if len(encoded) > MAX_COMPONENT_BYTES:
        safe = (
            encoded[: MAX_COMPONENT_BYTES - 20].decode("utf-8", "ignore")
            + "~"
            + secrets.token_hex(4)
        )
    return safe


def _gone() -> PermanentError:
    return PermanentError(Code.GONE)
