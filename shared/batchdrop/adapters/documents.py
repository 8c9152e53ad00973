"""What both Records adapters refuse in the same way: documents Firestore could not hold.

Limits: 1 MiB a document, no array directly inside an array (cloud.google.com/firestore/quotas and
firebase.google.com/docs/firestore/manage-data/data-types).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import KIB, limit
from batchdrop.core.queries import INDEXED
from batchdrop.ports import IndexValue, Kind

_OVERHEAD = 8 * KIB


def checked(kind: Kind, index: Mapping[str, IndexValue], data: Mapping[str, Any]) -> str:
    """Return the data as JSON.

    Raises:
        PermanentError: RECORD_TOO_LARGE, RECORD_SHAPE (an array in an array, or other index fields than declared).
    """
    if set(index) != set(INDEXED[kind]):
        raise PermanentError(f"a {kind} record must have exactly the declared index fields", code="RECORD_SHAPE")
    _no_nested_arrays(data)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode("utf-8", "surrogatepass")) > limit("record") - _OVERHEAD:
        raise PermanentError("a record is larger than 1 MiB", code="RECORD_TOO_LARGE")
    return text


def fresh_write_id() -> str:
    """Return an id no other write has: what it finds stored, the writer knows for its own."""
    return secrets.token_hex(12)


def _no_nested_arrays(value: object, inside_array: bool = False) -> None:
    if isinstance(value, Mapping):
        for entry in value.values():  # pyright: ignore[reportUnknownVariableType]
            _no_nested_arrays(entry)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, (list, tuple)):
        if inside_array:
            raise PermanentError("a record holds an array inside an array", code="RECORD_SHAPE")
        for entry in value:  # pyright: ignore[reportUnknownVariableType]
            _no_nested_arrays(entry, inside_array=True)  # pyright: ignore[reportUnknownArgumentType]
