"""The stored form of a document, the same in both Documents adapters: `{version, write_id, <indexed fields>, data}`.

`data` is one JSON text. As a map it would have the service's rules for names (none empty, none `__.*__`), for arrays
in arrays and for integers above 64 bits, and a user's column or label would become a field name; as a text it has a
size, and that is what Firestore counts. Order is kept.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from batchdrop.adapters.refusing import check_record_id, check_record_size
from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.state.queries import INDEXED
from batchdrop.ports import Collection, IndexValue

_INT64: Final = 1 << 63


def encoded(
    kind: Collection, id: str, index: Mapping[str, IndexValue], data: Mapping[str, Any]
) -> str:
    """Return the data as JSON text, escaped only where UTF-8 cannot hold it.

    Raises:
        PermanentError: RECORD_ID, RECORD_TOO_LARGE, or RECORD_SHAPE (wrong or unstorable index fields).
    """
    check_record_id(id)
    if set(index) != set(INDEXED[kind]):
        raise PermanentError(
            f"a {kind} record must have exactly the declared index fields",
            code=Code.RECORD_SHAPE,
        )
    if not all(map(_searchable, index.values())):
        raise PermanentError(
            f"an index field of a {kind} record cannot be stored",
            code=Code.RECORD_SHAPE,
        )
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    if not _writable(text):
        text = json.dumps(data, separators=(",", ":"))
    check_record_size(text)
    return text


def decoded(text: object) -> dict[str, Any]:
    """Read what `encoded` wrote.

    Raises:
        PermanentError: RECORD_FORMAT, for what another version stored in its place.
    """
    if not isinstance(text, str):
        raise PermanentError(Code.RECORD_FORMAT)
    found: dict[str, Any] = json.loads(text)
    return found


def fresh_write_id() -> str:
    """Return an id no other write has: what it finds stored, the writer knows for its own."""
    return secrets.token_hex(12)


def _searchable(value: IndexValue) -> bool:
    """Tell whether both stores can hold the value of an index field: UTF-8, 64 bits."""
    if isinstance(value, str):
        return _writable(value)
    return not isinstance(value, int) or -_INT64 <= value < _INT64


def _writable(text: str) -> bool:
    """Tell whether UTF-8 can hold the text; a lone surrogate from a user's JSON it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
