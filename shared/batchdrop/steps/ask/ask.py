"""Finishing at once: lines still open at the job's deadline are answered by synchronous calls, at the standard price.

A shard of route `standard` has no batch. Its answers are kept as work objects, group by group, each named in the
record when it is written: a crash asks at most one group again, and a redelivery asks nothing again.

A job with a `max_cost` spends no more than what is left of it, in equal shares for its shards of this kind, looked at
before each group: what a group costs is known only afterwards. Without a price nothing is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, CapacityError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.money.costs import left_of
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

MAX_PAUSES: Final = 5
"""After so many refusals for want of quota, what is open becomes error rows."""
_ENDLESS: Final = Decimal("Infinity")
_OVER: Final = Failure(
    code=Code.OVER_MAX_COST,
    message="the job's max_cost was spent before this line could be answered at once",
)


@dataclass(frozen=True, slots=True)
class _Calls:
    """How the lines of one shard are asked, and what that may cost."""

    asker: Ask
    language: Dialect
    answered: frozenset[int]
    """Lines that an earlier step has answers of."""
    usage: Usage
    """Of all answers so far; it grows."""
    allowance: Decimal | None
    """None: whatever it costs."""


Line = tuple[int, bytes]
"""Its number and its request."""
Asked = bytes | CapacityError
"""The result to keep, or the refusal that time can lift."""


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
    calls = _calls(context, asker, stored.value, job)
    every = bodies(context, job, stored.value, uris(files))
    lines = (line for line in every if line[0] not in calls.answered)
    with ThreadPoolExecutor(context.settings.finish_concurrency) as pool:
        return _ask_groups(context, stored, calls, pool, lines)


def _calls(context: Writing, asker: Ask, shard: Shard, job: Job) -> _Calls:
    """Read what was answered before, and what all shards of the job cost."""
    language = context.language_of(shard)
    usage = Usage()
    answered: set[int] = set()
    for name in shard.answers:
        lines = work.lines(context, name)
        answered |= _count(language, usage, lines)

    allowance = _allowance(context, job)
    return _Calls(asker, language, frozenset(answered), usage, allowance)


def _count(language: Dialect, usage: Usage, lines: Iterable[bytes]) -> set[int]:
    """Add what answers used; return their lines."""
    numbers: set[int] = set()
    for line in lines:
        number, result = read_kept(line)
        if number:
            numbers.add(number)
            asked = InputLine(number, b"null", wants_json=False)
            answer = language.answer(result, asked)
            language.add_usage(usage, answer.usage)
    return numbers


# --------------------------------------------------------------------------------------------------- in groups
def _ask_groups(
    context: Writing,
    stored: Stored[Shard],
    calls: _Calls,
    pool: Executor,
    lines: Iterator[Line],
) -> Stored[Shard] | None:
    """Ask group after group, while nothing stops it: a cancel, the money, the time, the quota."""
    for index, group in enumerate(_groups(context, lines)):
        if stored.value.stop is not None:
            return stored
        if _is_spent(context, stored.value, calls):
            return _stop(context, stored)
        if index > 0 and _too_late(context):
            return _go_on_later(context, stored, 0)

        ask = partial(_ask, context, calls.asker, stored.value)
        results = list(pool.map(ask, group))
        stored = _keep_answers(context, stored, calls, results)
        pause = _pause_after(context, results)
        if pause is not None:
            return _go_on_later(context, stored, pause, Shard.without_quota)
    return stored


def _groups(context: Writing, lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Yield lines in groups: the answers of a group are kept together."""
    size = context.settings.finish_concurrency * FINISH_GROUP
    while group := list(islice(lines, size)):
        yield group


def _too_late(context: Writing) -> bool:
    """True when a group whose calls all take their longest would not end in time."""
    longest = context.settings.finish_timeout_seconds * FINISH_GROUP
    return context.time_left.remaining() < longest


def _pause_after(context: Writing, results: Sequence[Asked]) -> float | None:
    """Return how long to wait when calls were refused for want of quota; None when none was."""
    default = context.settings.back_off_seconds
    refused = [error for error in results if isinstance(error, CapacityError)]
    waits = [error.retry_after_seconds or default for error in refused]
    return max(waits, default=None)


# ---------------------------------------------------------------------------------------------------- one call
def _ask(context: Writing, asker: Ask, shard: Shard, line: Line) -> Asked:
    """Ask one line; what no other try can help becomes its result."""
    number, body = line
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
        return _fault(number, "PROVIDER_RESOURCE_EXHAUSTED", error, passing=True)
    except PermanentError as error:
        return _fault(number, "PROVIDER_INVALID_ARGUMENT", error)
    except BatchdropError as error:
        return _fault(number, "PROVIDER_UNAVAILABLE", error, passing=True)
    return kept(number, Result(msgspec.Raw(response)))


def _fault(
    number: int, code: str, error: BatchdropError, *, passing: bool = False
) -> bytes:
    """Return the result of a line that the provider did not answer."""
    fault = Fault(code, error.sentence, passing=passing)
    return kept(number, Result(fault=fault))


# ---------------------------------------------------------------------------------------------------- its price
def _allowance(context: Writing, job: Job) -> Decimal | None:
    """Return what one shard of this kind may cost, an equal share of what is left; None: whatever it does."""
    if job.max_cost is None or job.cost_released:
        return None
    stored = context.store.shards(queries.shards_of(job.job_id))
    shards = [shard.value for shard in stored]
    sent = [shard for shard in shards if not shard.route.asks]

    costs = entries_of(context, job, sent)
    sharing = len(shards) - len(sent)
    return left_of(job.max_cost, costs) / max(sharing, 1)


def _is_spent(context: Writing, shard: Shard, calls: _Calls) -> bool:
    """True when a shard's answers cost all that it may; without a price, at once."""
    if calls.allowance is None:
        return False

    cost = price(
        calls.usage,
        shard.model,
        Processing.STANDARD,
        context.now(),
        context.settings.prices,
    )
    amount = _ENDLESS if cost.amount is None else cost.amount
    return amount >= calls.allowance


# ------------------------------------------------------------------------------------------------ its document
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
    context: Writing, stored: Stored[Shard], calls: _Calls, results: Sequence[Asked]
) -> Stored[Shard]:
    """Write a group's answers and name them in the record: progress."""
    lines = [line for line in results if isinstance(line, bytes)]
    if not lines:
        return stored

    shard = stored.value
    now = context.now()
    name = names.answers(shard.shard_id, shard.fence, len(shard.answers))
    work.put(context, name, lines)
    stored = keep(context, stored, lambda shard: shard.answered(now, name))
    _count(calls.language, calls.usage, lines)
    return stored


def _go_on_later(
    context: Writing,
    stored: Stored[Shard],
    seconds: float,
    last: Callable[[Shard], Shard] = lambda shard: shard,
) -> None:
    """Continue in a new message: now when the time was over, later when the quota was or the stack is paused."""
    go_on_later(context, stored, last, seconds=seconds)
    log("synchronous answers continue", shard_id=stored.value.shard_id, seconds=seconds)
