"""Finalizing: when every shard of a job has ended, its rows become the output, then the manifest, then the message.

    RUNNING --closure over shards and children ended--> FINALIZING
        each range:  one shard wrote it        -> its objects are copied server-side
                     several did (redo, split) -> merged by line, the best row of each line kept
        rejections.jsonl, manifest.json (last), DONE --> message --> work objects and provider files deleted

Every output object is created once (`if_generation_match=0`); one that exists with the same bytes is ours.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.errors import BatchdropError, LeaseLostError, PermanentError
from batchdrop.core.logs import JOB_ENDED, log
from batchdrop.core.money.costs import job_cost, job_tokens
from batchdrop.core.result.ended import ended_fields
from batchdrop.core.result.manifest import Part, done_message, manifest
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names, queries
from batchdrop.core.state.cursors import Counts, Finalizing
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.state.job_steps import Result
from batchdrop.core.state.segment import Segment
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.shard_state import ShardState
from batchdrop.core.upload.cut import RangePlan
from batchdrop.core.value import Failure
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.steps import work
from batchdrop.steps.attach import detach
from batchdrop.steps.context import Context
from batchdrop.steps.costs import entries_of, record_cache, settle
from batchdrop.steps.finalize.parts import joined_fields, range_parts
from batchdrop.steps.next import wake_waiting
from batchdrop.steps.progress import go_on_later, hand_back, keep
from batchdrop.steps.recipe import frozen
from batchdrop.steps.row_file import RowFile
from batchdrop.steps.segment_lists import whole
from batchdrop.steps.shard_lines import all_ranges
from batchdrop.store import Stored

Writing = Context[WriteSettings]
CLOSING: Final = timedelta(hours=24)
"""For the last shards and the output, after results that cannot be read were given up."""
_S = JobState


def advance_output(context: Writing, job_id: str) -> None:
    """Take a job's output as far as it goes now: closure, parts, manifest, message, cleaning."""
    stored = context.store.job(job_id)
    if stored is None:
        log("wake for an unknown job", severity="WARNING", job_id=job_id)
        return
    if stored.value.state is _S.RUNNING:
        begun = _begin(context, stored)
        if begun is None:
            return
        stored = begun
    if stored.value.state is _S.FINALIZING:
        finished = _finalize(context, stored)
        if finished is None:
            return
        stored = finished
    if stored.value.state.terminal:
        _publish(context, stored)


def last_end(context: Writing, job: Job) -> datetime:
    """Return when a job that has not ended is given up: every shard had its time to be read and written by then."""
    return job.deadline_at + timedelta(hours=context.settings.results_hours) + CLOSING


def closed(shards: Iterable[Shard], planned: int, job_id: str) -> bool:
    """True when every planned shard and every named child exists and has ended."""
    found = {shard.shard_id: shard for shard in shards}
    expected = {names.shard_id(job_id, index) for index in range(planned)}
    for shard in found.values():
        expected.update(child.shard_id for child in shard.children)
    return all(name in found and found[name].state.terminal for name in expected)


def _begin(context: Writing, stored: Stored[Job]) -> Stored[Job] | None:
    """Go to FINALIZING if the job is complete; else look again later, unless that is planned already."""
    job, now = stored.value, context.now()
    if not job.spawned:
        return None
    shards = [
        entry.value for entry in context.store.shards(queries.shards_of(job.job_id))
    ]
    if not closed(shards, job.plan.shards, job.job_id):
        if now >= last_end(context, job):
            return _fail(
                context,
                stored,
                "OVERDUE",
                "Some of its batches had not ended long after its deadline.",
            )
        if job.due_at is None or job.due_at <= now:
            later = context.later(context.settings.lease_seconds)
            context.store.change(
                stored,
                lambda job: (
                    job.due_again(now, later) if job.state is _S.RUNNING else None
                ),
            )
        return None
    return context.store.change(stored, lambda job: job.complete(now))


def _finalize(context: Writing, stored: Stored[Job]) -> Stored[Job] | None:
    lease = context.settings.lease_seconds
    stored = context.store.claim(stored, context.now(), lease, {_S.FINALIZING})
    try:
        if stored.value.claims > context.settings.max_claims:
            return _fail(
                context,
                stored,
                "POISONED",
                "Writing the output crashed repeatedly; it was given up.",
            )
        return _output(context, stored)
    except LeaseLostError:
        raise
    except PermanentError as error:
        return _fail(context, stored, error.code, error.sentence)
    except BatchdropError as error:
        if context.now() >= last_end(context, stored.value):
            return _fail(
                context,
                stored,
                "OVERDUE",
                f"The output could not be written by now ({error.code}).",
            )
        hand_back(context, stored, error.code, severity="WARNING")
        return None


def _output(context: Writing, stored: Stored[Job]) -> Stored[Job] | None:
    job = stored.value
    shards = [
        whole(context, entry.value)
        for entry in context.store.shards(queries.shards_of(job.job_id))
    ]
    runs = job.final_state not in (_S.REJECTED, _S.DUPLICATE)
    ranges = all_ranges(context, job)
    if runs:
        progress = _write_parts(context, stored, ranges, shards)
        if progress is None:
            return None
        stored = progress
    parts = _kept_parts(context, stored.value)
    rejections = (
        None if job.final_state is _S.DUPLICATE else _rejections(context, job, ranges)
    )
    if rejections is not None:
        parts.append(rejections)
    return _finish(context, stored, shards, parts)


def _finish(
    context: Writing, stored: Stored[Job], shards: list[Shard], parts: list[Part]
) -> Stored[Job]:
    """Write the manifest, then end the job."""
    job, now = stored.value, context.now()
    counts = _counts(job, parts)
    verdict = None
    if job.final_state is _S.DONE:
        verdict = "partial" if counts.errors or counts.rejections else "complete"
    name = names.output_prefix(job.source.object, job.job_id) + "manifest.json"
    entries = [*entries_of(context, job, shards), *record_cache(context, job)]
    result = Result(
        counts=counts,
        verdict=verdict,
        cost=job_cost(entries) if entries else None,
        tokens=job_tokens(entries),
        manifest=f"{context.settings.output_bucket}/{name}",
    )
    final = job.finished(now, result)
    if context.objects.stat(context.settings.output_bucket, name) is None:
        body = manifest(final, shards, parts)
        _create(
            context,
            name,
            json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n",
        )
    return keep(context, stored, lambda _: final)


def _fail(
    context: Writing, stored: Stored[Job], code: str, message: str
) -> Stored[Job]:
    now = context.now()
    failure = Failure(code=code, message=message)
    log("job failed", severity="ERROR", job_id=stored.value.job_id, code=code)
    return keep(context, stored, lambda job: job.ended(now, _S.FAILED, failure))


def _counts(job: Job, parts: list[Part]) -> Counts:
    outcomes: Counter[str] = Counter()
    for part in parts:
        outcomes.update(part.by_outcome)
    return job.plan.counts.answered(
        results=sum(part.rows for part in parts if part.what == "results"),
        errors=sum(part.rows for part in parts if part.what == "errors"),
        by_outcome=dict(sorted(outcomes.items())),
    )


def _write_parts(
    context: Writing, stored: Stored[Job], ranges: list[RangePlan], shards: list[Shard]
) -> Stored[Job] | None:
    """Make the output of the ranges that have none; None when the time is over."""
    job = stored.value
    by_range = _segments_by_range(shards)
    parts: list[Part] = []
    recipe, fields = frozen(context, job), joined_fields(context, job)
    for plan in ranges[job.finalizing.next_range :]:
        parts += range_parts(
            context, job, recipe, fields, plan, by_range.get(plan.index, [])
        )
        if context.time_left.over() and plan is not ranges[-1]:
            go_on_later(
                context, stored, _note_parts(context, job, parts, plan.index + 1)
            )
            return None
    return keep(context, stored, _note_parts(context, job, parts, len(ranges)))


def _note_parts(
    context: Writing, job: Job, parts: list[Part], next_range: int
) -> Callable[[Job], Job]:
    """Write which parts exist to a work object; return the transition that names it in the record."""
    lists = job.finalizing.lists
    if parts:
        name = names.parts_list(job.job_id, len(lists), job.fence)
        work.put(
            context, name, [json.dumps([part.to_json() for part in parts]).encode()]
        )
        lists = (*lists, name)
    now, progress = context.now(), Finalizing(next_range=next_range, lists=lists)
    return lambda job: job.with_finalizing(now, progress)


def _kept_parts(context: Writing, job: Job) -> list[Part]:
    lists = (json.loads(work.get(context, name)) for name in job.finalizing.lists)
    return [Part.from_json(entry) for entries in lists for entry in entries]


def _segments_by_range(shards: list[Shard]) -> dict[int, list[tuple[Shard, Segment]]]:
    found: dict[int, list[tuple[Shard, Segment]]] = {}
    for shard in shards:
        if shard.state is ShardState.WRITTEN:
            for segment in shard.segments:
                found.setdefault(segment.range, []).append((shard, segment))
    return found


def _rejections(context: Writing, job: Job, ranges: list[RangePlan]) -> Part | None:
    """Write all rejections as one object, streamed."""
    name = "rejections.jsonl"
    target = names.output_prefix(job.source.object, job.job_id) + name
    rejected = sum(plan.rejected for plan in ranges)
    if not rejected:
        return None
    rows = RowFile(context, context.settings.output_bucket, target)
    try:
        for plan in ranges:
            if plan.rejections:
                for row in work.lines(context, plan.rejections):
                    rows.add(row + b"\n")
        info = rows.close()
    finally:
        rows.abort()
    assert info is not None
    return Part(
        "rejections",
        name,
        rows.rows,
        info.size,
        info.crc32c,
        ranges[0].first_line,
        ranges[-1].last_line,
    )


def _create(context: Writing, name: str, data: bytes) -> ObjectInfo:
    with context.objects.create(
        context.settings.output_bucket, name, content_type="application/json"
    ) as writer:
        writer.write(data)
        return writer.close()


def _publish(context: Writing, stored: Stored[Job]) -> None:
    """Publish the completion and wake who waits, until both are recorded (at least once); then clean up."""
    job, now = stored.value, context.now()
    if not job.published:
        data, attributes = done_message(job)
        context.topics.publish(Topic.JOBS_COMPLETED, data, attributes)
        wake_waiting(context, job)
        stored = context.store.change(stored, lambda job: job.announced(now))
        log(JOB_ENDED, severity="INFO", **ended_fields(stored.value))
    if not stored.value.cleaned:
        record_cache(context, stored.value)
        settle(context, stored.value)
        clean(context, stored.value)
        context.store.change(stored, Job.tidied)


def clean(context: Writing, job: Job) -> None:
    """Delete what an ended job no longer needs: caches, provider files, batches and work objects."""
    caches = context.provider_of(job).caches
    if caches is not None and job.caching is not None:
        for use in job.caching.uses:
            caches.delete_cache(use.name)
    for stored in context.store.shards(queries.shards_of(job.job_id)):
        shard = stored.value
        detach(context, shard)
        provider = context.provider_of(shard)
        if shard.file and provider.inputs is not None:
            provider.inputs.delete_file(shard.file)
        for batch in filter(None, (shard.batch.name, *shard.past)):
            provider.batches.delete(batch)
    bucket = context.settings.work_bucket
    while True:
        page = context.objects.list(bucket, prefix=f"{job.job_id}/")
        for info in page.objects:
            context.objects.delete(bucket, info.name, generation=info.generation)
        if page.next_token is None:
            return
