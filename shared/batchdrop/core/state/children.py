"""Children of a shard, pure: when it is taken apart, what each of them takes over, how each begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from batchdrop.core.state import names
from batchdrop.core.state.batch import NoBatch
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Child, Route, Shard, ShardKind
from batchdrop.core.state.shard_state import ShardState


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines for one child: how many, and the work objects that list them under a key."""

    count: int
    lists: tuple[str, ...]
    key: str


def open_lines(segments: Sequence[Segment], kind: ShardKind) -> Lines:
    """Return the lines of a shard's segments that another try of a kind can help."""
    of_kind = [segment for segment in segments if segment.open.get(kind.value)]
    return Lines(
        sum(segment.open[kind.value] for segment in of_kind),
        tuple(segment.open_list for segment in of_kind),
        kind.value,
    )


def taken_apart(shard: Shard, smallest: int) -> bool:
    """A batch that failed whole is taken apart, never sent again unchanged; a single line is not."""
    if shard.batch.state is NoBatch.TOO_LARGE:
        return True
    may_run = shard.stop is None and shard.requests > smallest
    return may_run and shard.batch.failed_whole


def stuck(shard: Shard) -> bool:
    """True when the provider did not end the batch in time: sent again whole, it would hang again."""
    return shard.batch.stopped or shard.cancel_sent_at is not None


def runs(numbers: Sequence[int], pieces: int) -> list[Sequence[int]]:
    """Cut lines into so many runs of about the same length."""
    size = -(-len(numbers) // pieces)
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def child_of(
    parent: Shard, kind: ShardKind, index: int, round: int, lines: Lines
) -> Child:
    """Return a child with some of its parent's lines; what nobody measured is in proportion to the parent's."""
    share = lines.count / max(parent.requests, 1)
    return Child(
        shard_id=names.child_id(parent.shard_id, kind.value, index),
        kind=kind,
        route=Route.STANDARD if kind is ShardKind.LATE else Route.BATCH,
        round=round,
        requests=lines.count,
        tokens=max(int(parent.tokens * share), 1),
        bytes=max(int(parent.bytes * share), 1),
        attached_bytes=-int(-parent.attached_bytes * share // 1),
        lists=lines.lists,
        list_key=lines.key,
    )


def shard_of(
    parent: Shard, child: Child, deadline_at: datetime, wire: str, now: datetime
) -> Shard:
    """Return the document of a child as it begins: in the queue, or ended when it needs no batch."""
    asks = child.route.asks
    return Shard(
        shard_id=child.shard_id,
        job_id=parent.job_id,
        state=ShardState.ENDED if asks else ShardState.QUEUED,
        kind=child.kind,
        route=child.route,
        batch_kind=parent.batch_kind,
        parent=parent.shard_id,
        round=child.round,
        first_range=parent.first_range,
        last_range=parent.last_range,
        requests=child.requests,
        bytes=child.bytes,
        attached_bytes=child.attached_bytes,
        lists=child.lists,
        list_key=child.list_key,
        tokens=child.tokens,
        provider=parent.provider,
        model=parent.model,
        account=parent.account,
        wire=wire,
        team=parent.team,
        priority=parent.priority,
        queued_at=now,
        created_at=now,
        updated_at=now,
        due_at=now if asks else deadline_at,
        deadline_at=deadline_at,
    )


def listed(runs: Iterable[Sequence[int]]) -> dict[str, list[int]]:
    """Return runs of lines as a work object lists them: each under its number."""
    return {str(index): list(run) for index, run in enumerate(runs)}
