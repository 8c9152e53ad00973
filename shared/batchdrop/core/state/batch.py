"""A shard's batch as its document keeps it, and why there is none."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import Field

from batchdrop.core.facts import Facts
from batchdrop.core.limits import limit
from batchdrop.core.provider.batch import (
    Batch,
    BatchState,
    Cause,
    Mark,
    NamedLine,
)
from batchdrop.core.value import Failure, Value


class NoBatch(StrEnum):
    """Why there is no batch, or none any more."""

    NOT_YET = ""
    NONE = "NONE"
    """Ended before one was created."""
    TOO_LARGE = "TOO_LARGE"
    """Taken apart before it was sent."""
    GONE = "GONE"
    """The provider does not know it any more."""


_CUT_SHORT: Final = frozenset(
    {
        BatchState.CANCELLED,
        BatchState.CANCELLING,
        BatchState.EXPIRED,
        NoBatch.GONE,
    }
)


class Intent(Value):
    """One create call, stored before it is sent."""

    attempt: int
    at: datetime
    deadline: datetime
    mark: Mark | None = None
    """Where the account's batches ended before it; None: not asked, or the service needs none."""
    unseen_at: datetime | None = None
    """When a look after the quarantine first showed no batch of it."""

    def unseen(self, looked_at: datetime) -> Intent:
        """A look that began then, after the quarantine, showed no batch of it; the first such look counts."""
        return self._with(unseen_at=self.unseen_at or looked_at)


class Owner(Value):
    """Whose a batch is that carries no name: claimed once, before the shard records it."""

    schema_: str = Field(default="batchdrop.owner/1", alias="schema")
    shard_id: str

    model_config = Value.model_config | {"populate_by_name": True}


class BatchRef(Value):
    """The adopted batch as last seen, or why there is none."""

    name: str = ""
    state: BatchState | NoBatch = NoBatch.NOT_YET
    raw_state: str = ""
    parts: tuple[str, ...] = ()
    """Its result files."""
    created_at: datetime | None = None
    ended_at: datetime | None = None
    cause: Cause | None = None
    failure: Failure | None = None
    """What to do about a batch that failed whole, and what its provider says of it."""
    named_lines: tuple[NamedLine, ...] = ()
    """The first of the lines it failed for; the others are named again when these are left out."""
    said_at: datetime | None = None
    """When a look first showed this word and these parts."""
    duplicates: tuple[str, ...] = ()

    @property
    def failed_whole(self) -> bool:
        """True when nothing of it was answered, and not for lines that were made wrongly or that are named."""
        failed = self.state is BatchState.FAILED and not self.parts
        return failed and self.cause is not Cause.OURS and not self.named_lines

    @property
    def cut_short(self) -> bool:
        """True when it ended, or ends, before the provider had done all of it."""
        return self.state in _CUT_SHORT

    @property
    def stopped(self) -> bool:
        """True when it ended before the provider had done all of it."""
        return self.state in (BatchState.CANCELLED, BatchState.EXPIRED)

    def settled(self, batch: Batch, now: datetime, facts: Facts) -> bool:
        """Tell whether what an ended batch says is the last word: it said so a while ago, or ended long enough ago."""
        apart = timedelta(seconds=facts.settle_apart)
        if self.knows(batch) and self.said_at and now >= self.said_at + apart:
            return True
        late = timedelta(seconds=facts.settle_seconds)
        return now >= (batch.ended_at or now) + late

    def knows(self, batch: Batch) -> bool:
        """Tell whether nothing has changed since the last look."""
        said = self.said_at is not None
        return said and self.state is batch.state and self.parts == batch.parts

    def seen(self, batch: Batch, now: datetime) -> BatchRef:
        """Keep the provider's word, the results it names so far, and since when it says so."""
        return self._with(
            state=batch.state,
            raw_state=batch.raw_state,
            parts=batch.parts,
            said_at=self.said_at if self.knows(batch) else now,
        )

    def ended(self, batch: Batch) -> BatchRef:
        """Keep all the provider says of a batch that will not change any more."""
        failed = batch.failed
        failure = failed and Failure(code=failed.code, message=failed.message)
        named = failed.lines[: limit("named_lines")] if failed else ()
        return self._with(
            state=batch.state,
            raw_state=batch.raw_state,
            parts=batch.parts,
            ended_at=batch.ended_at,
            cause=failed and failed.cause,
            failure=failure,
            named_lines=named,
        )

    def gone(self) -> BatchRef:
        """The provider does not know the batch any more; its last word stays."""
        return self._with(state=NoBatch.GONE)

    def after(self, earlier: BatchRef) -> BatchRef:
        """Keep the duplicates of a batch that this one takes the place of."""
        return self._with(duplicates=(*earlier.duplicates, *self.duplicates))

    def with_duplicate(self, name: str) -> BatchRef:
        """Name a batch of the same shard that is not its own."""
        return self._with(duplicates=(*self.duplicates, name))
