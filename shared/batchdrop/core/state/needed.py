"""What the documents still need at the provider and in WORK: what none of them needs is swept."""

from __future__ import annotations

from datetime import datetime

from batchdrop.core.state.capacity import STARTED_WITHIN, Reservation
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState


def may_adopt(shard: Shard) -> bool:
    """True while a shard has no batch and may still get one; an ended one without a batch never will."""
    return not shard.batch.name and shard.state.unsent


def uses_file(shard: Shard, file: str) -> bool:
    """Tell whether a file made under the shard's name is of use to it; while it is staged, any of them may be."""
    if shard.state.terminal:
        return False
    return (
        shard.state is ShardState.STAGING or shard.file == file or bool(shard.attached)
    )


def holds_capacity(shard: Shard) -> bool:
    """Tell whether the shard has, or may get, something at the provider that its reservation stands for."""
    return shard.state.unsent or shard.state is ShardState.SUBMITTED


def was_left(shard: Shard, entry: Reservation, now: datetime) -> bool:
    """Tell whether a dispatch reserved capacity and died before it started the shard, which waits in the queue."""
    if entry.at is None:
        return False
    started_by = entry.at + STARTED_WITHIN
    return shard.state is ShardState.QUEUED and now >= started_by


def uses_cache(job: Job, cache: str) -> bool:
    """Tell whether a job that has not ended names this cache."""
    if job.caching is None or job.state.terminal:
        return False
    return cache in (use.name for use in job.caching.uses)


def needs_work(job: Job) -> bool:
    """Tell whether the job's work objects are still read, or still to be deleted by its own end."""
    return not (job.state.terminal and job.cleaned)
