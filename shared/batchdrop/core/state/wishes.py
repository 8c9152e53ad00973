"""What a person may want of a job, and why it makes no sense."""

from __future__ import annotations

from batchdrop.core.state.job import CANCEL, Job, JobState
from batchdrop.core.state.why import RELEASABLE


def senseless(job: Job, wanted: str) -> str:
    """Say why a job cannot do what is wanted; empty when it can."""
    if job.state.terminal:
        return f"the job has ended: {job.state.value}"
    if wanted == CANCEL:
        return ""
    if job.wanted == CANCEL:
        return "the job was told to cancel, and that is not taken back"
    if job.state is not JobState.HELD or job.failure is None:
        return f"the job is not held: it is {job.state.value}"
    if job.failure.code not in RELEASABLE:
        return (
            f"nobody can release it from this: {job.failure.message} {job.failure.fix}"
        )
    return ""
