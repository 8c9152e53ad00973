"""What every step works with: the ports, the typed store, the clock, the time left and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from batchdrop.core.clock import TimeLeft
from batchdrop.core.errors import TransientError
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.messages import Wake
from batchdrop.core.state.shard import Shard
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.known.spoken import SPOKEN
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
    providers: Mapping[str, Provider]
    """By the name each is configured under."""
    clock: Clock
    time_left: TimeLeft
    languages: Mapping[str, Dialect] = field(default_factory=lambda: SPOKEN)
    """Those that providers speak, by the name in their facts."""

    def provider_of(self, subject: Job | Shard) -> Provider:
        """Return the provider of a job or shard, as it was frozen at planning.

        Raises:
            TransientError: PROVIDER_REMOVED, it is no longer configured; what it holds is out of reach meanwhile.
        """
        found = self.providers.get(subject.provider)
        if found is None:
            raise TransientError(
                f"the provider `{subject.provider}` is not configured",
                code="PROVIDER_REMOVED",
            )
        return found

    def language_of(self, subject: Job | Shard) -> Dialect:
        """Return the language of a job's or shard's provider.

        Raises:
            TransientError: PROVIDER_REMOVED.
        """
        return self.languages[self.provider_of(subject).facts.dialect]

    def now(self) -> datetime:
        """Return the wall clock as aware UTC."""
        return self.clock.now()

    def later(self, seconds: float) -> datetime:
        """Return the wall clock in so many seconds."""
        return self.clock.now() + timedelta(seconds=seconds)

    def ago(self, seconds: float) -> datetime:
        """Return the wall clock as it was so many seconds ago."""
        return self.clock.now() - timedelta(seconds=seconds)

    def fresh(self) -> Context[S_co]:
        """Return the context for a new call: its time budget starts now."""
        return replace(
            self, time_left=TimeLeft.start(self.clock, self.settings.call_seconds)
        )

    def wake(self, topic: Topic, job_id: str, shard_id: str | None = None) -> None:
        """Publish a wake: at least once, carrying ids only."""
        self.topics.publish(topic, Wake(job_id, shard_id).encode())


def routed(providers: Mapping[str, Provider], model: str) -> tuple[str, str]:
    """Return the configured name of a model's provider, and the provider's name of the model.

    A prefix counts only when a provider is configured under it: `meta-llama/Llama-3.3-70B` has none. A model that no
    provider claims goes to the first.
    """
    prefix, _, rest = model.partition("/")
    if rest and prefix in providers:
        return prefix, rest
    claimed = (
        name for name, provider in providers.items() if provider.facts.serves(model)
    )
    return next(claimed, next(iter(providers))), model
