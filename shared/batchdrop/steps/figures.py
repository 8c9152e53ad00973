"""Figures for monitoring: what waits after a tick. Counts only."""

from __future__ import annotations

from batchdrop.core.logs import TICK_QUEUE
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import queries
from batchdrop.steps.context import Context


def queue_figures(context: Context[CommonSettings]) -> dict[str, int]:
    """Return the fields `logs.TICK_QUEUE`: one document read, and four counts while a job is open."""
    now = context.now()
    oldest = context.store.jobs(queries.oldest_open_job(now))
    if not oldest:
        return dict.fromkeys(TICK_QUEUE, 0)
    count = context.store.count
    age = now - oldest[0].value.created_at
    return {
        "queued": count(queries.queued()),
        "in_flight": count(queries.submitted(queries.COUNTED)),
        "held": count(queries.held_jobs()),
        "overdue": count(queries.overdue_jobs(now)),
        "oldest_job_seconds": int(age.total_seconds()),
    }
