"""Continuing: what a function's time is too short for goes on in a new message."""

from __future__ import annotations

from typing import Any

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.ports import Topic
from batchdrop.steps.context import Context
from batchdrop.store import Stored


def continue_later(context: Context[CommonSettings], stored: Stored[Job], **cursor: Any) -> None:
    """Save where the job is and give it back in one change, then wake it; a lost wake is sent again by the tick."""
    now = context.now()
    fence = stored.value.fence
    job = context.store.change(stored, lambda job: job.handed_back(now, now).with_(**cursor), fence=fence).value
    context.wake(Topic.SHARDS, job.job_id)
