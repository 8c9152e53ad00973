"""Dispatch: queued shards get capacity, in order, in any function at any time.

    queue of a pool (a model of a provider):
                        the team with the least tokens in flight, then priority, then age
    admit, many at once ledger of the account (batches, file bytes) -> of the pool (tokens) -> shard STAGING -> wake
    free:               when the provider reports a terminal state, or the sweep finds the shard ended

A reservation made before a crash is found again by its shard's id; `queued_at` of a job's later shards lies in
the future by their number, so a small job is served between the shards of a large one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial

from batchdrop.core.errors import LeaseLostError
from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings, DispatchSettings
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import (
    Bounds,
    Ledger,
    Reservation,
    account_of,
    admitted,
    freed,
    provider_of_pool,
    refused,
)
from batchdrop.core.state.shard import Shard
from batchdrop.ports import Unit
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake
from batchdrop.steps.stack import paused
from batchdrop.store import Stored

Dispatching = Context[DispatchSettings]

MAX_ADMITTED = 100
START_AGAIN = timedelta(seconds=30)
GROUP = 25
"""Queued shards that are read together."""
MAX_FREED = 100
"""Shards whose reservations end in one write."""


def dispatch(context: Dispatching, pool: str) -> int:
    """Admit queued shards of a pool until something does not fit; return how many were admitted."""
    count = 0
    while count < MAX_ADMITTED and not context.time_left.over():
        waiting = _next(context, pool)
        if not waiting or (count == 0 and paused(context)):
            break
        fit = [stored for stored in waiting if not _taken_apart(context, stored)]
        started = _admit(context, fit)
        count += started
        if started < len(fit):
            break
    return count


def free(context: Dispatching, shard: Shard, *, keep: bool = False) -> None:
    """End a shard's reservations once; with `keep` its tokens count on for a configured while."""
    with freeing(context) as ended:
        ended.add(shard, keep=keep)


@contextmanager
def freeing(context: Dispatching) -> Generator[Freeing]:
    """End the reservations of the shards that are added meanwhile, many in one write of a ledger.

    Those of a process that dies before are found by the sweep.
    """
    ended = Freeing(context)
    try:
        yield ended
    finally:
        ended.flush()


class Freeing:
    """Reservations to be ended, by ledger and shard."""

    def __init__(self, context: Dispatching) -> None:
        self._context = context
        self._count = 0
        self._ledgers: defaultdict[str, dict[str, datetime | None]] = defaultdict(dict)

    def add(self, shard: Shard, *, keep: bool = False) -> None:
        """Add a shard; with `keep` its tokens count on for a configured while."""
        seconds = self._context.settings.cancelled_hold_seconds
        until = self._context.later(seconds) if keep else None
        self._ledgers[shard.pool][shard.shard_id] = until
        self._ledgers[account_of(shard.provider)][shard.shard_id] = None
        self._count += 1
        if self._count == MAX_FREED:
            self.flush()

    def flush(self) -> None:
        """End what was added."""
        while self._ledgers:
            ledger, shards = self._ledgers.popitem()
            change_ledger(
                self._context,
                ledger,
                partial(freed, shards=shards),
            )
        self._count = 0


def back_off(
    context: Dispatching,
    shard: Shard,
    seconds: float | None,
    unit: Unit | None = None,
    made_at: datetime | None = None,
) -> None:
    """After a refusal: admit nothing for a while, and believe in half of the limit it was about.

    Args:
        context: The call's surroundings.
        shard: What was refused.
        seconds: How long the provider asked to wait, if it said so.
        unit: What it has no more of; None: what it counts of a model.
        made_at: When the refused batch was made, if it was accepted before it was refused.
    """
    settings, facts, now = (
        context.settings,
        context.provider_of(shard).facts,
        context.now(),
    )
    wait = settings.back_off_seconds if seconds is None else seconds
    if unit in (None, facts.unit):
        limit = settings.tokens_limit(facts, shard.model)
        change_ledger(
            context,
            shard.pool,
            lambda ledger: refused(ledger, now, limit, wait, made_at),
        )
        log("model held off", severity="WARNING", model=shard.model, seconds=wait)
    else:
        until = now + timedelta(seconds=wait)
        change_ledger(
            context, account_of(shard.provider), lambda ledger: ledger.held_off(until)
        )
        log(
            "provider held off",
            severity="WARNING",
            provider=shard.provider,
            seconds=wait,
        )


def ensure_ledger(context: Dispatching, pool: str) -> None:
    """Make a pool's ledger before its first shard exists: every tick dispatches the pools that have one."""
    if context.store.ledgers.get(pool) is None:
        context.store.ledgers.ensure(pool, Ledger())


def change_ledger(
    context: Dispatching,
    name: str,
    transition: Callable[[Ledger], Ledger | None],
) -> Ledger | None:
    """Apply a pure transition to one ledger by compare-and-set; None when the transition refuses."""
    return context.store.ledgers.change(name, Ledger(), transition)


def _next(context: Dispatching, pool: str) -> list[Stored[Shard]]:
    """Return the next queued shards of a pool, in the order in which they are served."""
    ledger = read_ledger(context, pool)
    if ledger.held(context.now()):
        return []
    room = _room(context, pool)
    count = max(min(GROUP, room), 1)
    heads = _heads(context, pool, count)
    in_flight = ledger.tokens_by_team()
    return _in_turn(heads, in_flight)


def _room(context: Dispatching, pool: str) -> int:
    """Return how many more batches the provider of a pool lets us have in flight."""
    name = provider_of_pool(pool)
    provider = context.providers.get(name)
    if provider is None:
        return 0
    ledger = read_ledger(context, account_of(name))
    limit = context.settings.batch_limit(provider.facts)
    return limit - len(ledger.entries)


def _in_turn(
    heads: Mapping[str, list[Stored[Shard]]], in_flight: Counter[str]
) -> list[Stored[Shard]]:
    """Put shards of teams in order: always the next of the team that then has the least tokens in flight."""
    tokens = in_flight.copy()
    served: list[Stored[Shard]] = []
    while heads and len(served) < MAX_ADMITTED:
        team = min(heads, key=lambda team: (tokens[team], team))
        if not heads[team]:
            # What else this team has queued was not read: who comes after it is not known.
            break
        stored = heads[team].pop(0)
        tokens[team] += stored.value.tokens
        served.append(stored)
    return served


def read_ledger(context: Context[CommonSettings], name: str) -> Ledger:
    """Read one ledger; an absent one is empty."""
    return context.store.ledgers.get(name) or Ledger()


def _heads(
    context: Dispatching, pool: str, count: int
) -> dict[str, list[Stored[Shard]]]:
    """The first queued shards of every team (a loose scan: a query a team at most)."""
    heads: defaultdict[str, list[Stored[Shard]]] = defaultdict(list)
    team: str | None = None
    more = True
    while more:
        found = context.store.shards(queries.queued_teams(pool, team, count))
        for stored in found:
            heads[stored.value.team].append(stored)
        more = len(found) == count
        team = found[-1].value.team if found else None
    return heads


def _admit(context: Dispatching, waiting: list[Stored[Shard]]) -> int:
    """Reserve for the first shards that fit, start them and return how many they are: all are of one pool."""
    now = context.now()
    ours = _in_account(context, waiting, now)
    fit = _in_pool(context, ours, now)
    _give_back(context, ours[len(fit) :])
    for stored in fit:
        _start(context, stored)
    return len(fit)


def _give_back(context: Dispatching, left_out: list[Stored[Shard]]) -> None:
    """End in the account what the pool had no room for."""
    if not left_out:
        return
    account = account_of(left_out[0].value.provider)
    back = {each.value.shard_id: None for each in left_out}
    change_ledger(
        context,
        account,
        partial(freed, shards=back),
    )


def _in_account(
    context: Dispatching, waiting: list[Stored[Shard]], now: datetime
) -> list[Stored[Shard]]:
    """Reserve what their provider counts of all its models; return those that this dispatch may start."""
    if not waiting:
        return []
    first, settings = waiting[0].value, context.settings
    facts = context.provider_of(first).facts
    bounds = Bounds(
        bytes=settings.bytes_limit(facts),
        count=settings.batch_limit(facts),
    )
    account = account_of(first.provider)
    kept = _reserved(
        context,
        account,
        waiting,
        now,
        bounds,
    )
    return [each for each in waiting if kept.taken_at(each.value.shard_id, now)]


def _in_pool(
    context: Dispatching, ours: list[Stored[Shard]], now: datetime
) -> list[Stored[Shard]]:
    """Reserve what their provider counts of their model; return the first ones, that fit."""
    if not ours:
        return []
    first = ours[0].value
    facts = context.provider_of(first).facts
    bounds = Bounds(
        tokens=context.settings.tokens_limit(facts, first.model),
    )
    kept = _reserved(
        context,
        first.pool,
        ours,
        now,
        bounds,
    )
    return [each for each in ours if each.value.shard_id in kept.entries]


def _reserved(
    context: Dispatching,
    ledger: str,
    waiting: list[Stored[Shard]],
    now: datetime,
    bounds: Bounds,
) -> Ledger:
    """Reserve in a ledger for the first shards that fit, in one write; return it."""
    shards = [stored.value for stored in waiting]
    wanted = {shard.shard_id: _reservation(shard) for shard in shards}
    kept = change_ledger(
        context,
        ledger,
        lambda ledger: admitted(ledger, wanted, now, bounds),
    )
    return kept or read_ledger(context, ledger)


def _reservation(shard: Shard) -> Reservation:
    size = shard.bytes + shard.attached_bytes
    return Reservation(team=shard.team, tokens=shard.tokens, bytes=size)


def _taken_apart(context: Dispatching, stored: Stored[Shard]) -> bool:
    """Send a shard to be split, instead of sending it unchanged, that was refused more than once and is too large."""
    shard = stored.value
    if shard.attempts < 2 or shard.requests < 2:
        return False
    facts = context.provider_of(shard).facts
    ledger = read_ledger(context, shard.pool)
    configured = context.settings.tokens_limit(facts, shard.model)
    if shard.tokens <= ledger.limit(configured, context.now()):
        return False
    _take_apart(context, stored)
    return True


def _take_apart(context: Dispatching, stored: Stored[Shard]) -> None:
    """Move the shard to where it is split and wake it, unless somebody else has moved it."""
    now = context.now()
    with suppress(LeaseLostError):
        shard = context.store.change(
            stored, lambda shard: shard.found_too_large(now)
        ).value
        log(
            "shard is above the learnt limit",
            shard_id=shard.shard_id,
            tokens=shard.tokens,
        )
        wake(context, shard)


def _start(context: Dispatching, stored: Stored[Shard]) -> None:
    """Move the shard to STAGING and wake it; whoever loses the race leaves the reservation to the winner."""
    now = context.now()
    with suppress(LeaseLostError):
        shard = context.store.change(
            stored, lambda shard: shard.dispatched(now, now + START_AGAIN)
        ).value
        wake(context, shard)
