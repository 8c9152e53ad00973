"""Finishing at once: lines still open at the job's deadline are answered by synchronous calls, at the standard price.

A shard of kind `standard` has no batch. Its answers are kept as work objects, group by group, each named in the
record when it is written: a crash asks at most one group again, and a redelivery asks nothing again.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import islice

import msgspec

from batchdrop.core import names
from batchdrop.core.dialect import request_of
from batchdrop.core.errors import BatchdropError, CapacityError, PermanentError
from batchdrop.core.jobs import Job
from batchdrop.core.logs import log
from batchdrop.core.outcomes import read_result
from batchdrop.core.settings import WriteSettings
from batchdrop.core.shards import Shard
from batchdrop.ports import BatchKind, Topic
from batchdrop.store import Stored
from batchdrop.usecases import work
from batchdrop.usecases.context import Context
from batchdrop.usecases.lines import rendered_lines

Writing = Context[WriteSettings]

GROUPS_OF = 4
"""A group is this many requests for each of the concurrent calls."""
MAX_PAUSES = 5
"""After so many refusals for want of quota, what is open becomes error rows."""
_INVALID, _EXHAUSTED, _UNAVAILABLE = 3, 8, 14


def answer_all(context: Writing, stored: Stored[Shard], job: Job) -> Stored[Shard] | None:
    """Ask what has no answer yet; None when quota or time is over and a new message continues."""
    answered = _answered(context, stored.value)
    lines = ((number, line) for number, line in rendered_lines(context, job, stored.value) if number not in answered)
    size = context.settings.finish_concurrency * GROUPS_OF
    with ThreadPoolExecutor(context.settings.finish_concurrency) as pool:
        for count in itertools.count():
            group = list(islice(lines, size))
            if not group:
                return stored
            if count and context.budget.remaining() < context.settings.finish_timeout_seconds * GROUPS_OF:
                return _pause(context, stored, 0)
            found = list(pool.map(partial(_ask, context, stored.value), group))
            stored = _keep(context, stored, [line for line in found if isinstance(line, bytes)])
            refused = [error for error in found if isinstance(error, CapacityError)]
            if refused:
                waits = (error.retry_after_seconds or context.settings.hold_off_seconds for error in refused)
                return _pause(context, stored, max(waits))
    return stored


def _ask(context: Writing, shard: Shard, entry: tuple[int, bytes]) -> bytes | CapacityError:
    """Return a result line as a batch would hold it, or the refusal that time can lift."""
    number, line = entry
    try:
        response = context.provider.answer(
            model=shard.model,
            kind=BatchKind(shard.batch_kind),
            request=request_of(line),
            timeout_seconds=context.settings.finish_timeout_seconds,
        )
    except CapacityError as error:
        return _failed(number, _EXHAUSTED, error.sentence) if shard.attempts >= MAX_PAUSES else error
    except PermanentError as error:
        return _failed(number, _INVALID, error.sentence)
    except BatchdropError as error:
        return _failed(number, _UNAVAILABLE, error.sentence)
    return b'{"key":"%d","response":%b}\n' % (number, response)


def _failed(number: int, code: int, message: str) -> bytes:
    return msgspec.json.encode({"key": str(number), "error": {"code": code, "message": message}}) + b"\n"


def _answered(context: Writing, shard: Shard) -> frozenset[int]:
    lines = (line for name in shard.answers for line in work.lines(context, name))
    return frozenset(number for number, _ in map(read_result, lines) if number is not None)


def _keep(context: Writing, stored: Stored[Shard], lines: list[bytes]) -> Stored[Shard]:
    """Write a group's answers and name them in the record: progress."""
    if not lines:
        return stored
    shard, now = stored.value, context.now()
    name = names.run(shard.shard_id, shard.fence, len(shard.answers))
    work.put(context, name, lines)
    answers = (*shard.answers, name)
    return context.store.change(
        stored, lambda shard: shard.with_(answers=answers, claims=0, updated_at=now), fence=shard.fence
    )


def _pause(context: Writing, stored: Stored[Shard], seconds: float) -> None:
    """Continue in a new message: now when the time was over, later when the quota was."""
    now = context.now()
    refused = 1 if seconds else 0

    def paused(shard: Shard) -> Shard:
        return shard.released(now, now + timedelta(seconds=seconds)).with_(attempts=shard.attempts + refused)

    shard = context.store.change(stored, paused, fence=stored.value.fence).value
    log("synchronous answers continue", shard_id=shard.shard_id, seconds=seconds)
    if not seconds:
        context.wake(Topic.BATCHES_FINISHED, shard.job_id, shard.shard_id)
