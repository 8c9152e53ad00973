r"""Shards: slices of a job sent as one batch each, and the pure transitions of their records.

    QUEUED > STAGING > STAGED > CREATING > SUBMITTED > ENDED > WRITING > SETTLING > WRITTEN
       \________________________________\______________\______________________> SPLIT CANCELLED

A shard's lines are the accepted lines of its ranges (kind `plan`) or a list kept as a work object (a child).
Children of kind `split` stand in for their parent, which writes no rows. Kinds `again`, `longer` and `standard`
repeat single lines of a parent that wrote a row for every line; of the rows of a line, the best is kept. A `standard`
shard has no batch: its lines are answered by synchronous calls, after the job's deadline.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from batchdrop.core.state.lease import Leasable, check_move
from batchdrop.core.value import Failure, Value
from batchdrop.ports import IndexValue


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


_S = ShardState
SHARD_MOVES: dict[ShardState, frozenset[ShardState]] = {
    _S.QUEUED: frozenset({_S.STAGING, _S.ENDED, _S.CANCELLED}),
    _S.STAGING: frozenset({_S.STAGED, _S.QUEUED, _S.ENDED, _S.CANCELLED}),
    _S.STAGED: frozenset({_S.CREATING, _S.QUEUED, _S.ENDED, _S.CANCELLED}),
    _S.CREATING: frozenset({_S.STAGED, _S.SUBMITTED, _S.QUEUED, _S.ENDED}),
    _S.SUBMITTED: frozenset({_S.ENDED}),
    _S.ENDED: frozenset({_S.WRITING}),
    _S.WRITING: frozenset({_S.SETTLING}),
    _S.SETTLING: frozenset({_S.WRITTEN, _S.SPLIT}),
    _S.WRITTEN: frozenset(),
    _S.SPLIT: frozenset(),
    _S.CANCELLED: frozenset(),
}


class ShardKind(StrEnum):
    """Why a shard exists."""

    PLAN = "plan"
    SPLIT = "split"
    AGAIN = "again"
    LONGER = "longer"
    STANDARD = "standard"

    @property
    def repeats(self) -> bool:
        """True for a redo: the parent has a row for each of its lines already."""
        return self in (ShardKind.AGAIN, ShardKind.LONGER, ShardKind.STANDARD)


TOO_LARGE = "TOO_LARGE"
"""The batch state of a shard that was taken apart before it was sent."""


class Intent(Value):
    """The record of one create call, written before it is sent."""

    attempt: int
    at: datetime
    deadline: datetime


class BatchRef(Value):
    """The adopted batch as last seen, or why there is none (`NONE`, `TOO_LARGE`, `STANDARD`)."""

    name: str = ""
    state: str = ""
    raw_state: str = ""
    output_file: str | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    error_code: int | None = None
    error_message: str = ""
    duplicates: tuple[str, ...] = ()


class SegmentFile(Value):
    """One work object with rows of one range; no object when there are no rows."""

    object: str = ""
    rows: int = 0
    bytes: int = 0
    crc32c: str = ""
    generation: int = 0


class Segment(Value):
    """What a shard wrote of one range; lines in `open_list` go to children that may answer better."""

    range: int
    results: SegmentFile = SegmentFile()
    errors: SegmentFile = SegmentFile()
    by_outcome: dict[str, int] = Field(default_factory=dict[str, int])
    files: int = 0
    file_bytes: int = 0
    usage: dict[str, int] = Field(default_factory=dict[str, int])
    failed: dict[str, int] = Field(default_factory=dict[str, int])
    """Tokens by class of all rows, and of those that are no results."""
    open_list: str = ""
    open: dict[str, int] = Field(default_factory=dict[str, int])


class Child(Value):
    """A child to create: everything its record needs that is not its parent's."""

    shard_id: str
    kind: ShardKind
    round: int
    requests: int
    tokens: int
    bytes: int
    attached_bytes: int = 0
    lists: tuple[str, ...]
    list_key: str


class Shard(Leasable):
    """The record of one shard."""

    schema_: Literal["batchdrop.shard/1"] | str = Field(default="batchdrop.shard/1", alias="schema")
    shard_id: str
    job_id: str
    state: ShardState
    kind: ShardKind = ShardKind.PLAN
    batch_kind: str = "generate"
    parent: str | None = None
    round: int = 0
    first_range: int = 0
    last_range: int = 0
    requests: int
    bytes: int
    """Rendered bytes: exact when `measured`, else in proportion to the parent's."""
    attached_bytes: int = 0
    """Of the objects its lines name; of a child in proportion to its parent's."""
    attached: tuple[str, ...] = ()
    """Work objects that list the files those objects became (`steps.submit.attach`)."""
    measured: bool = False
    lists: tuple[str, ...] = ()
    """Work objects that hold the lines of a child, under `list_key`; empty: all lines of the ranges."""
    list_key: str = ""
    tokens: int
    model: str
    team: str = ""
    priority: int = 0
    queued_at: datetime
    account: str = ""
    """Whose its file and its batch are (`Provider.account`)."""
    file: str | None = None
    file_expires_at: datetime | None = None
    intent: Intent | None = None
    attempts: int = 0
    sought_at: datetime | None = None
    """When a look through all batches last proved that none is this shard's."""
    batch: BatchRef = BatchRef()
    batch_deadline_at: datetime | None = None
    cancel_sent_at: datetime | None = None
    segments: tuple[Segment, ...] = ()
    """The last ones, or all (`steps.write.segment_lists`)."""
    segment_lists: tuple[str, ...] = ()
    """Work objects with the `listed_segments` before them."""
    listed_segments: int = 0
    answers: tuple[str, ...] = ()
    """Work objects with the answers of synchronous calls (kind `standard`)."""
    results_lost: str = ""
    """Why the batch's results can never be read; empty while they may be."""
    unknown_rows: int = 0
    children: tuple[Child, ...] = ()
    stop: Failure | None = None
    """Set when the open lines must not be sent again: cancelled, past the deadline, refused, poisoned."""
    staging_at: datetime | None = None
    submitted_at: datetime | None = None
    written_at: datetime | None = None

    model_config = Leasable.model_config | {"populate_by_name": True}

    def moved(self, state: ShardState, now: datetime, **changes: Any) -> Shard:
        """Return the shard in another state, if the table of moves allows it."""
        check_move(SHARD_MOVES, self.state, state)
        return self.with_(state=state, updated_at=now, **changes)


def shard_index(shard: Shard, expire_at: datetime | None) -> dict[str, IndexValue]:
    """Return the indexed fields of a shard's document."""
    return {
        "due_at": shard.due_at,
        "state": shard.state.value,
        "job_id": shard.job_id,
        "model": shard.model,
        "team": shard.team,
        "priority_rank": -shard.priority,
        "queued_at": shard.queued_at,
        "expire_at": expire_at,
    }
