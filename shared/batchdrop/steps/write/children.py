"""Children: the shards that take up what a shard leaves open, named in its record before they exist.

half     the batch failed whole, or the shard is above the learnt limit: halves that stand in for it
again    lines another try may answer; halves of them when the batch was stuck
longer   lines cut off at their output limit, with twice the limit
late     lines still open at the job's deadline, answered by synchronous calls if the upload asks for that
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from batchdrop.core.limits import limit
from batchdrop.core.logs import log
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.batch import NoBatch
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Child, Route, Shard, ShardKind
from batchdrop.core.state.shard_state import ShardState
from batchdrop.ports import BatchState, Cause
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.shard_lines import line_numbers

Writing = Context[WriteSettings]

_decode_lists = msgspec.json.Decoder(dict[str, list[int]]).decode


def taken_apart(shard: Shard, smallest: int) -> bool:
    """A batch that failed whole is taken apart, never sent again unchanged; a single line is not."""
    if shard.batch.state is NoBatch.TOO_LARGE:
        return True
    failed = (
        shard.batch.state is BatchState.FAILED
        and not shard.batch.parts
        and shard.batch.cause is not Cause.OURS
    )
    return failed and shard.stop is None and shard.requests > smallest


def halves(context: Writing, shard: Shard, job: Job) -> tuple[Child, ...]:
    """Name two children that stand in for the shard, each with half of its lines."""
    numbers = list(line_numbers(context, job, shard))
    log(
        "shard split",
        severity="WARNING",
        shard_id=shard.shard_id,
        requests=len(numbers),
    )
    return _named(context, shard, ShardKind.HALF, shard.round, _cut(numbers, 2))


def next_round(
    context: Writing, shard: Shard, segments: Sequence[Segment]
) -> tuple[Child, ...]:
    """Name the children for the lines that another try can help, by what makes the try useful."""
    found: list[Child] = []
    for kind in (ShardKind.AGAIN, ShardKind.LONGER, ShardKind.LATE):
        lists = tuple(
            segment.open_list for segment in segments if segment.open.get(kind.value)
        )
        count = sum(segment.open.get(kind.value, 0) for segment in segments)
        if not count:
            continue
        cut = kind is ShardKind.LATE or (_stuck(shard) and count > 1)
        if cut or len(lists) > limit("record_list"):
            numbers = _open_lines(context, lists, kind)
            pieces = _pieces(context, kind, len(numbers)) if cut else 1
            found += _named(
                context, shard, kind, shard.round + 1, _cut(numbers, pieces)
            )
        else:
            found.append(
                _child(shard, kind, 0, shard.round + 1, count, lists, kind.value)
            )
    return tuple(found)


def shard_of(parent: Shard, child: Child, job: Job, wire: str, now: datetime) -> Shard:
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
        due_at=now if asks else job.deadline_at,
        deadline_at=job.deadline_at,
    )


def _stuck(shard: Shard) -> bool:
    """True when the provider did not end the batch in time: sent again whole, it would hang again."""
    return (
        shard.batch.state in (BatchState.CANCELLED, BatchState.EXPIRED)
        or shard.cancel_sent_at is not None
    )


def _pieces(context: Writing, kind: ShardKind, count: int) -> int:
    return (
        -(-count // context.settings.finish_requests) if kind is ShardKind.LATE else 2
    )


def _open_lines(context: Writing, lists: Iterable[str], kind: ShardKind) -> list[int]:
    entries = (_decode_lists(work.get(context, name)) for name in lists)
    return sorted(number for entry in entries for number in entry.get(kind.value, ()))


def _cut(numbers: Sequence[int], pieces: int) -> list[Sequence[int]]:
    """Cut lines into so many runs of about the same length."""
    size = -(-len(numbers) // pieces)
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _named(
    context: Writing,
    shard: Shard,
    kind: ShardKind,
    round: int,
    runs: Sequence[Sequence[int]],
) -> tuple[Child, ...]:
    """Write the runs of lines as one work object and name a child for each."""
    name = names.line_list(shard.shard_id, shard.fence, kind.value)
    lists = {str(index): list(run) for index, run in enumerate(runs)}
    work.put(context, name, [msgspec.json.encode(lists)])
    return tuple(
        _child(shard, kind, index, round, len(run), (name,), str(index))
        for index, run in enumerate(runs)
        if run
    )


def _child(
    shard: Shard,
    kind: ShardKind,
    index: int,
    round: int,
    count: int,
    lists: tuple[str, ...],
    key: str,
) -> Child:
    share = count / max(shard.requests, 1)
    return Child(
        shard_id=names.child_id(shard.shard_id, kind.value, index),
        kind=kind,
        route=Route.STANDARD if kind is ShardKind.LATE else Route.BATCH,
        round=round,
        requests=count,
        tokens=max(int(shard.tokens * share), 1),
        bytes=max(int(shard.bytes * share), 1),
        attached_bytes=-int(-shard.attached_bytes * share // 1),
        lists=lists,
        list_key=key,
    )
