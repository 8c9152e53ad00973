"""Finishing at once: lines still open at the job's deadline are answered by synchronous calls, at the standard price.

A shard of route `standard` has no batch. Its answers are kept as work objects, group by group, each named in the
record when it is written: a crash asks at most one group again, and a redelivery asks nothing again.

A job with a `max_cost` spends no more than what is left of it, in equal shares for its shards of this kind, looked at
before each group: what a group costs is known only afterwards. Without a price nothing is spent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from itertools import islice

import msgspec

from batchdrop.core.errors import BatchdropError, CapacityError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.money.prices import Processing, price
from batchdrop.core.money.usage import Usage
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.kept import kept, read_kept
from batchdrop.core.result.result import Fault, Result
from batchdrop.core.settings import FINISH_GROUP, WriteSettings
from batchdrop.core.state import names, queries
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.core.value import Failure
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.spoken import spoken
from batchdrop.ports import Ask, BatchKind
from batchdrop.steps import work
from batchdrop.steps.attach import attach, uris
from batchdrop.steps.context import Context
from batchdrop.steps.costs import entries_of
from batchdrop.steps.progress import go_on_later, keep
from batchdrop.steps.shard_lines import bodies
from batchdrop.steps.stack import PAUSED_SECONDS, paused
from batchdrop.store import Stored

Writing = Context[WriteSettings]

GROUPS_OF = FINISH_GROUP
MAX_PAUSES = 5
"""After so many refusals for want of quota, what is open becomes error rows."""
_OVER = Failure(
    code="OVER_MAX_COST",
    message="the job's max_cost was spent before this line could be answered at once",
)


def answer_all(
    context: Writing, stored: Stored[Shard], job: Job
) -> Stored[Shard] | None:
    """Ask what has no answer yet; None when quota or time is over and a new message continues."""
    asker = context.provider_of(stored.value).ask
    if stored.value.stop is not None or asker is None:
        return stored
    if paused(context):
        return _go_on_later(context, stored, PAUSED_SECONDS)
    attached = attach(context, stored, job)
    if attached is None:
        return None
    stored, files = attached
    language = _language(context, stored.value)
    answered, usage = _answered(context, stored.value)
    allowance = _allowance(context, job)
    every = bodies(context, job, stored.value, uris(files))
    lines = ((number, body) for number, body in every if number not in answered)
    size = context.settings.finish_concurrency * GROUPS_OF
    with ThreadPoolExecutor(context.settings.finish_concurrency) as pool:
        for count in itertools.count():
            group = list(islice(lines, size))
            if not group or stored.value.stop is not None:
                return stored
            if (
                allowance is not None
                and _cost(context, stored.value, usage) >= allowance
            ):
                return _stop(context, stored)
            if (
                count
                and context.time_left.remaining()
                < context.settings.finish_timeout_seconds * GROUPS_OF
            ):
                return _go_on_later(context, stored, 0)
            found = list(pool.map(partial(_ask, context, asker, stored.value), group))
            kept = [line for line in found if isinstance(line, bytes)]
            stored = _keep_answers(context, stored, kept)
            _count(language, usage, kept)
            refused = [error for error in found if isinstance(error, CapacityError)]
            if refused:
                waits = (
                    error.retry_after_seconds or context.settings.back_off_seconds
                    for error in refused
                )
                return _go_on_later(context, stored, max(waits), Shard.without_quota)
    return stored


def _ask(
    context: Writing, asker: Ask, shard: Shard, entry: tuple[int, bytes]
) -> bytes | CapacityError:
    """Return the result to keep, or the refusal that time can lift."""
    number, body = entry
    try:
        response = asker.answer(
            model=shard.model,
            kind=BatchKind(shard.batch_kind),
            request=body,
            timeout_seconds=context.settings.finish_timeout_seconds,
        )
    except CapacityError as error:
        if shard.attempts < MAX_PAUSES:
            return error
        return kept(
            number,
            Result(
                fault=Fault("PROVIDER_RESOURCE_EXHAUSTED", error.sentence, passing=True)
            ),
        )
    except PermanentError as error:
        return kept(
            number, Result(fault=Fault("PROVIDER_INVALID_ARGUMENT", error.sentence))
        )
    except BatchdropError as error:
        return kept(
            number,
            Result(fault=Fault("PROVIDER_UNAVAILABLE", error.sentence, passing=True)),
        )
    return kept(number, Result(msgspec.Raw(response)))


def _answered(context: Writing, shard: Shard) -> tuple[frozenset[int], Usage]:
    """Return the lines that have an answer, and the tokens of all answers."""
    language = _language(context, shard)
    numbers: set[int] = set()
    usage = Usage()
    for name in shard.answers:
        numbers |= _count(language, usage, work.lines(context, name))
    return frozenset(numbers), usage


def _language(context: Writing, shard: Shard) -> Dialect:
    return spoken(context.provider_of(shard).facts.dialect)


def _count(language: Dialect, usage: Usage, lines: Iterable[bytes]) -> set[int]:
    """Add what answers used; return their lines."""
    numbers: set[int] = set()
    for line in lines:
        number, result = read_kept(line)
        if number:
            numbers.add(number)
            found = language.answer(
                result, InputLine(number, b"null", wants_json=False)
            )
            language.add_usage(usage, found.usage)
    return numbers


def _allowance(context: Writing, job: Job) -> Decimal | None:
    """Return what one shard of this kind may cost; None: whatever it does."""
    if job.max_cost is None or job.cost_released:
        return None
    shards = [
        stored.value for stored in context.store.shards(queries.shards_of(job.job_id))
    ]
    ended = [shard for shard in shards if not shard.route.asks]
    spent = sum(
        (entry.amount or Decimal(0) for entry in entries_of(context, job, ended)),
        Decimal(0),
    )
    return max(job.max_cost - spent, Decimal(0)) / max(len(shards) - len(ended), 1)


def _cost(context: Writing, shard: Shard, usage: Usage) -> Decimal:
    """Return what answers cost; without a price, more than any allowance."""
    amount = price(
        usage, shard.model, Processing.STANDARD, context.now(), context.settings.prices
    ).amount
    return Decimal("Infinity") if amount is None else amount


def _stop(context: Writing, stored: Stored[Shard]) -> Stored[Shard]:
    """Leave what has no answer yet without one, for good."""
    log(
        "synchronous answers stopped",
        severity="WARNING",
        shard_id=stored.value.shard_id,
        code=_OVER.code,
    )
    return keep(context, stored, lambda shard: shard.stopped_here(context.now(), _OVER))


def _keep_answers(
    context: Writing, stored: Stored[Shard], lines: list[bytes]
) -> Stored[Shard]:
    """Write a group's answers and name them in the record: progress."""
    if not lines:
        return stored
    shard, now = stored.value, context.now()
    name = names.answers(shard.shard_id, shard.fence, len(shard.answers))
    work.put(context, name, lines)
    return keep(context, stored, lambda shard: shard.answered(now, name))


def _go_on_later(
    context: Writing,
    stored: Stored[Shard],
    seconds: float,
    last: Callable[[Shard], Shard] = lambda shard: shard,
) -> None:
    """Continue in a new message: now when the time was over, later when the quota was or the stack is paused."""
    go_on_later(context, stored, last, seconds=seconds)
    log("synchronous answers continue", shard_id=stored.value.shard_id, seconds=seconds)
