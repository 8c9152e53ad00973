"""Threads of which one runs at a time, on a clock that jumps to whoever wakes next: hours of waiting take no time."""

from __future__ import annotations

import heapq
import itertools
import queue
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Schedule:
    """A clock and those who wait on it. What is done between two sleeps takes no time and nobody interrupts it."""

    def __init__(self, seed: int = 1) -> None:
        """Begin at START; the seed decides how long a pause is within its bounds."""
        self.seconds = 0.0
        self._random = random.Random(seed)
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._back: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def now(self) -> datetime:
        """Return the wall clock as aware UTC."""
        return START + timedelta(seconds=self.seconds)

    def timestamp(self) -> float:
        """Return the wall clock in seconds."""
        return self.now().timestamp()

    def monotonic(self) -> float:
        """Return seconds since the start."""
        return self.seconds

    def pause(self, least: float, most: float) -> None:
        """Sleep for a random time between so many seconds."""
        self.sleep(self._random.uniform(least, most))

    def sleep(self, seconds: float) -> None:
        """Let others go on until so many seconds are over; only in work that `after` began."""
        go: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wake(seconds, lambda: go.put(None))
        self._back.put(None)
        go.get()

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Begin some work in so many seconds, in a thread of its own."""

        def body() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again where the schedule runs
                self._back.put(error)
            else:
                self._back.put(None)

        self._wake(seconds, threading.Thread(target=body, daemon=True).start)

    def run(self) -> None:
        """Go on until nobody waits any more; an error of any work ends it."""
        while self._waiting:
            self.seconds, _, resume = heapq.heappop(self._waiting)
            resume()
            if error := self._back.get():
                raise error

    def _wake(self, seconds: float, resume: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (self.seconds + seconds, next(self._order), resume))
