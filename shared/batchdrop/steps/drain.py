"""Draining: a stack lets go of everything it has at the provider, and keeps every row that was answered.

    pause --> each open job is asked to cancel --> poll cancels its batches, write delivers what they answered
          --> the job ends and is cleaned: batches, files and caches deleted --> nothing is left

Done again it goes on where it was. A new upload is planned, waits for capacity and is asked to cancel by the next look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import CANCEL, Job, JobState
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake
from batchdrop.steps.stack import pause
from batchdrop.store import Stored

PAUSE: Final = timedelta(hours=24)
LOOK_SECONDS: Final = 10.0
SEEN: Final = 1000
"""Documents one look reads of each kind; what is behind them is met when they are over."""
R = TypeVar("R", Job, Shard)
_EVER: Final = timedelta(days=3650)
_SENT: Final = frozenset({ShardState.CREATING, ShardState.SUBMITTED})


@dataclass(frozen=True, slots=True)
class Left:
    """Jobs and shards that are not over; a job is over when what it had at the provider is deleted."""

    jobs: tuple[Job, ...]
    shards: tuple[Shard, ...]

    def nothing(self) -> bool:
        """Tell whether the stack holds nothing at the provider any more."""
        return not self.jobs and not self.shards

    def batches(self) -> int:
        """Count batches at the provider, and creates whose answer is not known yet."""
        return sum(shard.state in _SENT for shard in self.shards)

    def caches(self) -> int:
        """Count context caches that are still to be deleted."""
        return sum(
            len(job.caching.uses) for job in self.jobs if job.caching is not None
        )

    def states(self) -> dict[str, int]:
        """Count the jobs by state; those that have ended are being cleaned."""
        states = Counter(job.state.value for job in self.jobs)
        return dict(sorted(states.items()))


def drain(
    context: Context[CommonSettings],
    by: str,
    seconds: float,
    wait: Callable[[float], None],
    tell: Callable[[Left], None],
) -> Left:
    """Pause the stack, cancel its jobs and wait until nothing is left, or so long; return what is left.

    Args:
        context: The stack.
        by: Who asks for it; stands in the stack's document.
        seconds: How long to wait at most.
        wait: Lets seconds pass.
        tell: Is told what is left, each time it has changed.
    """
    begun, told = context.clock.monotonic(), None
    while True:
        pause(context, context.now() + PAUSE, by)
        left = look(context)
        if left.states() != told or left.nothing():
            tell(left)
        told = left.states()
        if left.nothing() or context.clock.monotonic() - begun >= seconds:
            return left
        wait(LOOK_SECONDS)


def look(context: Context[CommonSettings]) -> Left:
    """Ask each open job to cancel that was not asked yet; return what is not over."""
    ever = context.now() + _EVER
    jobs = context.store.due_jobs(ever, SEEN)
    for stored in jobs:
        _cancel(context, stored)
    shards = context.store.due_shards(ever, SEEN)
    return Left(_values(jobs), _values(shards))


def _values(documents: Iterable[Stored[R]]) -> tuple[R, ...]:
    return tuple(stored.value for stored in documents)


def _cancel(context: Context[CommonSettings], stored: Stored[Job]) -> None:
    """Ask a job to cancel; one that writes its output or has ended is left to itself."""
    now = context.now()

    def wanted(job: Job) -> Job | None:
        if job.wanted == CANCEL:
            return None
        if job.state is JobState.FINALIZING or job.state.terminal:
            return None
        return job.asked(now, CANCEL)

    asked = context.store.change_if(stored, wanted)
    if asked is not None:
        wake(context, asked.value)
