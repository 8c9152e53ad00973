"""The stack's own document: its identity, by which its batches are told from anyone else's, and whether it is paused.

While the stack is paused nothing new goes to the provider: dispatch, staging, create and synchronous calls read the
pause before they begin. Looking, cancelling and writing go on. A pause has an end, so that nothing waits for ever.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from batchdrop.core.errors import ConflictError, TransientError
from batchdrop.core.settings import CommonSettings
from batchdrop.ports import Kind
from batchdrop.store import ATTEMPTS
from batchdrop.usecases.context import Context

_ID = "stack"
_PAUSED = "paused"
PAUSED_SECONDS = 60.0
"""After this time whatever found the stack paused looks again."""


def stack_id(context: Context[CommonSettings]) -> str:
    """Return this stack's id for display names, the same for ever."""
    return str(_stack(context)["stack_id"])


def stack_created_at(context: Context[CommonSettings]) -> datetime:
    """Return when the stack first ran; older objects are none of its business."""
    return datetime.fromisoformat(str(_stack(context)["created_at"]))


def paused(context: Context[CommonSettings]) -> bool:
    """Tell whether nothing new may be sent to the provider."""
    pause: dict[str, str] | None = _stack(context).get(_PAUSED)
    return pause is not None and context.now() < datetime.fromisoformat(pause["until"])


def pause(context: Context[CommonSettings], until: datetime, by: str) -> None:
    """Let nothing new be sent until then; again while it is paused: the new end counts."""
    _change(context, {"until": until.isoformat(), "by": by})


def resume(context: Context[CommonSettings]) -> None:
    """End a pause; nothing happens when there is none."""
    _change(context, None)


def _change(context: Context[CommonSettings], pause: dict[str, str] | None) -> None:
    records = context.store.records
    for _ in range(ATTEMPTS):
        if _stack(context).get(_PAUSED) == pause:
            return
        document = records.get(Kind.META, _ID)
        assert document is not None
        try:
            records.replace(document, index={}, data={**document.data, _PAUSED: pause})
            return
        except ConflictError:
            continue
    raise TransientError("the stack's document kept changing", code="CONTENTION")


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
