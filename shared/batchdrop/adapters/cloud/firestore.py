"""Documents in Firestore: compare-and-set by update time and a version of our own, no transactions.

An update that changes nothing does not move `update_time`, so two writers could both win without the version; and
the client retries commits, so our own success can come back as a conflict: the `write_id` tells. (Seen with
google-cloud-firestore 2.34.1; contention of transactions on the emulator takes seconds.)
"""

# The Google clients are partly untyped.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from batchdrop.adapters.documents import decoded, encoded, fresh_write_id
from batchdrop.adapters.reaching import reached
from batchdrop.adapters.refusing import check_record_id
from batchdrop.core.codes import Code
from batchdrop.core.errors import (
    BatchdropError,
    ConflictError,
    PermanentError,
    TransientError,
)
from batchdrop.core.state.queries import INDEXED
from batchdrop.ports import Collection, Document, IndexValue, Json, Query

if TYPE_CHECKING:
    from google.cloud.firestore import Client, DocumentReference

TIMEOUT_SECONDS: Final = 30.0


class FirestoreDocuments:
    """A Documents port on one Firestore database. The client is made when first needed."""

    def __init__(self, project: str, database: str = "(default)") -> None:
        """Open nothing yet."""
        self._project = project
        self._database = database

    @cached_property
    def client(self) -> Client:
        """The Firestore client; it honours FIRESTORE_EMULATOR_HOST by itself."""
        from google.cloud.firestore import Client

        with _translated():
            return Client(project=self._project, database=self._database)

    def get(self, kind: Collection, id: str) -> Document | None:
        """Read one document, strongly consistent."""
        check_record_id(id)
        with _translated():
            snapshot: Any = self._reference(kind, id).get(timeout=TIMEOUT_SECONDS)
        return _document(kind, snapshot) if snapshot.exists else None

    def create(
        self, kind: Collection, id: str, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Create at version 1, or raise ConflictError; our own lost success is recognised."""
        text = encoded(kind, id, index, data)
        new = Document(kind, id, 1, fresh_write_id(), dict(index), decoded(text))
        reference = self._reference(kind, id)
        return self._written(
            new, lambda: reference.create(_fields(new, text), timeout=TIMEOUT_SECONDS)
        )

    def replace(
        self, document: Document, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Write all of it as version + 1 on the version read, or raise ConflictError."""
        text = encoded(document.kind, document.id, index, data)
        version = document.version + 1
        new = Document(
            document.kind,
            document.id,
            version,
            fresh_write_id(),
            dict(index),
            decoded(text),
        )
        reference, option = (
            self._reference(document.kind, document.id),
            self._unchanged(document),
        )
        return self._written(
            new,
            lambda: reference.update(
                _fields(new, text), option=option, timeout=TIMEOUT_SECONDS
            ),
        )

    def delete(self, document: Document) -> bool:
        """Delete it if it still has this version."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        with _translated():
            reference = self._reference(document.kind, document.id)
            try:
                reference.delete(
                    option=self._unchanged(document), timeout=TIMEOUT_SECONDS
                )
            except (FailedPrecondition, NotFound):
                return False
        return True

    def query(self, query: Query) -> list[Document]:
        """Run a declared query."""
        with _translated():
            snapshots = list(
                self._query(query).limit(query.limit).stream(timeout=TIMEOUT_SECONDS)
            )
        documents = (_document(query.kind, snapshot) for snapshot in snapshots)
        return [
            entry
            for entry in documents
            if all(entry.index[field] is not None for field in query.order)
        ]

    def count(self, query: Query) -> int:
        """Return how many documents a declared query finds, at most its limit; billed as one read a thousand.

        (cloud.google.com/firestore/native/docs/query-data/aggregation-queries)
        """
        with _translated():
            [[found]] = (
                self._query(query)
                .limit(query.limit)
                .count()
                .get(timeout=TIMEOUT_SECONDS)
            )
        return int(found.value)

    def _query(self, query: Query) -> Any:
        from google.cloud.firestore import FieldFilter
        from google.cloud.firestore import Query as Order

        found: Any = self.client.collection(query.kind.value)
        for field, value in query.equal:
            found = found.where(filter=FieldFilter(field, "==", value))
        for bound, sign in ((query.at_most, "<="), (query.at_least, ">=")):
            if bound is not None:
                found = found.where(filter=FieldFilter(bound[0], sign, bound[1]))
        direction = Order.DESCENDING if query.descending else Order.ASCENDING
        for field in query.order:
            found = found.order_by(field, direction=direction)
        if query.after:
            found = found.start_after(dict(zip(query.order, query.after, strict=False)))
        if query.after_id:
            found = found.order_by("__name__").start_after(
                {"__name__": self._reference(query.kind, query.after_id)}
            )
        return found

    def _reference(self, kind: Collection, id: str) -> DocumentReference:
        return self.client.collection(kind.value).document(id)

    def _unchanged(self, document: Document) -> Any:
        """Return the precondition that nobody wrote the document since it was read."""
        return self.client.write_option(last_update_time=document.token)

    def _written(self, new: Document, write: Callable[[], Any]) -> Document:
        """Write; on any doubt read again: our write id there means success."""
        from google.api_core import exceptions

        try:
            with reached(Code.RECORDS_UNAVAILABLE):
                result = write()
        except (
            exceptions.Conflict,
            exceptions.FailedPrecondition,
            exceptions.NotFound,
        ):
            failure: BatchdropError = ConflictError(
                f"the {new.kind} record has another version"
            )
        except BatchdropError as error:
            failure = error
        except (exceptions.GoogleAPICallError, ValueError) as error:
            failure = _failure(error)
        else:
            return dataclasses.replace(new, token=result.update_time)
        stored = self.get(new.kind, new.id)
        if stored is not None and stored.write_id == new.write_id:
            return stored
        raise failure


@contextmanager
def _translated() -> Generator[None]:
    """Translate what the client raises."""
    from google.api_core import exceptions

    try:
        with reached(Code.RECORDS_UNAVAILABLE):
            yield
    except (exceptions.GoogleAPICallError, ValueError) as error:
        raise _failure(error) from None


def _failure(error: Exception) -> BatchdropError:
    """Say what the caller must do: what the service or the client refuses for what it is stays refused.

    A query's FAILED_PRECONDITION ("the index is building") and a NOT_FOUND (no database yet) pass with time.
    """
    from google.api_core import exceptions

    if isinstance(
        error, (exceptions.InvalidArgument, exceptions.OutOfRange, ValueError)
    ):
        return PermanentError(Code.RECORD_REFUSED)
    if isinstance(error, exceptions.FailedPrecondition):
        return TransientError(Code.RECORDS_INDEX)
    if isinstance(error, exceptions.NotFound):
        return TransientError(Code.RECORDS_DATABASE)
    return TransientError(Code.RECORDS_UNAVAILABLE)


def _document(kind: Collection, snapshot: Any) -> Document:
    fields: dict[str, Any] = snapshot.to_dict() or {}
    index = {field: _plain(fields.get(field)) for field in INDEXED[kind]}
    version, write_id = int(fields["version"]), str(fields["write_id"])
    return Document(
        kind,
        snapshot.id,
        version,
        write_id,
        index,
        decoded(fields["data"]),
        snapshot.update_time,
    )


def _fields(document: Document, text: str) -> dict[str, Any]:
    """Return the stored form: all fields, each time."""
    return {
        "version": document.version,
        "write_id": document.write_id,
        **document.index,
        "data": text,
    }


def _plain(value: Any) -> IndexValue:
    """Return a time as a plain aware datetime; the client's own class carries nanoseconds."""
    if isinstance(value, datetime):
        return datetime.fromtimestamp(value.timestamp(), UTC).replace(
            microsecond=value.microsecond
        )
    return value
