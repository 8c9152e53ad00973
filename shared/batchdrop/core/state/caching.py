"""What was decided about a job's context cache, and the caches that were made for it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from batchdrop.core.value import Value


class CacheUse(Value):
    """A context cache the job made; `lost_at` is set when the provider did not know it any more."""

    name: str
    tokens: int
    created_at: datetime
    lost_at: datetime | None = None

    def lost(self, at: datetime) -> CacheUse:
        """The provider did not know it any more."""
        return self._with(lost_at=at)


class Caching(Value):
    """What was decided about a context cache, and the caches that were made for it."""

    wanted: bool
    reason: str
    """A key of `money.caching.SENTENCES`."""
    pattern: str = ""
    """Work object: a line that begins with what is shared, of which the cache holds `depth` units."""
    depth: int = 0
    requests: int = 0
    tokens: int = 0
    hours: float = 0
    spared: Decimal | None = None
    cost: Decimal | None = None
    """Dollars it was expected to spare in input, and to cost to make and to keep."""
    uses: tuple[CacheUse, ...] = ()

    @property
    def current(self) -> CacheUse | None:
        """The cache that requests name now."""
        return (
            self.uses[-1]
            if self.wanted and self.uses and self.uses[-1].lost_at is None
            else None
        )

    def share_of(self, input_tokens: int) -> float:
        """Return the share of a job's input tokens that comes from the cache."""
        return min(self.requests * self.tokens / max(input_tokens, 1), 1.0)

    def with_pattern(self, work_object: str) -> Caching:
        """Name the line whose beginning the cache holds."""
        return self._with(pattern=work_object)

    def with_use(self, use: CacheUse) -> Caching:
        """Name a cache that was made."""
        return self._with(tokens=use.tokens, uses=(*self.uses, use))

    def with_loss(self, use: CacheUse, at: datetime) -> Caching:
        """Note when the last cache was found to be gone."""
        return self._with(uses=(*self.uses[:-1], use.lost(at)))

    def given_up(self, reason: str) -> Caching:
        """No cache is made any more."""
        return self._with(wanted=False, reason=reason)
