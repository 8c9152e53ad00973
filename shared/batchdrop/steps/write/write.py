"""Writing: a shard's results become rows, one for each of its lines, in input order.

    ENDED --claim--> WRITING --rows of each range to WORK--> SETTLING --children created--> WRITTEN
                        |                                       (named in the same write)
                        +-- the batch failed whole: halves --> SETTLING --> SPLIT

Results are streamed once; a bounded window restores their order, and only when that is not enough are sorted
runs spilled to WORK and merged. Every line gets a row: a line without a result gets a `missing` row. Lines that
another round can help also go to a child; of all rows of a line, finalizing keeps the best.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, LeaseLostError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.result.join import Joined, Windowed
from batchdrop.core.result.open_lines import unanswered
from batchdrop.core.result.order import OutOfWindowError
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state.children import shard_of, taken_apart
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.steps.ask.ask import answer_all
from batchdrop.steps.attach import detach
from batchdrop.steps.context import Context
from batchdrop.steps.costs import record
from batchdrop.steps.dispatch import dispatch
from batchdrop.steps.next import wake
from batchdrop.steps.progress import go_on_later, hand_back, job_of, keep
from batchdrop.steps.segment_lists import kept, segments_of
from batchdrop.steps.shard_lines import input_lines, ranges_of
from batchdrop.steps.stack import wire
from batchdrop.steps.write.answered import InRuns, OneByOne
from batchdrop.steps.write.children import halves, next_round
from batchdrop.steps.write.named import named_results
from batchdrop.steps.write.results import plain_reader, results, sorted_results
from batchdrop.steps.write.segments import write_segment
from batchdrop.store import Stored

_S = ShardState
STATES = frozenset({_S.ENDED, _S.WRITING, _S.SETTLING})

Writing = Context[WriteSettings]
Answers = OneByOne | InRuns


def write_shard(context: Writing, shard_id: str) -> Job | None:
    """Write a shard whose batch ended; return its job when it may be complete now."""
    stored = context.store.shard(shard_id)
    if stored is None:
        log("wake for an unknown shard", severity="WARNING", shard_id=shard_id)
        return None
    if stored.value.state not in STATES:
        return (
            job_of(context, stored.value).value if stored.value.state.terminal else None
        )
    stored = context.store.claim(
        stored, context.now(), context.settings.lease_seconds, STATES
    )
    try:
        return _write(context, stored, job_of(context, stored.value).value)
    except LeaseLostError:
        raise
    except BatchdropError as error:
        _try_again_or_give_up(context, stored, error)
        return None


def _write(context: Writing, stored: Stored[Shard], job: Job) -> Job | None:
    shard = stored.value
    if shard.claims > context.settings.max_claims and not shard.results_lost:
        stored = _without_results(context, stored)
    if job.state.terminal:
        stored = _abandoned(context, stored)
    elif shard.state is not _S.SETTLING:
        written = _written(context, stored, job)
        if written is None:
            return None
        stored = written
    _settle(context, stored, job)
    return job_of(context, stored.value).value


def _without_results(context: Writing, stored: Stored[Shard]) -> Stored[Shard]:
    """Read the results no more: reading them crashed again and again."""
    log(
        "reading the results crashed repeatedly",
        severity="ERROR",
        shard_id=stored.value.shard_id,
    )
    now = context.now()
    return keep(
        context, stored, lambda shard: shard.with_results_lost(now, Code.POISONED.value)
    )


def _abandoned(context: Writing, stored: Stored[Shard]) -> Stored[Shard]:
    """Go to SETTLING with nothing: the job ended without the shard, its work objects may be gone, its cost unseen."""
    stored = _begun(context, stored)
    return keep(context, stored, lambda shard: shard.abandoned(context.now()))


def _written(context: Writing, stored: Stored[Shard], job: Job) -> Stored[Shard] | None:
    """Go to SETTLING with rows, or taken apart; None when the time is over and a new message continues."""
    stored = _begun(context, stored)
    if not taken_apart(stored.value, context.settings.min_split_requests):
        return _write_rows(context, stored, job)
    children = halves(context, stored.value, job)
    return keep(
        context, stored, lambda shard: shard.taken_apart(context.now(), children)
    )


def _begun(context: Writing, stored: Stored[Shard]) -> Stored[Shard]:
    if stored.value.state is not _S.ENDED:
        return stored
    return keep(context, stored, lambda shard: shard.writing(context.now()))


def _write_rows(
    context: Writing, stored: Stored[Shard], job: Job
) -> Stored[Shard] | None:
    """Write what is left of the shard's ranges; None when the time is over and a new message continues."""
    if stored.value.route.asks:
        answered = answer_all(context, stored, job)
        if answered is None:
            return None
        stored = answered
    try:
        return _write_ranges(
            context, stored, job, partial(_as_they_come, context, job), "a"
        )
    except OutOfWindowError:
        log("results are out of order", shard_id=stored.value.shard_id)
        return _write_ranges(context, stored, job, partial(_sorted, context), "b")


def _as_they_come(context: Writing, job: Job, shard: Shard, first_line: int) -> Answers:
    """Answer lines from results in about their order."""
    judge, nothing = context.language_of(shard).answer, unanswered(shard)
    window = context.settings.window_bytes
    if shard.batch.named_lines:
        found = named_results(context, job, shard)
        return OneByOne(Windowed(found, judge, nothing, window, first_line))
    incoming, read = results(context, shard), plain_reader(context, shard)
    windowed = Windowed(incoming, judge, nothing, window, first_line)
    return OneByOne(windowed) if read is None else InRuns(incoming, windowed, read)


def _sorted(context: Writing, shard: Shard, first_line: int) -> Answers:
    """Answer lines from results in any order."""
    found = sorted_results(context, shard)
    judge = context.language_of(shard).answer
    return OneByOne(Joined(found, judge, unanswered(shard), first_line))


def _write_ranges(
    context: Writing,
    stored: Stored[Shard],
    job: Job,
    answers: Callable[[Shard, int], Answers],
    tag: str,
) -> Stored[Shard] | None:
    shard = stored.value
    segments = list(segments_of(context, shard))
    done = frozenset(segment.range for segment in segments)
    ranges = [plan for plan in ranges_of(context, job, shard) if plan.index not in done]
    joined = answers(shard, ranges[0].first_line if ranges else 0)
    for plan in ranges:
        answered = joined.answered(input_lines(context, job, shard, plan))
        segments.append(write_segment(context, job, shard, plan.index, tag, answered))
        if context.time_left.over() and plan is not ranges[-1]:
            _go_on_later(context, stored, segments)
            return None
    return _settling(context, stored, segments, joined.finish())


def _settling(
    context: Writing, stored: Stored[Shard], segments: list[Segment], unknown: int
) -> Stored[Shard]:
    """Name the rows and the children in the shard's record; its rows are all there."""
    shard = stored.value
    if unknown:
        log(
            "results for unknown lines",
            severity="WARNING",
            shard_id=shard.shard_id,
            rows=unknown,
        )
    children = next_round(context, shard, segments)
    rows, now = kept(context, shard, segments), context.now()
    return keep(
        context, stored, lambda shard: shard.rows_written(now, rows, children, unknown)
    )


def _settle(context: Writing, stored: Stored[Shard], job: Job) -> None:
    """Create the children, then end the shard; the children's names are in its record already."""
    shard, now = stored.value, context.now()
    children = [
        context.store.ensure(
            shard_of(
                shard,
                child,
                job.deadline_at,
                wire(context, job, child.shard_id),
                now,
            )
        ).value
        for child in shard.children
    ]
    record(context, job, shard)
    detach(context, shard)
    settled = keep(context, stored, lambda shard: shard.settled(now)).value
    log(
        "shard settled",
        shard_id=shard.shard_id,
        state=settled.state.value,
        children=len(shard.children),
    )
    for child in children:
        if child.route.asks:
            wake(context, child)
    if children:
        dispatch(context, shard.pool)


def _go_on_later(
    context: Writing, stored: Stored[Shard], segments: list[Segment]
) -> None:
    """Keep what is written and continue in a new message."""
    rows = kept(context, stored.value, segments)
    go_on_later(context, stored, lambda shard: shard.with_segments(rows))
    log("writing continues", shard_id=stored.value.shard_id, ranges=len(segments))


def _try_again_or_give_up(
    context: Writing, stored: Stored[Shard], error: BatchdropError
) -> None:
    """Hand the shard back; give up results that time will not bring back."""
    shard, now = stored.value, context.now()
    hours = timedelta(hours=context.settings.results_hours)
    reachable = shard.account == context.provider_of(shard).batches.account()
    for_ever = isinstance(error, PermanentError) and reachable
    lost = error.code if for_ever or now >= shard.deadline_at + hours else ""
    hand_back(
        context,
        stored,
        error.code,
        severity="ERROR" if lost else "INFO",
        last=lambda shard: shard.with_results_lost(now, lost),
    )
