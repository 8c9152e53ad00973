"""The index of objects in a folder: bucket and name -> generation, size, checksum, metadata, and the file they are in.

It decides every precondition, across threads and processes: SQLite lets one writer in at a time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import TransientError
from batchdrop.ports import ObjectInfo

BUSY_SECONDS: Final = 30.0
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT, name TEXT, generation INTEGER, size INTEGER, crc32c TEXT, created TEXT, content_type TEXT,
  content_encoding TEXT, metadata TEXT, file TEXT, PRIMARY KEY (bucket, name)
) WITHOUT ROWID"""
_COUNTER: Final = "CREATE TABLE IF NOT EXISTS counter (last INTEGER)"
_COLUMNS: Final = (
    "bucket, name, generation, size, crc32c, created,"
    " content_type, content_encoding, metadata, file"
)
_LIST: Final = (
    f"SELECT {_COLUMNS} FROM objects"  # noqa: S608
    " WHERE bucket = ? AND name >= ? AND name > ? AND name <= ? ORDER BY name LIMIT ?"
)
_LAST: Final = "\U0010ffff" * 256
"""Behind a prefix it comes last: a name has 1,024 bytes at most."""
_PREPARED: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    _TABLE,
    _COUNTER,
)


@dataclass(frozen=True, slots=True)
class Indexed:
    """A live object, and the file that holds its bytes."""

    info: ObjectInfo
    file: str

    def is_of(self, generation: int | None) -> bool:
        """Tell whether it is the generation that is meant; None means whichever lives."""
        return generation in (None, self.info.generation)


class ObjectIndex:
    """The live objects of all buckets of a folder."""

    def __init__(self, path: Path) -> None:
        """Open or make the index."""
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        for statement in _PREPARED:
            self._connection.execute(statement)

    # ------------------------------------------------------------------------------------------------ reading
    def find(self, bucket: str, name: str) -> Indexed | None:
        """Return the live object of that name."""
        with self._lock:
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND name = ?",  # noqa: S608
                (bucket, name),
            ).fetchone()
        return None if row is None else _indexed(row)

    def list(self, bucket: str, prefix: str, after: str, most: int) -> list[ObjectInfo]:
        """Return the first live objects with a prefix, in name order, those behind the name `after`."""
        values = (bucket, prefix, after, prefix + _LAST, most)
        with self._lock:
            rows = self._connection.execute(_LIST, values).fetchall()
        return [_indexed(row).info for row in rows]

    # ----------------------------------------------------------------------------------------------- changing
    @contextmanager
    def transaction(self) -> Generator[None]:
        """Keep every other writer out until the end; undo all when something is raised.

        Raises:
            TransientError: OBJECTS_BUSY, another process did not let go.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                raise TransientError(Code.OBJECTS_BUSY) from None
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def next_generation(self, now: datetime) -> int:
        """Return a number that no object ever had: microseconds, or one more than the last."""
        row = self._connection.execute("SELECT last FROM counter").fetchone()
        last = row[0] if row else 0
        generation = max(int(now.timestamp() * 1_000_000), last + 1)
        self._connection.execute(
            "UPDATE counter SET last = ?" if row else "INSERT INTO counter VALUES (?)",
            (generation,),
        )
        return generation

    def put(self, info: ObjectInfo, file: str) -> None:
        """Make a generation the live one of its name."""
        self._connection.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                info.bucket,
                info.name,
                info.generation,
                info.size,
                info.crc32c,
                info.created_at.isoformat(),
                info.content_type,
                info.content_encoding,
                json.dumps(dict(info.metadata)),
                file,
            ),
        )

    def describe(self, info: ObjectInfo) -> bool:
        """Replace the type, encoding and metadata of a live generation; False when it is gone."""
        done = self._connection.execute(
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
        return bool(done.rowcount)

    def remove(self, bucket: str, name: str) -> None:
        """Forget an object."""
        self._connection.execute(
            "DELETE FROM objects WHERE bucket = ? AND name = ?", (bucket, name)
        )


def _indexed(row: tuple[Any, ...]) -> Indexed:
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
    info = ObjectInfo(
        bucket=bucket,
        name=name,
        generation=generation,
        size=size,
        crc32c=crc32c,
        created_at=datetime.fromisoformat(created),
        content_type=content_type,
        content_encoding=content_encoding,
        metadata=json.loads(metadata),
    )
    return Indexed(info, file)
