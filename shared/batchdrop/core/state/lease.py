"""What all stored documents share: schema, times, lease and fence; and the pure rules over them.

A lease is time-limited ownership for a foreign effect; its number, the fence, grows with every claim. A
worker that was paused and comes back finds another fence and must stop:

    worker A  claim fence=1 ----pause-----------------------------> replace -> conflict, fence is 2: LeaseLost
    worker B                 lease over, claim fence=2 --> works --> commits
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from batchdrop.core.codes import Code
from batchdrop.core.errors import LeaseLostError, PermanentError
from batchdrop.core.value import Value


class Leasable(Value):
    """A document with a next step (`due_at`), an absolute end (`deadline_at`) and an owner (lease, fence)."""

    created_at: datetime
    updated_at: datetime
    due_at: datetime | None
    deadline_at: datetime
    fence: int = 0
    lease_until: datetime | None = None
    claims: int = 0

    def leased(self, now: datetime) -> bool:
        """True while some worker owns the record."""
        return self.lease_until is not None and now < self.lease_until

    def claimed(self, now: datetime, lease_seconds: float) -> Self:
        """Return the document owned by a new fence; the tick takes over when the lease ends."""
        if self.leased(now):
            raise LeaseLostError(Code.LEASE_HELD)
        until = now + timedelta(seconds=lease_seconds)
        return self._with(
            fence=self.fence + 1,
            lease_until=until,
            due_at=until,
            claims=self.claims + 1,
            updated_at=now,
        )

    def handed_back(self, now: datetime, due_at: datetime | None) -> Self:
        """Return the document owned by no one, due again at that time, its progress counted.

        The one place that says what giving a lease back means; every transition that ends a step goes through here.
        """
        return self._with(lease_until=None, due_at=due_at, claims=0, updated_at=now)

    def taken_over(self, now: datetime) -> Self | None:
        """Return the document of a stack that is certainly dead, due now; None when nobody owns it.

        The fence grows, so that a worker that lives after all cannot write.
        """
        if not self.leased(now):
            return None
        return self._with(
            lease_until=None, fence=self.fence + 1, due_at=now, updated_at=now
        )


def check_move(table: Mapping[Any, frozenset[Any]], old: StrEnum, new: StrEnum) -> None:
    """Raise PermanentError ILLEGAL_MOVE unless the table allows this change of state."""
    if new is not old and new not in table[old]:
        raise PermanentError(
            f"a document cannot go from {old} to {new}", code=Code.ILLEGAL_MOVE
        )
