"""The capacity ledgers: pure rules over one document a model of a provider, and one a provider.

A reservation precedes staging and ends when the provider reports a terminal state; a cancelled batch holds on
for a while (python-genai issue 2495: cancelled jobs go on counting for up to days). One document holds all
reservations of its scope, so one compare-and-set admits, and two dispatchers can never over-admit together.

A 429 holds the scope off and halves what we believe the limit to be; the belief doubles again every hour.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from batchdrop.core.value import Value

_ALL: Final = "all"
RECOVERY_STEP: Final = timedelta(hours=1)
STARTED_WITHIN: Final = timedelta(minutes=15)
"""Longer than any call lasts: a shard that waits in the queue all the same has nobody who starts it."""
TAKEN: Final = timedelta(minutes=1)
"""How long a reservation is its dispatch's own: it starts the shard, and two that meet do not both try."""


def pool_of(provider: str, model: str) -> str:
    """Return the ledger of what one model of a provider has in flight; a model's name may hold what an id may not."""
    return f"{provider}.{hashlib.sha256(model.encode()).hexdigest()[:16]}"


def account_of(provider: str) -> str:
    """Return the ledger of all that a provider has in flight."""
    return f"{provider}.{_ALL}"


def provider_of_pool(pool: str) -> str:
    """Return the provider of a model's ledger."""
    return pool.rpartition(".")[0]


def is_pool(ledger: str) -> bool:
    """Tell a model's ledger from an account's."""
    return not ledger.endswith(f".{_ALL}")


class Reservation(Value):
    """What one shard holds; `until` is set when it only waits to be let go."""

    team: str = ""
    tokens: int = 0
    bytes: int = 0
    at: datetime | None = None
    """When a dispatch last took it for its own: it starts the shard within its call. None: before 0.3."""
    until: datetime | None = None

    def left(self, now: datetime) -> bool:
        """Tell whether nobody is about to start the shard any more."""
        return self.at is None or now >= self.at + TAKEN

    def taken(self, at: datetime) -> Reservation:
        """Let a dispatch of this time start the shard."""
        return self._with(at=at)

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

    def without_end(self) -> list[tuple[str, Reservation]]:
        """The shards whose reservations end only when somebody frees them."""
        return [entry for entry in self.entries.items() if entry[1].until is None]

    def taken_at(self, shard: str, at: datetime) -> bool:
        """Tell whether the dispatch of this time took the shard's reservation for its own."""
        entry = self.entries.get(shard)
        return entry is not None and entry.at == at

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

    def with_entries(self, entries: Mapping[str, Reservation]) -> Ledger:
        """Reserve for shards, or change what they reserved."""
        return self._with(entries={**self.entries, **entries})

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


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one scope may hold at once; None: not counted in this scope."""

    tokens: int | None = None
    bytes: int | None = None
    count: int | None = None


def admitted(
    ledger: Ledger, wanted: Mapping[str, Reservation], now: datetime, bounds: Bounds
) -> Ledger | None:
    """Return the ledger with the reservations up to the first that does not fit; None when nothing changes.

    A reservation that is there is taken over, unless the dispatch that made it may still be about to start the shard.
    A shard that would be the only one of its model is let in whatever its tokens: the limit may be wrong, and only the
    provider's answer shows it.
    """
    ledger = pruned(ledger, now)
    room = _Room(ledger, bounds, now)
    added: dict[str, Reservation] = {}
    for shard, entry in wanted.items():
        there = ledger.entries.get(shard)
        if there is None:
            if not room.takes(entry):
                break
            added[shard] = entry.taken(now)
        elif there.left(now):
            added[shard] = there.taken(now)
    if not added:
        return None
    return ledger.with_entries(added)


class _Room:
    """What a ledger still lets in, less with every reservation."""

    def __init__(self, ledger: Ledger, bounds: Bounds, now: datetime) -> None:
        self._ledger = ledger
        self._bounds = bounds
        self._now = now
        self._count = len(ledger.entries)
        self._tokens = ledger.tokens()
        self._bytes = ledger.bytes()

    def takes(self, entry: Reservation) -> bool:
        """Count a reservation in if it fits."""
        if self._ledger.held(self._now):
            return False
        if not self._fits(entry):
            return False
        self._count += 1
        self._tokens += entry.tokens
        self._bytes += entry.bytes
        return True

    def _fits(self, entry: Reservation) -> bool:
        bounds = self._bounds
        if bounds.count is not None and self._count >= bounds.count:
            return False
        bytes = self._bytes + entry.bytes
        if bounds.bytes is not None and bytes > bounds.bytes:
            return False
        if bounds.tokens is None or not self._count:
            return True
        believed = max(bounds.tokens, entry.tokens)
        limit = self._ledger.limit(believed, self._now)
        return self._tokens + entry.tokens <= limit


def freed(ledger: Ledger, shards: Mapping[str, datetime | None]) -> Ledger:
    """Return the ledger without the reservations of shards, or with them held on until the time that stands there."""
    gone: list[str] = []
    kept: dict[str, Reservation] = {}
    for shard, until in shards.items():
        entry = ledger.entries.get(shard)
        if entry is None:
            continue
        if until is None:
            gone.append(shard)
        elif entry.until is None:
            kept[shard] = entry.kept(until)
    if gone:
        ledger = ledger.without(gone)
    if kept:
        ledger = ledger.with_entries(kept)
    return ledger


def let_go(ledger: Ledger, shard: str, leaked: Reservation) -> Ledger:
    """Return the ledger without a reservation that nobody needs, unless a dispatch has taken it since."""
    if ledger.entries.get(shard) != leaked:
        return ledger
    return ledger.without([shard])


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
