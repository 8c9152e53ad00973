"""The states of a shard, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class ShardState(StrEnum):
    """Where a shard is."""

    QUEUED = "QUEUED"
    STAGING = "STAGING"
    STAGED = "STAGED"
    CREATING = "CREATING"
    SUBMITTED = "SUBMITTED"
    ENDED = "ENDED"
    WRITING = "WRITING"
    SETTLING = "SETTLING"
    WRITTEN = "WRITTEN"
    SPLIT = "SPLIT"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """True when nothing will happen to the shard any more."""
        return not SHARD_MOVES[self]

    @property
    def unsent(self) -> bool:
        """True until a batch is recorded: one may still be created."""
        return self in _UNSENT


_S = ShardState
_UNSENT = frozenset({_S.QUEUED, _S.STAGING, _S.STAGED, _S.CREATING})
SHARD_MOVES: dict[ShardState, frozenset[ShardState]] = {
    _S.QUEUED: frozenset({_S.STAGING, _S.ENDED, _S.CANCELLED}),
    _S.STAGING: frozenset({_S.STAGED, _S.QUEUED, _S.ENDED, _S.CANCELLED}),
    _S.STAGED: frozenset({_S.CREATING, _S.QUEUED, _S.ENDED, _S.CANCELLED}),
    _S.CREATING: frozenset({_S.STAGED, _S.SUBMITTED, _S.QUEUED, _S.ENDED}),
    _S.SUBMITTED: frozenset({_S.ENDED, _S.QUEUED}),
    _S.ENDED: frozenset({_S.WRITING}),
    _S.WRITING: frozenset({_S.SETTLING}),
    _S.SETTLING: frozenset({_S.WRITTEN, _S.SPLIT}),
    _S.WRITTEN: frozenset(),
    _S.SPLIT: frozenset(),
    _S.CANCELLED: frozenset(),
}
