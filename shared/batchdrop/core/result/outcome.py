"""Outcomes: what became of one request, in words that every language of answers is put into.

    answered     the answer that was asked for         |  blocked   a filter stopped the prompt or the answer
    truncated    cut off at the output limit           |  empty     nothing but thoughts, or nothing at all
    invalid      not what was asked for                |  error     the provider's fault instead of an answer
    missing      no result at all                      |

Which words of a provider mean which of these, its dialect says (`dialects.dialect`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from batchdrop.core.state.kind import ShardKind


class Outcome(StrEnum):
    """What became of a request, best first."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"
    INVALID = "invalid"
    BLOCKED = "blocked"
    EMPTY = "empty"
    ERROR = "error"
    MISSING = "missing"

    @property
    def is_result(self) -> bool:
        """True for a result row, false for an error row."""
        return self in (Outcome.ANSWERED, Outcome.TRUNCATED)


RANK: Final = {outcome: rank for rank, outcome in enumerate(Outcome)}


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One classified result. `text`, `usage` and `response` are JSON as the provider wrote it."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    finish_reason: str | None = None
    text: bytes | None = None
    usage: bytes | None = None
    model: str | None = None
    response: bytes | None = None
    passing: bool = False
    has_files: bool = False
    files: bytes = b"[]"
    """The objects that hold binary parts, as JSON; how many there are, and their bytes in all."""
    file_count: int = 0
    file_bytes: int = 0


def missing(code: str, message: str) -> Answer:
    """Return the answer of a request that no result line answers."""
    return Answer(Outcome.MISSING, code, message, passing=True)


def redo_kind(
    answer: Answer, kind: ShardKind, round: int, max_rounds: int
) -> ShardKind | None:
    """Decide whether another round can change an outcome, and what makes it useful; None: leave it."""
    if round >= max_rounds or kind is ShardKind.LATE:
        return None
    if answer.outcome is Outcome.TRUNCATED:
        return None if kind is ShardKind.LONGER else ShardKind.LONGER
    if answer.outcome is Outcome.INVALID:
        return None if kind.repeats else ShardKind.AGAIN
    return ShardKind.AGAIN if answer.passing else None
