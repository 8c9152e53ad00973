"""Spawning: the shards a plan names are created, idempotently, and queue."""

from __future__ import annotations

from collections.abc import Iterator
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
    for plan in _planned(context, job):
        context.store.ensure(_shard(context, job, plan))

    now = context.now()
    later = context.later(context.settings.lease_seconds)
    due_at = min(later, job.deadline_at)
    keep(context, stored, lambda job: job.queued(now, due_at))
    dispatch(context, pool)


def _planned(context: Planning, job: Job) -> Iterator[ShardPlan]:
    """Yield the shards of a plan, part by part."""
    for name in job.plan.parts:
        part = work.get(context, name)
        for plan in decode_plan(part):
            if isinstance(plan, ShardPlan):
                yield plan


def _shard(context: Planning, job: Job, plan: ShardPlan) -> Shard:
    now = context.now()
    shard_id = names.shard_id(job.job_id, plan.index)
    return Shard(
        shard_id=shard_id,
        job_id=job.job_id,
        state=ShardState.QUEUED,
        batch_kind=job.plan.batch_kind,
        first_range=plan.first_range,
        last_range=plan.last_range,
        requests=plan.requests,
        bytes=plan.bytes,
        attached_bytes=plan.attached,
        measured=True,
        tokens=plan.tokens,
        provider=job.provider,
        model=job.model,
        account=job.account,
        wire=wire(context, job, shard_id),
        team=job.team,
        priority=job.priority,
        queued_at=job.created_at + plan.index * STRIDE,
        created_at=now,
        updated_at=now,
        due_at=job.deadline_at,
        deadline_at=job.deadline_at,
    )
