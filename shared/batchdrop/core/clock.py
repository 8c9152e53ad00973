"""Time: whose clock it is, and how much of it a function call has left."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time, passed in so that tests can own it."""

    def now(self) -> datetime:
        """Return the wall clock as aware UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def pause(self, least: float, most: float) -> None:
        """Let a random time between so many seconds go by."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the wall clock as aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def pause(self, least: float, most: float) -> None:
        """Sleep for a random time between so many seconds."""
        time.sleep(random.uniform(least, most))  # noqa: S311 - it only has to differ between instances


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """How long one call may work before it saves where it is and continues in a new message."""

    clock: Clock
    started: float
    seconds: float

    @staticmethod
    def start(clock: Clock, seconds: float) -> TimeLeft:
        """Start counting now."""
        return TimeLeft(clock, clock.monotonic(), seconds)

    def remaining(self) -> float:
        """Return the seconds left, negative when overdrawn."""
        return self.seconds - (self.clock.monotonic() - self.started)

    def over(self) -> bool:
        """True when it is time to save and stop."""
        return self.remaining() <= 0
