"""A durable message queue in one SQLite file: at-least-once delivery, leases, backoff, dead letters.

    publish --> waiting --lease--> leased --ack--> gone
                   ^                  |nack or lease over: after a growing pause
                   +------------------+--too many attempts--> dead letter --replay--> waiting

The local pusher takes messages from here as Pub/Sub's push does; completions are kept for whoever listens.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchdrop.adapters.refusing import check_message
from batchdrop.core.codes import Code
from batchdrop.core.errors import TransientError
from batchdrop.ports import DeadLetter, Topic

BUSY_SECONDS = 30.0
MAX_ATTEMPTS = 100
REPLAYED_AT_ONCE = 100
MIN_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 60.0

_TABLE = """
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, data BLOB, attributes TEXT, published REAL,
  ready REAL, attempts INTEGER DEFAULT 0, dead INTEGER DEFAULT 0
)"""
_INDEX = "CREATE INDEX IF NOT EXISTS messages_ready ON messages (topic, dead, ready)"


_conditions: dict[str, threading.Condition] = {}


def _condition_of(path: Path | str) -> threading.Condition:
    """Return the one condition of all queues of this process on a file; those in memory share nothing."""
    if str(path) == ":memory:":
        return threading.Condition()
    return _conditions.setdefault(str(Path(path).resolve()), threading.Condition())


@dataclass(frozen=True, slots=True)
class Leased:
    """A message on its way to a consumer; `attempt` counts from 1."""

    id: int
    topic: Topic
    data: bytes
    attributes: Mapping[str, str]
    published_at: datetime
    attempt: int


class SqliteTopics:
    """A Topics port on one database file. Safe from several threads and processes."""

    def __init__(
        self,
        path: Path | str,
        *,
        max_attempts: int = MAX_ATTEMPTS,
        min_backoff_seconds: float = MIN_BACKOFF_SECONDS,
    ) -> None:
        """Open the file and make the table."""
        self._lock = threading.RLock()
        self._max_attempts = max_attempts
        self._min_backoff_seconds = min_backoff_seconds
        self.published = _condition_of(path)
        """Notified when this process published a message to this file, so that nobody need poll for it."""
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            _TABLE,
            _INDEX,
        ):
            self._connection.execute(statement)

    def publish(
        self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None
    ) -> str:
        """Store a message that Pub/Sub would take; it is durable when this returns."""
        check_message(data, attributes or {})
        now = time.time()
        with self._writing() as connection:
            cursor = connection.execute(
                "INSERT INTO messages (topic, data, attributes, published, ready) VALUES (?, ?, ?, ?, ?)",
                (topic, data, json.dumps(dict(attributes or {})), now, now),
            )
        with self.published:
            self.published.notify_all()
        return str(cursor.lastrowid)

    def lease(self, topic: Topic, seconds: float) -> Leased | None:
        """Take the message of a topic that is ready longest, for so many seconds; None when there is none.

        A message whose attempts are used up becomes a dead letter here.
        """
        now = time.time()
        with self._writing() as connection:
            connection.execute(
                "UPDATE messages SET dead = 1 WHERE topic = ? AND dead = 0 AND ready <= ? AND attempts >= ?",
                (topic, now, self._max_attempts),
            )
            row = connection.execute(
                "SELECT id, data, attributes, published, attempts FROM messages"
                " WHERE topic = ? AND dead = 0 AND ready <= ? ORDER BY ready LIMIT 1",
                (topic, now),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE messages SET ready = ?, attempts = attempts + 1 WHERE id = ?",
                (now + seconds, row[0]),
            )
        return Leased(
            row[0],
            topic,
            row[1],
            json.loads(row[2]),
            datetime.fromtimestamp(row[3], UTC),
            row[4] + 1,
        )

    def ack(self, message: Leased) -> None:
        """Take the message as done; a late ack counts too."""
        with self._writing() as connection:
            connection.execute("DELETE FROM messages WHERE id = ?", (message.id,))

    def nack(self, message: Leased) -> None:
        """Let the message come again after a pause that doubles with each attempt."""
        pause = min(
            MAX_BACKOFF_SECONDS, self._min_backoff_seconds * 2 ** (message.attempt - 1)
        )
        with self._writing() as connection:
            connection.execute(
                "UPDATE messages SET ready = ? WHERE id = ?",
                (time.time() + pause, message.id),
            )

    def hand_back(self) -> int:
        """Make every message that is leased or rests after a nack ready at once; return how many there were.

        Only for a consumer that is alone on the file: the one that had them leased must be dead.
        """
        now = time.time()
        with self._writing() as connection:
            return connection.execute(
                "UPDATE messages SET ready = ? WHERE dead = 0 AND ready > ?", (now, now)
            ).rowcount

    def waiting(self, topic: Topic) -> int:
        """Return how many messages of a topic are not done, dead letters aside."""
        with self._lock:
            row = self._connection.execute(
                "SELECT count(*) FROM messages WHERE topic = ? AND dead = 0", (topic,)
            ).fetchone()
        return int(row[0])

    def messages(self, topic: Topic) -> list[Leased]:
        """Return the messages of a topic nobody consumes (completed jobs), oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, data, attributes, published, attempts FROM messages WHERE topic = ? ORDER BY id",
                (topic,),
            ).fetchall()
        return [
            Leased(
                id,
                topic,
                data,
                json.loads(attributes),
                datetime.fromtimestamp(at, UTC),
                attempts,
            )
            for id, data, attributes, at, attempts in rows
        ]

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """List dead letters without consuming them."""
        with self._lock:
            rows: list[tuple[Any, ...]] = self._connection.execute(
                "SELECT id, topic, data, attributes, published FROM messages WHERE dead = 1 ORDER BY id LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            DeadLetter(
                Topic(topic),
                str(id),
                datetime.fromtimestamp(at, UTC),
                data,
                json.loads(attributes),
            )
            for id, topic, data, attributes, at in rows
        ]

    def replay(self) -> Generator[DeadLetter]:
        """Let every dead letter be delivered again: one change of its row."""
        while letters := self.dead_letters(REPLAYED_AT_ONCE):
            for letter in letters:
                if self._revived(letter):
                    yield letter

    def _revived(self, letter: DeadLetter) -> bool:
        """Make a dead letter a message again; False when another replay was faster."""
        now = time.time()
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE messages SET dead = 0, attempts = 0, published = ?, ready = ? WHERE id = ? AND dead = 1",
                (now, now, int(letter.message_id)),
            ).rowcount
        with self.published:
            self.published.notify_all()
        return bool(changed)

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                raise TransientError(Code.TOPICS_BUSY) from None
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
