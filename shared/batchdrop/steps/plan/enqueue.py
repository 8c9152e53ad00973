"""Spawning: the shards a plan names are created, idempotently, and queue."""

from __future__ import annotations

from datetime import timedelta

from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.capacity import pool_of
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.upload.cut import ShardPlan, decode_plan
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import dispatch, ensure_ledger
from batchdrop.steps.progress import keep
from batchdrop.steps.stack import wire
from batchdrop.store import Stored

Planning = Context[SubmitSettings]

STRIDE = timedelta(minutes=1)
"""A job's n-th shard queues as if it came n minutes later: small jobs are served between."""


def spawn(context: Planning, stored: Stored[Job]) -> None:
    """Create the shards the plan names, idempotently, and let them queue."""
    job = stored.value
    pool = pool_of(job.provider, job.model)
    ensure_ledger(context, pool)
    for name in job.plan.parts:
        for entry in decode_plan(work.get(context, name)):
            if isinstance(entry, ShardPlan):
                context.store.ensure(_shard(context, job, entry))
    now = context.now()
    due_at = min(context.later(context.settings.lease_seconds), job.deadline_at)
    keep(context, stored, lambda job: job.queued(now, due_at))
    dispatch(context, pool)


def _shard(context: Planning, job: Job, entry: ShardPlan) -> Shard:
    now, shard_id = context.now(), names.shard_id(job.job_id, entry.index)
    return Shard(
        shard_id=shard_id,
        job_id=job.job_id,
        state=ShardState.QUEUED,
        batch_kind=job.plan.batch_kind,
        first_range=entry.first_range,
        last_range=entry.last_range,
        requests=entry.requests,
        bytes=entry.bytes,
        attached_bytes=entry.attached,
        measured=True,
        tokens=entry.tokens,
        provider=job.provider,
        model=job.model,
        account=job.account,
        wire=wire(context, job, shard_id),
        team=job.team,
        priority=job.priority,
        queued_at=job.created_at + entry.index * STRIDE,
        created_at=now,
        updated_at=now,
        due_at=job.deadline_at,
        deadline_at=job.deadline_at,
    )
