"""Documents: small values changed by compare-and-set alone, found by declared queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from batchdrop.core.state.collections import Collection, IndexValue, Query

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document as read: `version` and `write_id` belong to the store, the rest to us."""

    kind: Collection
    id: str
    version: int
    write_id: str
    index: Mapping[str, IndexValue]
    data: Json
    token: object = field(default=None, compare=False)
    """What the store itself needs to recognise this version."""


class Documents(Protocol):
    """Documents changed only by compare-and-set. All index fields are always written (None if unset)."""

    def get(self, kind: Collection, id: str) -> Document | None:
        """Read one document, strongly consistent."""
        ...

    def create(
        self, kind: Collection, id: str, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Create at version 1, or raise ConflictError; our own lost success is recognised by its write id."""
        ...

    def replace(
        self, document: Document, *, index: Mapping[str, IndexValue], data: Json
    ) -> Document:
        """Write all of it as version + 1 if the stored version is `document.version`, else ConflictError."""
        ...

    def delete(self, document: Document) -> bool:
        """Delete it if it still has this version; False otherwise."""
        ...

    def query(self, query: Query) -> list[Document]:
        """Run a declared query. Documents without (None in) an ordered or bounded field are not found."""
        ...

    def count(self, query: Query) -> int:
        """Return how many documents a declared query finds, at most its limit, without reading them."""
        ...
