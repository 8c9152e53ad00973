"""The capacity ledgers: pure rules over one document a model of a provider, and one a provider.

A reservation precedes staging and ends when the provider reports a terminal state; a cancelled batch holds on
for a while (python-genai issue 2495: cancelled jobs go on counting for up to days). One document holds all
reservations of its scope, so one compare-and-set admits, and two dispatchers can never over-admit together.

A 429 holds the scope off and halves what we believe the limit to be; the belief doubles again every hour.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from batchdrop.core.value import Value

_ALL: Final = "all"
RECOVERY_STEP: Final = timedelta(hours=1)


def pool_of(provider: str, model: str) -> str:
    """Return the ledger of what one model of a provider has in flight; a model's name may hold what an id may not."""
    return f"{provider}.{hashlib.sha256(model.encode()).hexdigest()[:16]}"


def account_of(provider: str) -> str:
    """Return the ledger of all that a provider has in flight."""
    return f"{provider}.{_ALL}"


def is_pool(ledger: str) -> bool:
    """Tell a model's ledger from an account's."""
    return not ledger.endswith(f".{_ALL}")


class Reservation(Value):
    """What one shard holds; `until` is set when it only waits to be let go."""

    team: str = ""
    tokens: int = 0
    bytes: int = 0
    until: datetime | None = None

    def kept(self, until: datetime) -> Reservation:
        """Let it count on until then."""
        return self._with(until=until)


class Ledger(Value):
    """All reservations of one scope, the learnt limit and the hold-off."""

    schema_: str = Field(default="batchdrop.capacity/1", alias="schema")
    entries: dict[str, Reservation] = Field(default_factory=dict[str, Reservation])
    learnt_limit: int | None = None
    learnt_at: datetime | None = None
    hold_until: datetime | None = None

    model_config = Value.model_config | {"populate_by_name": True}

    def held(self, now: datetime) -> bool:
        """True while nothing may be admitted."""
        return self.hold_until is not None and now < self.hold_until

    def without_end(self) -> list[str]:
        """The shards whose reservations end only when somebody frees them."""
        return [shard for shard, entry in self.entries.items() if entry.until is None]

    def tokens(self) -> int:
        """Tokens reserved in all."""
        return sum(entry.tokens for entry in self.entries.values())

    def bytes(self) -> int:
        """Provider file bytes reserved in all."""
        return sum(entry.bytes for entry in self.entries.values())

    def tokens_by_team(self) -> Counter[str]:
        """Tokens reserved by each team."""
        totals: Counter[str] = Counter()
        for entry in self.entries.values():
            totals[entry.team] += entry.tokens
        return totals

    def limit(self, configured: int, now: datetime) -> int:
        """Return the limit to believe now: the learnt one, doubled for each recovery step, at most configured."""
        if self.learnt_limit is None or self.learnt_at is None:
            return configured
        steps = int((now - self.learnt_at) / RECOVERY_STEP)
        return min(configured, self.learnt_limit << min(steps, 60))

    def with_entry(self, shard: str, entry: Reservation) -> Ledger:
        """Reserve for a shard, or change what it reserved."""
        return self._with(entries={**self.entries, shard: entry})

    def without(self, shards: Iterable[str]) -> Ledger:
        """Let go what shards reserved."""
        gone = set(shards)
        return self._with(
            entries={
                name: entry for name, entry in self.entries.items() if name not in gone
            }
        )

    def held_off(self, until: datetime) -> Ledger:
        """Admit nothing until then; what is believed of the limit stays."""
        return self._with(hold_until=until)

    def learnt(self, limit: int, at: datetime, hold_until: datetime) -> Ledger:
        """Believe in a limit, and admit nothing until then."""
        return self._with(learnt_limit=limit, learnt_at=at, hold_until=hold_until)


def pruned(ledger: Ledger, now: datetime) -> Ledger:
    """Return the ledger without reservations whose time is over."""
    gone = [
        name
        for name, entry in ledger.entries.items()
        if entry.until and entry.until <= now
    ]
    return ledger.without(gone) if gone else ledger


def admitted(
    ledger: Ledger,
    shard: str,
    entry: Reservation,
    now: datetime,
    *,
    tokens: int,
    bytes: int,
    count: int,
) -> Ledger | None:
    """Return the ledger with the reservation, itself if it has it, or None if it does not fit or is held off.

    A shard that would be the only one of its model is let in whatever its tokens: the limit may be wrong, and only
    the provider's answer shows it.
    """
    ledger = pruned(ledger, now)
    if shard in ledger.entries:
        return ledger
    fits = (
        not ledger.held(now)
        and len(ledger.entries) < count
        and (
            not ledger.entries
            or ledger.tokens() + entry.tokens <= ledger.limit(tokens, now)
        )
        and ledger.bytes() + entry.bytes <= bytes
    )
    return ledger.with_entry(shard, entry) if fits else None


def freed(ledger: Ledger, shard: str, until: datetime | None = None) -> Ledger:
    """Return the ledger without the reservation, or with it held on until then."""
    entry = ledger.entries.get(shard)
    if entry is None or (until is not None and entry.until is not None):
        return ledger
    if until is None:
        return ledger.without([shard])
    return ledger.with_entry(shard, entry.kept(until))


def refused(
    ledger: Ledger,
    now: datetime,
    configured: int,
    hold_seconds: float,
    made_at: datetime | None = None,
) -> Ledger:
    """Return the ledger after a refusal: held off, its learnt limit halved.

    A batch that was made (`made_at`) before the limit was learnt tells nothing new: many are refused for one mistake.
    """
    if (
        made_at is not None
        and ledger.learnt_at is not None
        and made_at < ledger.learnt_at
    ):
        return ledger.held_off(now + timedelta(seconds=hold_seconds))
    believed = min(ledger.limit(configured, now), max(ledger.tokens(), 1))
    return ledger.learnt(
        max(believed // 2, 1), now, now + timedelta(seconds=hold_seconds)
    )
