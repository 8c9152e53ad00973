"""A job's shards taken together: whether all of them have ended, and what they wrote of each range."""

from __future__ import annotations

from collections.abc import Collection

from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState


def closed(job: Job, shards: Collection[Shard]) -> bool:
    """True when every planned shard and every named child exists and has ended."""
    ended = {shard.shard_id for shard in shards if shard.state.terminal}
    planned = {names.shard_id(job.job_id, index) for index in range(job.plan.shards)}
    children = {child.shard_id for shard in shards for child in shard.children}
    return planned | children <= ended


def segments_by_range(
    shards: Collection[Shard],
) -> dict[int, list[tuple[Shard, Segment]]]:
    """Return what each shard that wrote rows has of each range."""
    by_range: dict[int, list[tuple[Shard, Segment]]] = {}
    for shard in shards:
        if shard.state is ShardState.WRITTEN:
            for segment in shard.segments:
                by_range.setdefault(segment.range, []).append((shard, segment))
    return by_range
