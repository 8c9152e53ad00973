"""What the emulator remembers: files, batches, caches, webhooks and which requests failed once.

SQLite beside the bytes; a restart on the same folder knows them all.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS entries
    (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, name TEXT, body BLOB, UNIQUE (kind, name));
CREATE TABLE IF NOT EXISTS once (digest BLOB PRIMARY KEY, batch TEXT) WITHOUT ROWID;
"""


class Entry(Protocol):
    """A stored struct: it has a name."""

    @property
    def name(self) -> str:
        """The resource's name, unique among its kind."""
        ...


_E = TypeVar("_E", bound=Entry)


class Store:
    """Entries by kind (their type) and name, in order of creation. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Open or make the folder."""
        self.content = folder / "content"
        self.content.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            folder / "state.sqlite", isolation_level=None, check_same_thread=False
        )
        self._database.executescript(_SCHEMA)

    def put(self, entry: Entry) -> None:
        """Create or change an entry."""
        with self._lock:
            self._database.execute(
                "INSERT INTO entries (kind, name, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
                (type(entry).__name__, entry.name, msgspec.json.encode(entry)),
            )

    def get(self, kind: type[_E], name: str) -> _E | None:
        """Read an entry."""
        with self._lock:
            row = self._database.execute(
                "SELECT body FROM entries WHERE kind = ? AND name = ?",
                (kind.__name__, name),
            ).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def all(self, kind: type[_E]) -> list[_E]:
        """Read all entries of a kind, newest first."""
        with self._lock:
            rows: list[tuple[bytes]] = self._database.execute(
                "SELECT body FROM entries WHERE kind = ? ORDER BY seq DESC",
                (kind.__name__,),
            ).fetchall()
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def delete(self, kind: type[Entry], name: str) -> None:
        """Delete an entry, if it is there."""
        with self._lock:
            self._database.execute(
                "DELETE FROM entries WHERE kind = ? AND name = ?", (kind.__name__, name)
            )

    def fails_first(self, digest: bytes, batch: str) -> bool:
        """True in the first batch that asks about a request, whenever it asks; false in all others."""
        with self._lock:
            self._database.execute(
                "INSERT OR IGNORE INTO once VALUES (?, ?)", (digest, batch)
            )
            row = self._database.execute(
                "SELECT batch FROM once WHERE digest = ?", (digest,)
            ).fetchone()
        return row[0] == batch

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            for entry in self.content.iterdir():
                entry.unlink()
            self._database.execute("DELETE FROM entries")
            self._database.execute("DELETE FROM once")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()
