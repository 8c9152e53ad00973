"""What every use case works with: the ports, the typed store, the clock, the time budget and the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from batchdrop.core.clock import TimeLeft
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.messages import Wake
from batchdrop.ports import Clock, Objects, Provider, Topic, Topics
from batchdrop.store import Store

S_co = TypeVar("S_co", bound=CommonSettings, covariant=True)


@dataclass(frozen=True, slots=True)
class Context(Generic[S_co]):
    """One call's surroundings; `time_left` starts when the call does."""

    settings: S_co
    objects: Objects
    store: Store
    topics: Topics
    provider: Provider
    clock: Clock
    time_left: TimeLeft

    def now(self) -> datetime:
        """Return the wall clock as aware UTC."""
        return self.clock.now()

    def later(self, seconds: float) -> datetime:
        """Return the wall clock in so many seconds."""
        return self.clock.now() + timedelta(seconds=seconds)

    def fresh(self) -> Context[S_co]:
        """Return the context for a new call: its time budget starts now."""
        return replace(self, time_left=TimeLeft.start(self.clock, self.settings.call_seconds))

    def wake(self, topic: Topic, job_id: str, shard_id: str | None = None) -> None:
        """Publish a wake: at least once, carrying ids only."""
        self.topics.publish(topic, Wake(job_id, shard_id).encode())
