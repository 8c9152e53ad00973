"""What the line in the log says of a job that has ended: counts and codes only, no text of users."""

from __future__ import annotations

from decimal import Decimal

from batchdrop.core.logs import OUTCOME_PREFIX, Field
from batchdrop.core.result.outcome import Outcome
from batchdrop.core.state.job import Job


def ended_fields(job: Job) -> dict[str, Field]:
    """Return the fields of `logs.JOB_ENDED`; a model that was sent nothing may be any text, so it is left out."""
    counts, length = job.counts, (job.ended_at or job.updated_at) - job.created_at
    return {
        "job_id": job.job_id,
        "state": job.state.value,
        "verdict": job.verdict,
        "model": job.model if _sent(job) else None,
        "results": counts.results,
        "errors": counts.errors,
        "rejections": counts.rejections,
        "seconds": round(length.total_seconds(), 3),
        "cost_usd": _cost(job),
        **_outcomes(job),
    }


def _outcomes(job: Job) -> dict[str, Field]:
    by_outcome = job.counts.by_outcome
    return {
        f"{OUTCOME_PREFIX}{outcome}": by_outcome.get(outcome, 0) for outcome in Outcome
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
