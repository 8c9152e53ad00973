"""The stack's own identity, made once and stored, so that its batches can be told from anyone else's."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from batchdrop.core.errors import ConflictError, TransientError
from batchdrop.core.settings import CommonSettings
from batchdrop.ports import Kind
from batchdrop.usecases.context import Context

_ID = "stack"


def stack_id(context: Context[CommonSettings]) -> str:
    """Return this stack's id for display names, the same for ever."""
    return str(_stack(context)["stack_id"])


def stack_created_at(context: Context[CommonSettings]) -> datetime:
    """Return when the stack first ran; older objects are none of its business."""
    return datetime.fromisoformat(str(_stack(context)["created_at"]))


def _stack(context: Context[CommonSettings]) -> dict[str, Any]:
    records = context.store.records
    document = records.get(Kind.META, _ID)
    if document is None:
        fresh = {
            "schema": "batchdrop.stack/1",
            "stack_id": secrets.token_hex(4),
            "created_at": context.now().isoformat(),
        }
        try:
            document = records.create(Kind.META, _ID, index={}, data=fresh)
        except ConflictError:
            document = records.get(Kind.META, _ID)
    if document is None:
        raise TransientError("the stack's identity could not be read", code="STACK_UNKNOWN")
    return dict(document.data)
