"""Why a shard exists, and how it runs: two words of its document, and of the child that its parent names."""

from __future__ import annotations

from enum import StrEnum

from batchdrop.core.value import Value


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


class Child(Value):
    """A child to create: everything its document needs that is not its parent's."""

    shard_id: str
    kind: ShardKind
    route: Route = Route.BATCH
    round: int
    requests: int
    tokens: int
    bytes: int
    attached_bytes: int = 0
    lists: tuple[str, ...]
    list_key: str
