"""Where a job is and why it waits, in words: pure sentences about its documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.state.capacity import Ledger
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState

_S = ShardState
RELEASABLE: Final = frozenset({Code.OVER_MAX_COST, Code.OVER_BUDGET, Code.COST_UNKNOWN})
"""What a person may let a job run over; anything else it waits for cannot be wished away."""
_JOB: Final = {
    JobState.RECEIVED: "The upload was noticed; its snapshot is being made.",
    JobState.PLANNING: "Its lines are being checked and cut into batches; {lines:,} are done.",
    JobState.HELD: "It is held: {reason}",
    JobState.FINALIZING: "All its batches have ended; the output is being put together.",
    JobState.DONE: "It ended {verdict}; the manifest is {manifest}.",
    JobState.REJECTED: "It was rejected: {reason}",
    JobState.DUPLICATE: "Job {duplicate} asked the same; its rows are the answer, their manifest is {rows}.",
    JobState.GONE: "It never ran: {reason}",
    JobState.CANCELLED: "It was cancelled; what had been answered by then is in the output.",
    JobState.FAILED: "It failed: {reason}",
}


def why(job: Job, shards: Sequence[Shard], ledger: Ledger, now: datetime) -> list[str]:
    """Return what a person asks first: where the job is, and for each group of its shards why it waits."""
    found = (
        [_of_job(job)] if job.state is not JobState.RUNNING else [_running(job, shards)]
    )
    if job.wanted and not job.state.terminal:
        found.append(f"{job.wanted.capitalize()} was asked for.")
    if job.state is JobState.HELD:
        return found + _of_wait(job, now)
    if not job.state.terminal:
        found += _of_shards(shards, ledger, now)
        found.append(f"Its deadline is {_moment(job.deadline_at, now)}.")
    return found


def _of_job(job: Job) -> str:
    failure = job.failure
    reason = (
        " ".join(filter(None, (failure.message, failure.fix)))
        if failure
        else "no reason was recorded."
    )
    return _JOB[job.state].format(
        lines=job.plan.line - 1,
        reason=reason,
        verdict=job.verdict or "without output",
        manifest=job.manifest or "not written",
        duplicate=job.duplicate_of,
        rows=job.duplicate_manifest or "not known",
    )


def _of_wait(job: Job, now: datetime) -> list[str]:
    """Say what ends a wait, and when."""
    found: list[str] = []
    if job.failure is not None and job.failure.code in RELEASABLE:
        found.append(f"`batchdrop release {job.job_id}` lets it run.")
    if job.due_at is not None:
        found.append(f"It looks again {_moment(job.due_at, now)}.")
    if job.held_until is not None:
        found.append(
            f"If nothing has changed it is rejected {_moment(job.held_until, now)}."
        )
    return found


def _running(job: Job, shards: Sequence[Shard]) -> str:
    if not job.spawned:
        return "Its lines are checked; its batches are being prepared."
    ended = sum(shard.state.terminal for shard in shards)
    return f"It runs: {ended:,} of {len(shards):,} batches are done."


def _of_shards(shards: Iterable[Shard], ledger: Ledger, now: datetime) -> list[str]:
    """One sentence for each state shards are in, the earliest first."""
    by_state: dict[ShardState, list[Shard]] = {}
    for shard in shards:
        if not shard.state.terminal:
            by_state.setdefault(shard.state, []).append(shard)
    return [
        _SENTENCES[state](found, ledger, now)
        for state, found in sorted(by_state.items(), key=_place)
    ]


def _place(item: tuple[ShardState, list[Shard]]) -> int:
    return list(_SENTENCES).index(item[0])


def _queued(shards: list[Shard], ledger: Ledger, now: datetime) -> str:
    if ledger.hold_until is not None and ledger.held(now):
        reason = f"the provider refused more work; the next try is {_moment(ledger.hold_until, now)}"
    elif ledger.entries:
        reason = f"{len(ledger.entries):,} batches hold {ledger.tokens():,} tokens of the model's quota"
    else:
        reason = "the next tick starts them"
    return f"{_batches(shards)} in the queue: {reason}."


def _staging(shards: list[Shard], ledger: Ledger, now: datetime) -> str:
    return f"{_batches(shards)} being uploaded to the provider."


def _creating(shards: list[Shard], ledger: Ledger, now: datetime) -> str:
    doubtful = [shard.intent.at for shard in shards if shard.intent is not None]
    since = f" since {_moment(min(doubtful), now)}" if doubtful else ""
    return (
        f"{_batches(shards)} being created; if the answer was lost{since}, the provider's list is asked until it is "
        "certain whether the batch exists. It is not created twice meanwhile."
    )


def _submitted(shards: list[Shard], ledger: Ledger, now: datetime) -> str:
    states = Counter(
        shard.batch.raw_state or shard.batch.state.value for shard in shards
    )
    words = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    oldest = min(shard.submitted_at or shard.created_at for shard in shards)
    cancelled = sum(shard.cancel_sent_at is not None for shard in shards)
    suffix = f" {cancelled:,} were told to stop." if cancelled else ""
    return f"{_batches(shards)} at the provider ({words}); the oldest since {_moment(oldest, now)}.{suffix}"


def _writing(shards: list[Shard], ledger: Ledger, now: datetime) -> str:
    at_once = sum(shard.route.asks for shard in shards)
    suffix = (
        f" {at_once:,} of them by synchronous calls, past the deadline."
        if at_once
        else ""
    )
    return f"{_batches(shards)} ended; their rows are being written.{suffix}"


_SENTENCES: Final[dict[ShardState, Callable[[list[Shard], Ledger, datetime], str]]] = {
    _S.QUEUED: _queued,
    _S.STAGING: _staging,
    _S.STAGED: _staging,
    _S.CREATING: _creating,
    _S.SUBMITTED: _submitted,
    _S.ENDED: _writing,
    _S.WRITING: _writing,
    _S.SETTLING: _writing,
}


def _batches(shards: list[Shard]) -> str:
    return "1 batch is" if len(shards) == 1 else f"{len(shards):,} batches are"


def _moment(moment: datetime, now: datetime) -> str:
    """Return a time and how far away it is."""
    distance = moment - now
    ahead = distance >= timedelta()
    minutes = round(abs(distance).total_seconds() / 60)
    length = f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    return (
        f"{moment:%Y-%m-%d %H:%M} UTC ({'in ' + length if ahead else length + ' ago'})"
    )
