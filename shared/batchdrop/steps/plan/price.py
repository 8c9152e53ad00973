"""Costing: what a planned job may cost, and the gates of money it must pass before its first batch.

estimate    a sample of its requests counted by the provider; outputs from the last run of the same file
max_cost    of the upload or its recipe        -> HELD, OVER_MAX_COST
budgets     of the stack, by scope and month   -> HELD, OVER_BUDGET; what running jobs hold counts as spent
no price    and a gate that needs one          -> HELD, COST_UNKNOWN
"""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError
from batchdrop.core.logs import log
from batchdrop.core.money.budgets import held, scopes_of
from batchdrop.core.money.estimate import Expected, Range, estimate, expected, plus
from batchdrop.core.money.prices import Processing
from batchdrop.core.money.usage import tokens
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import queries
from batchdrop.core.state.caching import Caching
from batchdrop.core.state.cursors import PlanCursor
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.value import Failure
from batchdrop.core.wire import id_bytes
from batchdrop.ports import BatchKind
from batchdrop.steps.context import Context
from batchdrop.steps.costs import change_budget
from batchdrop.steps.shard_lines import all_ranges, raw_lines

Planning = Context[SubmitSettings]
SAMPLE: Final = 3
"""Requests that are counted: one call each, before anything is paid."""


def estimated(
    context: Planning, job: Job, cursor: PlanCursor, caching: Caching, last: Job | None
) -> Range:
    """Return what a planned job may cost in batches, its context cache counted."""
    used = _expected(context, job, cursor, last)
    now, prices = context.now(), context.settings.prices
    if not caching.wanted:
        return estimate(used, job.model, Processing.BATCH, now, prices)
    share = caching.share_of(used.input[1])
    batches = estimate(
        used, job.model, Processing.BATCH, now, prices, cached_share=share
    )
    return plus(batches, caching.cost or Decimal(0))


def _expected(
    context: Planning, job: Job, cursor: PlanCursor, last: Job | None
) -> Expected:
    """Return what a planned job will use, by a sample of its requests."""
    language = context.language_of(job)
    lines = _sample(context, job.with_plan(context.now(), cursor))
    requests = [language.body_of(line) for line in lines]
    counted = _counted(context, job, requests, cursor)
    return expected(
        cursor.requests,
        counted or cursor.tokens,
        counted=counted is not None,
        output_likely=None if last is None else _output_tokens(last),
        output_limit=_largest([language.request(line).output_limit for line in lines]),
        embeds=cursor.batch_kind == BatchKind.EMBED.value,
    )


def refuse_cost(context: Planning, job: Job, cost: Range) -> Failure | None:
    """Say which gate of money a job does not pass; a job that passes holds its likely cost in the budgets."""
    budgets = context.settings.budgets
    scopes = tuple(each for each in scopes_of(job.team, job.labels) if each in budgets)
    if cost.likely is None:
        limited = job.max_cost is not None or bool(scopes)
        return _unknown(cost) if limited and not job.cost_released else None
    if job.stopped_by(cost.likely):
        message = (
            f"The job may cost {cost.likely:.6f} USD; its limit is {job.max_cost}."
        )
        return Failure(code=Code.OVER_MAX_COST, message=message, fix=_FIX)
    if not scopes:
        return None
    refused = _held(context, job, scopes, cost.likely)
    if refused is None:
        return None
    return Failure(code=Code.OVER_BUDGET, message=refused, fix=_FIX)


def _unknown(cost: Range) -> Failure:
    message = (
        f"Nobody knows what this job will cost ({cost.reason}), and it has a limit."
    )
    return Failure(code=Code.COST_UNKNOWN, message=message, fix=_FIX)


def _held(
    context: Planning, job: Job, scopes: tuple[str, ...], likely: Decimal
) -> str | None:
    """Hold a job's likely cost in this month's budgets, or say which of them it would break."""
    limits = {} if job.cost_released else context.settings.budgets
    month = context.now().strftime("%Y-%m")
    found = change_budget(
        context, month, lambda budget: held(budget, job.job_id, scopes, likely, limits)
    )
    return found if isinstance(found, str) else None


_FIX: Final = (
    "Release it to let it run all the same, or raise the limit and upload it again."
)


def _largest(limits: list[int | None]) -> int | None:
    """Return the largest of a sample's output limits, None unless each request has one."""
    known = [limit for limit in limits if limit]
    return max(known) if known and len(known) == len(limits) else None


def _sample(context: Planning, job: Job) -> list[bytes]:
    """Return the first lines of the first, the middle and the last range."""
    ranges = [plan for plan in all_ranges(context, job) if plan.requests]
    if not ranges:
        return []
    middle = ranges[len(ranges) // 2]
    chosen = {plan.index: plan for plan in (ranges[0], middle, ranges[-1])}
    each = -(-SAMPLE // len(chosen))
    lines = (
        line
        for plan in chosen.values()
        for _, line in islice(raw_lines(context, job, plan, None), each)
    )
    return list(islice(lines, SAMPLE))


def _counted(
    context: Planning, job: Job, sample: list[bytes], cursor: PlanCursor
) -> int | None:
    """Return the job's input tokens by the provider's count of a sample, None when it cannot be asked."""
    provider = context.provider_of(job)
    counter = provider.tokens
    if counter is None or not sample or cursor.batch_kind == BatchKind.EMBED.value:
        return None
    try:
        counts = [
            counter.count_tokens(model=job.model, request=request) for request in sample
        ]
    except BatchdropError as error:
        log("tokens could not be counted", job_id=job.job_id, code=error.code)
        return None
    # A job's bytes are those of its lines at the provider: the sample is measured in the same envelope.
    envelope = provider.envelope(job.model, BatchKind(cursor.batch_kind))
    id = id_bytes(cursor.requests)
    average = sum(envelope.size(id, len(request)) for request in sample) / len(sample)
    each = sum(counts) / len(sample)
    return int(each * cursor.requests * _size_ratio(cursor, average))


def _size_ratio(cursor: PlanCursor, sample_bytes: float) -> float:
    """How much larger the average request is than those of the sample."""
    average = cursor.bytes / cursor.requests if cursor.requests else 0
    return average / sample_bytes if average and sample_bytes else 1.0


def last_run(context: Planning, job: Job) -> Job | None:
    """Return the last run of an upload of the same name on the same model."""
    ended = [
        stored.value
        for stored in context.store.jobs(queries.jobs_named(job.source.object))
        if stored.value.state is JobState.DONE
        and stored.value.model == job.model
        and stored.value.counts.results
    ]
    return max(ended, key=lambda other: other.created_at, default=None)


def hours_of(last: Job | None) -> float | None:
    """Return how many hours a run took from its plan to its end."""
    if last is None or last.planned_at is None or last.ended_at is None:
        return None
    return (last.ended_at - last.planned_at).total_seconds() / 3600


def _output_tokens(last: Job) -> int | None:
    """Return the output tokens of an answer in a run."""
    return tokens(last.tokens, "output", "thoughts") // last.counts.results or None
