"""The batches in flight as a tick meets them: which are due, and what their providers say of so many at once.

Which of them a tick looks at follows from their age alone (every tick at first, then one tick in so many, spread by a
hash), so nothing is written to remember it. They are read page by page in the order of the shards' ids. A tick whose
time is over before it has met them all keeps where it was, and the next one goes on behind that:

    shards by id    a . . . . . . . k . . . . . . . z
    a tick          |-------------->| its time is over, k is kept
    the next one    ------->|       |---------------|
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, takewhile
from typing import Final

from batchdrop.core.errors import BatchdropError
from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import queries
from batchdrop.core.state.shard import Shard
from batchdrop.core.value import Value
from batchdrop.ports import Batch, Batches
from batchdrop.steps.context import Context
from batchdrop.store import Stored

Polling = Context[PollSettings]

TICK: Final = timedelta(minutes=1)
ASKED_SINGLY: Final = 50
"""Batches of one provider that a tick asks for one by one; of more, it reads the provider's list first."""
LIST_PAGES: Final = 200
"""Of that list: others' batches, and those that ended, stand in it too."""
_PAGE: Final = 500
_KEPT: Final = "looks"


class Looks(Value):
    """Where the looks go on."""

    after: str = ""
    """The last shard that a tick met before its time was over; empty: it met all."""


# ------------------------------------------------------------------------------------------ which are due
def due_shards(context: Polling) -> Iterator[Stored[Shard]]:
    """Yield the shards whose batch is due to be looked at until the call's time is over; keep where that was."""
    kept = context.store.meta(Looks)
    met = begun = (kept.get(_KEPT) or Looks()).after
    for stored in _in_flight(context, begun):
        if context.time_left.over():
            break
        met = stored.value.shard_id
        if is_due(stored.value, context.now(), context.settings):
            yield stored
    else:
        met = ""
    if met != begun:
        kept.change(_KEPT, Looks(), lambda _: Looks(after=met))


def is_due(shard: Shard, now: datetime, settings: PollSettings) -> bool:
    """Decide by age alone whether the tick of this minute looks at a shard's batch."""
    age = now - (shard.submitted_at or shard.created_at)
    if age < timedelta(minutes=settings.look_first_minutes) or shard.must_not_go_on(
        now
    ):
        return True
    ticks = int(now.timestamp() / TICK.total_seconds())
    return (
        ticks + zlib.crc32(shard.shard_id.encode())
    ) % settings.look_spread_ticks == 0


def _in_flight(context: Polling, begun: str) -> Iterator[Stored[Shard]]:
    """Yield all shards that are at a provider: those behind one, then the others."""
    if not begun:
        return _behind(context, "")
    before = takewhile(
        lambda stored: stored.value.shard_id <= begun, _behind(context, "")
    )
    return chain(_behind(context, begun), before)


def _behind(context: Polling, after: str) -> Iterator[Stored[Shard]]:
    more = True
    while more:
        found = context.store.shards(queries.submitted(_PAGE, after))
        yield from found
        more = len(found) == _PAGE
        after = found[-1].value.shard_id if more else ""


# --------------------------------------------------------------------------------------- what is said of them
class Told:
    """What the providers say of the batches that one tick asks about."""

    def __init__(self, context: Polling) -> None:
        self._context = context
        self._asked: dict[str, _Asked] = {}

    def of(self, shard: Shard) -> Batch | None:
        """Return what the provider says of a shard's batch; None when it does not know it.

        Raises:
            TransientError: It cannot be asked now.
        """
        batches = self._context.provider_of(shard).batches
        asked = self._asked.setdefault(shard.provider, _Asked(self._context, batches))
        return asked.get(shard.batch.name)


class _Asked:
    """One provider: asked for each batch, and once there are many, for the list of all."""

    def __init__(self, context: Polling, batches: Batches) -> None:
        self._over = context.time_left.over
        self._batches = batches
        self._count = 0
        self._running: dict[str, Batch] = {}

    def get(self, name: str) -> Batch | None:
        """Return a batch from the list if it says that it runs; of an end, only the batch itself tells all."""
        self._count += 1
        if self._count == ASKED_SINGLY + 1:
            self._read()
        return self._running.get(name) or self._batches.get(name)

    def _read(self) -> None:
        """Read the list as far as it goes; what it does not show is asked for by itself."""
        token: str | None = None
        try:
            for _ in range(LIST_PAGES):
                page = self._batches.list(token)
                running = (each for each in page.batches if not each.state.terminal)
                self._running |= {batch.name: batch for batch in running}
                token = page.next_token
                if token is None or self._over():
                    return
        except BatchdropError as error:
            log("batches could not be listed", severity="WARNING", code=error.code)
