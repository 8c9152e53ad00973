"""Why a shard exists, and how it runs: two words of its document."""

from __future__ import annotations

from enum import StrEnum


class ShardKind(StrEnum):
    """Why a shard exists."""

    PLAN = "plan"
    HALF = "half"
    AGAIN = "again"
    LONGER = "longer"
    LATE = "late"

    @property
    def repeats(self) -> bool:
        """True for a redo: the parent has a row for each of its lines already."""
        return self in (ShardKind.AGAIN, ShardKind.LONGER, ShardKind.LATE)


class Route(StrEnum):
    """How a shard's lines are answered."""

    BATCH = "batch"
    STANDARD = "standard"

    @property
    def asks(self) -> bool:
        """True when its lines are answered by synchronous calls: there is no batch."""
        return self is not Route.BATCH
