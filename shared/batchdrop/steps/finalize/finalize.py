"""Finalizing: when every shard of a job has ended, its rows become the output, then the manifest, then the message.

    RUNNING --closure over shards and children ended--> FINALIZING
        each range:  one shard wrote it        -> its objects are copied server-side
                     several did (redo, split) -> merged by line, the best row of each line kept
        rejections.jsonl, manifest.json (last), DONE --> message --> work objects and provider files deleted

Every output object is created once (`if_generation_match=0`); one that exists with the same bytes is ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, LeaseLostError, PermanentError
from batchdrop.core.logs import JOB_ENDED, log
from batchdrop.core.money.costs import job_cost, job_tokens
from batchdrop.core.result.ended import ended_fields
from batchdrop.core.result.manifest import Part, counted, done_message, manifest
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.closure import closed, segments_by_range
from batchdrop.core.state.job import Job
from batchdrop.core.state.job_state import JobState
from batchdrop.core.state.job_steps import Result
from batchdrop.core.state.shard import Shard
from batchdrop.core.upload.cut import RangePlan
from batchdrop.core.value import Failure
from batchdrop.ports import Topic
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.costs import entries_of, record_cache, settle
from batchdrop.steps.finalize.clean import clean
from batchdrop.steps.finalize.parts import making, range_parts
from batchdrop.steps.next import wake_waiting
from batchdrop.steps.progress import go_on_later, hand_back, keep
from batchdrop.steps.row_file import RowFile
from batchdrop.steps.segment_lists import whole
from batchdrop.steps.shard_lines import all_ranges
from batchdrop.store import Stored

Writing = Context[WriteSettings]
CLOSING: Final = timedelta(hours=24)
"""For the last shards and the output, after results that cannot be read were given up."""
_REJECTIONS: Final = "rejections"
_S = JobState


def advance_output(context: Writing, job_id: str) -> None:
    """Take a job's output as far as it goes now: closure, parts, manifest, message, cleaning."""
    stored = context.store.job(job_id)
    if stored is None:
        log("wake for an unknown job", severity="WARNING", job_id=job_id)
        return

    if stored.value.state is _S.RUNNING:
        stored = _begin(context, stored)
    if stored is not None and stored.value.state is _S.FINALIZING:
        stored = _finalize(context, stored)
    if stored is not None and stored.value.state.terminal:
        _publish(context, stored)


def last_end(context: Writing, job: Job) -> datetime:
    """Return when a job that has not ended is given up: every shard had its time to be read and written by then."""
    return job.deadline_at + timedelta(hours=context.settings.results_hours) + CLOSING


# -------------------------------------------------------------------------------------------------- the closure
def _begin(context: Writing, stored: Stored[Job]) -> Stored[Job] | None:
    """Go to FINALIZING if the job is complete; else look again later, unless that is planned already."""
    job, now = stored.value, context.now()
    if not job.spawned:
        return None

    if closed(job, _shards(context, job)):
        return context.store.change(stored, lambda job: job.complete(now))
    if now >= last_end(context, job):
        sentence = "Some of its batches had not ended long after its deadline."
        failure = Failure(code=Code.OVERDUE, message=sentence)
        return _fail(context, stored, failure)

    if job.due_at is None or job.due_at <= now:
        _look_again(context, stored, now)
    return None


def _shards(context: Writing, job: Job) -> list[Shard]:
    """Read all shards of a job."""
    return [stored.value for stored in context.store.shards_of(job.job_id)]


def _look_again(context: Writing, stored: Stored[Job], now: datetime) -> None:
    """Look at a job that runs when a lease could have ended."""
    later = context.later(context.settings.lease_seconds)
    context.store.change(stored, lambda job: job.still_running(now, later))


# --------------------------------------------------------------------------------------------------- the output
def _finalize(context: Writing, stored: Stored[Job]) -> Stored[Job] | None:
    """Make the output under a lease; None when another message goes on."""
    lease = context.settings.lease_seconds
    stored = context.store.claim(stored, context.now(), lease, {_S.FINALIZING})

    try:
        return _output(context, stored)
    except LeaseLostError:
        raise
    except PermanentError as error:
        return _fail(context, stored, Failure.of(error))
    except BatchdropError as error:
        return _again(context, stored, error.code)


def _again(context: Writing, stored: Stored[Job], code: str) -> Stored[Job] | None:
    """Try once more when it is due, unless the job had its time."""
    if context.now() >= last_end(context, stored.value):
        sentence = f"The output could not be written by now ({code})."
        return _fail(context, stored, Failure(code=Code.OVERDUE, message=sentence))

    hand_back(context, stored, code, severity="WARNING")
    return None


def _output(context: Writing, stored: Stored[Job]) -> Stored[Job] | None:
    """Make the parts, then the rejections, then the manifest; None when the time is over."""
    if stored.value.claims > context.settings.max_claims:
        sentence = "Writing the output crashed repeatedly; it was given up."
        return _fail(context, stored, Failure(code=Code.POISONED, message=sentence))

    job = stored.value
    shards = [whole(context, shard) for shard in _shards(context, job)]
    ranges = all_ranges(context, job)

    if job.ran:
        progress = _write_parts(context, stored, ranges, shards)
        if progress is None:
            return None
        stored = progress

    parts = _kept_parts(context, stored.value)
    if job.final_state is not _S.DUPLICATE:
        parts += _rejections(context, job, ranges)
    return _finish(context, stored, shards, parts)


def _fail(context: Writing, stored: Stored[Job], failure: Failure) -> Stored[Job]:
    """End a job whose output cannot be completed."""
    now = context.now()
    log(
        "job failed",
        severity="ERROR",
        job_id=stored.value.job_id,
        code=failure.code,
    )
    return keep(context, stored, lambda job: job.ended(now, _S.FAILED, failure))


# ---------------------------------------------------------------------------------------------------- the parts
def _write_parts(
    context: Writing, stored: Stored[Job], ranges: list[RangePlan], shards: list[Shard]
) -> Stored[Job] | None:
    """Make the output of the ranges that have none; None when the time is over."""
    job = stored.value
    by_range = segments_by_range(shards)
    parts: list[Part] = []
    made = making(context, job)

    for plan in ranges[job.finalizing.next_range :]:
        parts += range_parts(context, made, plan, by_range.get(plan.index, []))
        if context.time_left.over() and plan is not ranges[-1]:
            noted = _note_parts(context, job, parts, plan.index + 1)
            go_on_later(context, stored, noted)
            return None

    return keep(context, stored, _note_parts(context, job, parts, len(ranges)))


def _note_parts(
    context: Writing, job: Job, parts: list[Part], next_range: int
) -> Callable[[Job], Job]:
    """Write which parts exist to a work object; return the transition that names it in the record."""
    name = _write_list(context, job, parts) if parts else None
    now = context.now()
    progress = job.finalizing.up_to(next_range, name)
    return lambda job: job.with_finalizing(now, progress)


def _write_list(context: Writing, job: Job, parts: list[Part]) -> str:
    """Keep what the manifest will say of parts; return the work object's name."""
    step = len(job.finalizing.lists)
    name = names.parts_list(job.job_id, step, job.fence)
    entries = [part.to_json() for part in parts]
    text = json.dumps(entries)
    work.put(context, name, [text.encode()])
    return name


def _kept_parts(context: Writing, job: Job) -> list[Part]:
    """Read what was kept of all parts."""
    parts: list[Part] = []
    for name in job.finalizing.lists:
        entries = json.loads(work.get(context, name))
        parts += map(Part.from_json, entries)
    return parts


def _rejections(context: Writing, job: Job, ranges: list[RangePlan]) -> list[Part]:
    """Write all rejections as one object, streamed; none when no line was rejected."""
    name = "rejections.jsonl"
    if not any(plan.rejected for plan in ranges):
        return []
    bucket = context.settings.output_bucket
    rows = RowFile(context, bucket, job.output_prefix + name)
    try:
        for row in _rejected_rows(context, ranges):
            rows.add(row + b"\n")
        info = rows.close()
    finally:
        rows.abort()

    first, last = ranges[0].first_line, ranges[-1].last_line
    assert info is not None
    part = Part(
        what=_REJECTIONS,
        name=name,
        rows=rows.rows,
        bytes=info.size,
        crc32c=info.crc32c,
        first_line=first,
        last_line=last,
    )
    return [part]


def _rejected_rows(context: Writing, ranges: list[RangePlan]) -> Iterator[bytes]:
    """Yield the rows that planning wrote, in order."""
    for plan in ranges:
        if plan.rejections:
            yield from work.lines(context, plan.rejections)


# --------------------------------------------------------------------------------------------------- its end
def _finish(
    context: Writing, stored: Stored[Job], shards: list[Shard], parts: list[Part]
) -> Stored[Job]:
    """Write the manifest, then end the job."""
    job = stored.value
    now = context.now()
    final = job.finished(now, _result(context, job, shards, parts))

    bucket = context.settings.output_bucket
    name = job.manifest_name
    if context.objects.stat(bucket, name) is None:
        _write_manifest(context, name, manifest(final, shards, parts))
    return keep(context, stored, lambda _: final)


def _result(
    context: Writing, job: Job, shards: list[Shard], parts: list[Part]
) -> Result:
    """Return what the output holds and cost."""
    counts = counted(job.plan.counts, parts)
    costs = [*entries_of(context, job, shards), *record_cache(context, job)]
    return Result(
        counts=counts,
        verdict=counts.verdict if job.final_state is _S.DONE else None,
        cost=job_cost(costs) if costs else None,
        tokens=job_tokens(costs),
        manifest=f"{context.settings.output_bucket}/{job.manifest_name}",
    )


def _write_manifest(context: Writing, name: str, body: dict[str, Any]) -> None:
    """Write the object that makes the output complete."""
    data = json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n"
    with context.objects.create(
        context.settings.output_bucket, name, content_type="application/json"
    ) as writer:
        writer.write(data)
        writer.close()


def _publish(context: Writing, stored: Stored[Job]) -> None:
    """Publish the completion and wake who waits, until both are recorded (at least once); then clean up."""
    now = context.now()
    if not stored.value.published:
        stored = _announce(context, stored, now)

    job = stored.value
    if job.cleaned:
        return
    record_cache(context, job)
    settle(context, job)
    clean(context, job)
    context.store.change(stored, Job.tidied)


def _announce(context: Writing, stored: Stored[Job], now: datetime) -> Stored[Job]:
    """Publish the completion and wake who waits; only then it counts as said."""
    job = stored.value
    data, attributes = done_message(job)
    context.topics.publish(Topic.JOBS_COMPLETED, data, attributes)
    wake_waiting(context, job)

    announced = context.store.change(stored, lambda job: job.announced(now))
    log(JOB_ENDED, severity="INFO", **ended_fields(announced.value))
    return announced
