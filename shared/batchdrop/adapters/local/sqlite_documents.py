"""Documents in one SQLite file: the same compare-and-set as Firestore, for one machine and for the tests.

One table a kind, one column an indexed field; writers of several processes take turns (BEGIN IMMEDIATE).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from batchdrop.adapters.documents import decoded, encoded, fresh_write_id
from batchdrop.adapters.refusing import check_record_id
from batchdrop.core.codes import Code
from batchdrop.core.errors import ConfigurationError, ConflictError, TransientError
from batchdrop.core.state.queries import COMPOSITE, INDEXED, TTL_FIELD
from batchdrop.ports import Collection, Document, IndexValue, Json, Query

BUSY_SECONDS = 30.0
FORMAT = 2
"""The form of the stored documents and their index fields; another one is not read."""
_TIME_SUFFIX = "_at"
"""Indexed fields with this ending hold times."""


class SqliteDocuments:
    """A Documents port on one database file, or `:memory:`. Safe from several threads and processes."""

    def __init__(self, path: Path | str) -> None:
        """Open the file and make the tables.

        Raises:
            ConfigurationError: Another version of the program wrote the file.
        """
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        _check_format(self._connection, path)
        for kind in Collection:
            _make_table(self._connection, kind)

    def get(self, kind: Collection, id: str) -> Document | None:
        """Read one document."""
        check_record_id(id)
        with self._lock:
            row = self._connection.execute(
                f"SELECT {_columns(kind)} FROM {kind} WHERE id = ?", (id,)
            ).fetchone()
        return None if row is None else _document(kind, row)

    def create(
        self, kind: Collection, id: str, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Create at version 1, or raise ConflictError."""
        text = encoded(kind, id, index, data)
        write_id = fresh_write_id()
        fields = INDEXED[kind]
        marks = ", ".join("?" * (4 + len(fields)))
        values = (id, 1, write_id, text, *(_stored(index[field]) for field in fields))
        with self._writing() as connection:
            try:
                connection.execute(
                    f"INSERT INTO {kind} ({_columns(kind)}) VALUES ({marks})", values
                )
            except sqlite3.IntegrityError:
                raise ConflictError(f"the {kind} record exists") from None
        return Document(kind, id, 1, write_id, dict(index), dict(data))

    def replace(
        self, document: Document, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Write all of it as version + 1 on the version read, or raise ConflictError."""
        kind = document.kind
        text = encoded(kind, document.id, index, data)
        write_id = fresh_write_id()
        fields = INDEXED[kind]
        sets = ", ".join(
            f"{name} = ?" for name in ("version", "write_id", "data", *fields)
        )
        values = (
            document.version + 1,
            write_id,
            text,
            *(_stored(index[field]) for field in fields),
        )
        with self._writing() as connection:
            changed = connection.execute(
                f"UPDATE {kind} SET {sets} WHERE id = ? AND version = ? AND write_id = ?",
                (*values, document.id, document.version, document.write_id),
            ).rowcount
        if not changed:
            raise ConflictError(f"the {kind} record has another version")
        return Document(
            kind,
            document.id,
            document.version + 1,
            write_id,
            dict(index),
            dict(data),
        )

    def delete(self, document: Document) -> bool:
        """Delete it if it still has this version."""
        with self._writing() as connection:
            return bool(
                connection.execute(
                    f"DELETE FROM {document.kind} WHERE id = ? AND version = ? AND write_id = ?",
                    (document.id, document.version, document.write_id),
                ).rowcount
            )

    def query(self, query: Query) -> list[Document]:
        """Run a declared query."""
        text, values = _select(query)
        with self._lock:
            rows = self._connection.execute(text, values).fetchall()
        return [_document(query.kind, row) for row in rows]

    def count(self, query: Query) -> int:
        """Return how many documents a declared query finds, at most its limit."""
        text, values = _select(query)
        with self._lock:
            [found] = self._connection.execute(
                f"SELECT count(*) FROM ({text})", values
            ).fetchone()
        return int(found)

    def purge_expired(self, now: datetime) -> int:
        """Delete what Firestore's TTL would have deleted; return how much."""
        count = 0
        for kind in Collection:
            if TTL_FIELD in INDEXED[kind]:
                with self._writing() as connection:
                    count += connection.execute(
                        f"DELETE FROM {kind} WHERE {TTL_FIELD} <= ?", (_stored(now),)
                    ).rowcount
        return count

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                raise TransientError(Code.RECORDS_BUSY) from None
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _check_format(connection: sqlite3.Connection, path: Path | str) -> None:
    """Refuse records of another form than ours; a new file becomes one of our form."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if tables and found != FORMAT:
        sentence = f"{path} holds records of another version of Batchdrop; move the data folder away and start anew"
        raise ConfigurationError(sentence, code=Code.RECORDS_FORMAT)
    if found != FORMAT:
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def _make_table(connection: sqlite3.Connection, kind: Collection) -> None:
    fields = "".join(f", {field}" for field in INDEXED[kind])
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {kind} (id TEXT PRIMARY KEY, version INTEGER, write_id TEXT, data TEXT{fields})"
        " WITHOUT ROWID"
    )
    for columns in (*((field,) for field in INDEXED[kind]), *COMPOSITE.get(kind, ())):
        name = "_".join((kind, *columns))
        connection.execute(
            f"CREATE INDEX IF NOT EXISTS {name} ON {kind} ({', '.join(columns)})"
        )


@cache
def _columns(kind: Collection) -> str:
    return ", ".join(("id", "version", "write_id", "data", *INDEXED[kind]))


def _stored(value: IndexValue) -> str | int | None:
    """Times are stored as text of fixed width in UTC, so that their order is the order of the text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value


def _loaded(field: str, value: str | int | None) -> IndexValue:
    if value is not None and field.endswith(_TIME_SUFFIX):
        return datetime.fromisoformat(str(value))
    return value


def _document(kind: Collection, row: tuple[Any, ...]) -> Document:
    id, version, write_id, data, *values = row
    index = {
        field: _loaded(field, value)
        for field, value in zip(INDEXED[kind], values, strict=True)
    }
    return Document(kind, id, version, write_id, index, decoded(data))


def _select(query: Query) -> tuple[str, list[str | int | None]]:
    where: list[str] = []
    values: list[str | int | None] = []
    for field, value in query.equal:
        where.append(f"{field} = ?")
        values.append(_stored(value))
    for bound, sign in ((query.at_most, "<="), (query.at_least, ">=")):
        if bound is not None:
            where.append(f"{bound[0]} {sign} ?")
            values.append(_stored(bound[1]))
    where += [f"{field} IS NOT NULL" for field in query.order]
    if query.after_id:
        where.append("id > ?")
        values.append(query.after_id)
    if query.after:
        names = ", ".join(query.order[: len(query.after)])
        sign = "<" if query.descending else ">"
        where.append(f"({names}) {sign} ({', '.join('?' * len(query.after))})")
        values += [_stored(value) for value in query.after]
    direction = " DESC" if query.descending else ""
    order = ", ".join(f"{field}{direction}" for field in (*query.order, "id"))
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    text = f"SELECT {_columns(query.kind)} FROM {query.kind}{condition} ORDER BY {order} LIMIT ?"
    return text, [*values, query.limit]
