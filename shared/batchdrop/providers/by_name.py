"""Finding a batch by the name we gave it, for services that keep one but cannot be asked for it."""

from __future__ import annotations

from collections.abc import Callable

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError
from batchdrop.ports import Batch, BatchPage, Found, Intent, Sight


def find_by_name(
    list_batches: Callable[[str | None], BatchPage],
    intent: Intent,
    over: Callable[[], bool],
) -> Found:
    """Look through all pages of the account's batches; a page that fails, or is not reached in time, is no look."""
    ours: list[Batch] = []
    token: str | None = None
    while True:
        try:
            page = list_batches(token)
        except BatchdropError as error:
            return Found(Sight.COULD_NOT_LOOK, code=error.code)
        ours += [batch for batch in page.batches if _is_ours(batch, intent)]
        token = page.next_token
        if token is None:
            break
        if over():
            return Found(Sight.COULD_NOT_LOOK, code=Code.TIME_OVER)
    ours.sort(key=lambda batch: (batch.created_at, batch.name))
    return Found(Sight.OURS, tuple(ours)) if ours else Found(Sight.NONE)


def _is_ours(batch: Batch, intent: Intent) -> bool:
    return batch.display_name == intent.name and batch.name not in intent.past
