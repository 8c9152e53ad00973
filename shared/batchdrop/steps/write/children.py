"""Children: the shards that take up what a shard leaves open, named in its record before they exist.

half     the batch failed whole, or the shard is above the learnt limit: halves that stand in for it
again    lines another try may answer; halves of them when the batch was stuck
longer   lines cut off at their output limit, with twice the limit
late     lines still open at the job's deadline, answered by synchronous calls if the upload asks for that
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from batchdrop.core.limits import limit
from batchdrop.core.logs import log
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.children import (
    Lines,
    child_of,
    listed,
    open_lines,
    runs,
    stuck,
)
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Child, Shard, ShardKind
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.shard_lines import line_numbers

Writing = Context[WriteSettings]

_REPEATING = (ShardKind.AGAIN, ShardKind.LONGER, ShardKind.LATE)
_decode_lists = msgspec.json.Decoder(dict[str, list[int]]).decode


def halves(context: Writing, shard: Shard, job: Job) -> tuple[Child, ...]:
    """Name two children that stand in for the shard, each with half of its lines."""
    numbers = list(line_numbers(context, job, shard))
    log(
        "shard split",
        severity="WARNING",
        shard_id=shard.shard_id,
        requests=len(numbers),
    )
    return _named(
        context,
        shard,
        ShardKind.HALF,
        shard.round,
        runs(numbers, 2),
    )


def next_round(
    context: Writing, shard: Shard, segments: Sequence[Segment]
) -> tuple[Child, ...]:
    """Name the children for the lines that another try can help, by what makes the try useful."""
    children: list[Child] = []
    for kind in _REPEATING:
        lines = open_lines(segments, kind)
        if lines.count:
            children += _again(context, shard, kind, lines)
    return tuple(children)


def _again(
    context: Writing, shard: Shard, kind: ShardKind, lines: Lines
) -> tuple[Child, ...]:
    """Name one child that reads the segments' own lists, or several where those are too many or too long."""
    round = shard.round + (shard.rest_kind is None)
    cut = kind is ShardKind.LATE or (stuck(shard) and lines.count > 1)
    if not cut and len(lines.lists) <= limit("record_list"):
        return (child_of(shard, kind, 0, round, lines),)
    numbers = _numbers(context, lines)
    pieces = _pieces(context, kind, len(numbers)) if cut else 1
    return _named(context, shard, kind, round, runs(numbers, pieces))


def _pieces(context: Writing, kind: ShardKind, count: int) -> int:
    """Return how many children share so many lines: two, or as many as calls can answer in one go."""
    if kind is not ShardKind.LATE:
        return 2
    return -(-count // context.settings.finish_requests)


def _numbers(context: Writing, lines: Lines) -> list[int]:
    """Read the numbers of lines from their lists."""
    lists = (_decode_lists(work.get(context, name)) for name in lines.lists)
    return sorted(number for found in lists for number in found.get(lines.key, ()))


def _named(
    context: Writing,
    shard: Shard,
    kind: ShardKind,
    round: int,
    cut: Sequence[Sequence[int]],
) -> tuple[Child, ...]:
    """Write the runs of lines as one work object and name a child for each."""
    name = names.line_list(shard.shard_id, shard.fence, kind.value)
    lists = listed(cut)
    work.put(context, name, [msgspec.json.encode(lists)])
    children: list[Child] = []
    for index, run in enumerate(cut):
        lines = Lines(len(run), (name,), str(index))
        children.append(child_of(shard, kind, index, round, lines))
    return tuple(children)
