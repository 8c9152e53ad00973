"""Dispatch: queued shards get capacity, in order, in any function at any time.

    queue of a pool (a model of a provider):
                        the team with the least tokens in flight, then priority, then age
    admit:              ledger of the account (batches, file bytes) -> of the pool (tokens) -> shard STAGING -> wake
    free:               when the provider reports a terminal state, or the sweep finds the shard ended

A reservation made before a crash is found again by its shard's id; `queued_at` of a job's later shards lies in
the future by their number, so a small job is served between the shards of a large one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from batchdrop.core.errors import LeaseLostError
from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings, DispatchSettings
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import (
    Ledger,
    Reservation,
    account_of,
    admitted,
    freed,
    refused,
)
from batchdrop.core.state.shard import Shard
from batchdrop.ports import Unit
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake
from batchdrop.steps.stack import paused
from batchdrop.store import Stored

MAX_ADMITTED = 100
START_AGAIN = timedelta(seconds=30)
_NO_LIMIT = 1 << 62


def dispatch(context: Context[DispatchSettings], pool: str) -> int:
    """Admit queued shards of a pool until something does not fit; return how many were admitted."""
    count = 0
    while count < MAX_ADMITTED and not context.time_left.over():
        stored = _next(context, pool)
        if (
            stored is None
            or (count == 0 and paused(context))
            or not _admit(context, stored)
        ):
            break
        count += 1
    return count


def free(
    context: Context[DispatchSettings], shard: Shard, *, keep: bool = False
) -> None:
    """End a shard's reservations once; with `keep` its tokens count on for a configured while."""
    until = context.later(context.settings.cancelled_hold_seconds) if keep else None
    change_ledger(
        context, shard.pool, lambda ledger: freed(ledger, shard.shard_id, until)
    )
    change_ledger(
        context,
        account_of(shard.provider),
        lambda ledger: freed(ledger, shard.shard_id),
    )


def back_off(
    context: Context[DispatchSettings],
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


def ensure_ledger(context: Context[DispatchSettings], pool: str) -> None:
    """Make a pool's ledger before its first shard exists: every tick dispatches the pools that have one."""
    if context.store.ledgers.get(pool) is None:
        context.store.ledgers.ensure(pool, Ledger())


def change_ledger(
    context: Context[DispatchSettings],
    name: str,
    transition: Callable[[Ledger], Ledger | None],
) -> Ledger | None:
    """Apply a pure transition to one ledger by compare-and-set; None when the transition refuses."""
    return context.store.ledgers.change(name, Ledger(), transition)


def _next(context: Context[DispatchSettings], pool: str) -> Stored[Shard] | None:
    ledger = read_ledger(context, pool)
    if ledger.held(context.now()):
        return None
    in_flight = ledger.tokens_by_team()
    heads = _heads(context, pool)
    return min(
        heads,
        key=lambda head: (in_flight[head.value.team], head.value.team),
        default=None,
    )


def read_ledger(context: Context[CommonSettings], name: str) -> Ledger:
    """Read one ledger; an absent one is empty."""
    return context.store.ledgers.get(name) or Ledger()


def _heads(context: Context[DispatchSettings], pool: str) -> list[Stored[Shard]]:
    """The first queued shard of every team (a loose scan: one query a team)."""
    heads: list[Stored[Shard]] = []
    team: str | None = None
    while True:
        found = context.store.shards(queries.queued_teams(pool, team))
        if not found:
            return heads
        heads.append(found[0])
        team = found[0].value.team


def _admit(context: Context[DispatchSettings], stored: Stored[Shard]) -> bool:
    shard = stored.value
    entry = Reservation(
        team=shard.team, tokens=shard.tokens, bytes=shard.bytes + shard.attached_bytes
    )
    settings, now, facts = (
        context.settings,
        context.now(),
        context.provider_of(shard).facts,
    )
    if _refused_often(context, shard):
        return _take_apart(context, stored)
    tokens_limit = max(settings.tokens_limit(facts, shard.model), shard.tokens)
    account = change_ledger(
        context,
        account_of(shard.provider),
        lambda ledger: admitted(
            ledger,
            shard.shard_id,
            entry,
            now,
            tokens=_NO_LIMIT,
            bytes=settings.bytes_limit(facts),
            count=settings.batch_limit(facts),
        ),
    )
    if account is None:
        return False
    pool = change_ledger(
        context,
        shard.pool,
        lambda ledger: admitted(
            ledger,
            shard.shard_id,
            entry,
            now,
            tokens=tokens_limit,
            bytes=_NO_LIMIT,
            count=_NO_LIMIT,
        ),
    )
    if pool is None:
        change_ledger(
            context,
            account_of(shard.provider),
            lambda ledger: freed(ledger, shard.shard_id),
        )
        return False
    return _start(context, stored)


def _refused_often(context: Context[DispatchSettings], shard: Shard) -> bool:
    """True for a shard that was refused more than once and is above the limit learnt from that."""
    if shard.attempts < 2 or shard.requests < 2:
        return False
    limit = context.settings.tokens_limit(context.provider_of(shard).facts, shard.model)
    return shard.tokens > read_ledger(context, shard.pool).limit(limit, context.now())


def _take_apart(context: Context[DispatchSettings], stored: Stored[Shard]) -> bool:
    """Send a queued shard to be split instead of sending it unchanged."""
    now = context.now()
    try:
        shard = context.store.change(
            stored, lambda shard: shard.found_too_large(now)
        ).value
    except LeaseLostError:
        return True
    log("shard is above the learnt limit", shard_id=shard.shard_id, tokens=shard.tokens)
    wake(context, shard)
    return True


def _start(context: Context[DispatchSettings], stored: Stored[Shard]) -> bool:
    """Move the shard to STAGING and wake it; whoever loses the race leaves the reservation to the winner."""
    now = context.now()
    try:
        shard = context.store.change(
            stored, lambda shard: shard.dispatched(now, now + START_AGAIN)
        ).value
    except LeaseLostError:
        return True
    wake(context, shard)
    return True
