"""When a job is over: each shard of its plan and each child that one of them names exists, and has ended."""

from __future__ import annotations

from collections.abc import Collection

from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard


def closed(job: Job, shards: Collection[Shard]) -> bool:
    """True when every planned shard and every named child exists and has ended."""
    ended = {shard.shard_id for shard in shards if shard.state.terminal}
    planned = {names.shard_id(job.job_id, index) for index in range(job.plan.shards)}
    children = {child.shard_id for shard in shards for child in shard.children}
    return planned | children <= ended
