r"""Where a job can be, and the moves between.

    RECEIVED > PLANNING > [HELD] > RUNNING > FINALIZING > DONE
        \_________\_________\________\__________\____> REJECTED DUPLICATE GONE CANCELLED FAILED

A DONE job's verdict (complete, partial) comes from its rows.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is."""

    RECEIVED = "RECEIVED"
    PLANNING = "PLANNING"
    HELD = "HELD"
    RUNNING = "RUNNING"
    FINALIZING = "FINALIZING"
    DONE = "DONE"
    REJECTED = "REJECTED"
    DUPLICATE = "DUPLICATE"
    GONE = "GONE"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        """True when nothing will happen to the job any more."""
        return not JOB_MOVES[self]


_S = JobState
_STOPS = frozenset({_S.REJECTED, _S.GONE, _S.CANCELLED, _S.FAILED})
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _S.RECEIVED: frozenset({_S.PLANNING}) | _STOPS,
    _S.PLANNING: frozenset({_S.HELD, _S.RUNNING, _S.FINALIZING}) | _STOPS,
    _S.HELD: frozenset({_S.PLANNING, _S.RUNNING, _S.FINALIZING}) | _STOPS,
    _S.RUNNING: frozenset({_S.FINALIZING, _S.FAILED}),
    _S.FINALIZING: frozenset(
        {_S.DONE, _S.REJECTED, _S.DUPLICATE, _S.CANCELLED, _S.FAILED}
    ),
    _S.DONE: frozenset(),
    _S.REJECTED: frozenset(),
    _S.DUPLICATE: frozenset(),
    _S.GONE: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.FAILED: frozenset(),
}
