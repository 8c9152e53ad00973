"""What the emulator remembers: files, batches, caches and which requests failed once; SQLite beside the bytes.

A restart on the same folder knows them all.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

_ENTRIES = """
CREATE TABLE IF NOT EXISTS entries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, name TEXT, body TEXT, UNIQUE (kind, name)
)"""


class Store:
    """JSON entries by kind and name, in order of creation."""

    def __init__(self, folder: Path) -> None:
        """Open or make the folder."""
        self.folder = folder
        self.content = folder / "content"
        self.content.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = sqlite3.connect(folder / "state.sqlite", isolation_level=None, check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=OFF",
            _ENTRIES,
            "CREATE TABLE IF NOT EXISTS once (digest BLOB PRIMARY KEY, batch TEXT)",
        ):
            self._database.execute(statement)

    def put(self, kind: str, name: str, body: dict[str, Any]) -> None:
        """Create or change an entry."""
        with self._lock:
            self._database.execute(
                "INSERT INTO entries (kind, name, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
                (kind, name, json.dumps(body)),
            )

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Read an entry."""
        with self._lock:
            row = self._database.execute(
                "SELECT body FROM entries WHERE kind = ? AND name = ?", (kind, name)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Read all entries of a kind, newest first."""
        with self._lock:
            rows = self._database.execute("SELECT body FROM entries WHERE kind = ? ORDER BY seq DESC", (kind,))
            return [json.loads(row[0]) for row in rows]

    def delete(self, kind: str, name: str) -> bool:
        """Delete an entry."""
        with self._lock:
            cursor = self._database.execute("DELETE FROM entries WHERE kind = ? AND name = ?", (kind, name))
        return cursor.rowcount > 0

    def fails_first(self, digest: bytes, batch: str) -> bool:
        """True in the first batch that asks about a request, whenever it asks; false in all others."""
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO once VALUES (?, ?)", (digest, batch))
            row = self._database.execute("SELECT batch FROM once WHERE digest = ?", (digest,)).fetchone()
        return row[0] == batch

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            for entry in self.content.iterdir():
                entry.unlink()
            self._database.execute("DELETE FROM entries")
            self._database.execute("DELETE FROM once")
