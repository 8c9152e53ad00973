"""Figures for monitoring: what a tick's line and an ended job's line say. Counts and codes only, no text of users."""

from __future__ import annotations

from decimal import Decimal

from batchdrop.core.logs import OUTCOME_PREFIX, TICK_QUEUE, Field
from batchdrop.core.result.outcome import Outcome
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import queries
from batchdrop.core.state.job import Job
from batchdrop.steps.context import Context


def queue_figures(context: Context[CommonSettings]) -> dict[str, int]:
    """Return the fields `logs.TICK_QUEUE`: one document read, and four counts while a job is open."""
    now, count = context.now(), context.store.count
    oldest = context.store.jobs(queries.oldest_open_job(now))
    if not oldest:
        return dict.fromkeys(TICK_QUEUE, 0)
    return {
        "queued": count(queries.queued()),
        "in_flight": count(queries.submitted(queries.COUNTED)),
        "held": count(queries.held_jobs()),
        "overdue": count(queries.overdue_jobs(now)),
        "oldest_job_seconds": int((now - oldest[0].value.created_at).total_seconds()),
    }


def ended_fields(job: Job) -> dict[str, Field]:
    """Return the fields of `logs.JOB_ENDED`; a model that was sent nothing may be any text, so it is left out."""
    counts, ended_at = job.counts, job.ended_at or job.updated_at
    outcomes: dict[str, Field] = {
        f"{OUTCOME_PREFIX}{outcome}": counts.by_outcome.get(outcome, 0)
        for outcome in Outcome
    }
    return {
        "job_id": job.job_id,
        "state": job.state.value,
        "verdict": job.verdict,
        "model": job.model if _sent(job) else None,
        "results": counts.results,
        "errors": counts.errors,
        "rejections": counts.rejections,
        "seconds": round((ended_at - job.created_at).total_seconds(), 3),
        "cost_usd": _cost(job),
        **outcomes,
    }


def _sent(job: Job) -> bool:
    """True when the job was let through its gates: only then can something of it have been sent."""
    return job.planned_at is not None


def _cost(job: Job) -> float | None:
    """Return dollars; None when something was sent whose price is not known."""
    if job.cost is None:
        return None if _sent(job) else 0.0
    amount = job.cost["amount"]
    return None if amount is None else float(Decimal(amount))
