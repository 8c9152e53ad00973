"""Planning: one streaming pass over the snapshot makes ranges, shards and rejections.

    PLANNING --lines examined, cut, rejections written--> time over? save the cursor, continue in a new message
             --gates: all rejected? strict? model?-----> REJECTED (through FINALIZING, with its report)
             --RUNNING with the plan's checksum--------> commit point; then the shards are created, idempotently

A later step begins at a range's end, so a line is examined once by a step that is kept. Objects a step writes
carry its fence: what a step that lost its lease wrote is never read.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from batchdrop.core import names
from batchdrop.core.dialect import Rejected, examine, render
from batchdrop.core.errors import PermanentError
from batchdrop.core.jobs import Counts, Job, JobState, PlanCursor
from batchdrop.core.limits import limit
from batchdrop.core.logs import log
from batchdrop.core.planning import (
    CutLimits,
    Cutter,
    RangePlan,
    ShardPlan,
    chained,
    decode_plan,
    encode_plan,
)
from batchdrop.core.records import Failure
from batchdrop.core.rows import rejection_row
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.shards import Shard, ShardState
from batchdrop.core.sniffing import GZIP, SNIFFED_BYTES, gunzip, not_jsonl
from batchdrop.core.validation.codes import FIXES, Code
from batchdrop.ports import Topic
from batchdrop.store import Stored
from batchdrop.usecases import work
from batchdrop.usecases.context import Context
from batchdrop.usecases.dispatching import dispatch, ensure_ledger

Planning = Context[SubmitSettings]

STRIDE = timedelta(minutes=1)
"""A job's n-th shard queues as if it came n minutes later: small jobs are served between."""
CHECK_AGAIN = timedelta(minutes=10)
_KEY_BYTES = 8


class Pass:
    """One planning step over a job's lines: what it counted, cut and found wrong."""

    def __init__(self, context: Planning, job: Job, fence: int) -> None:
        """Begin where the job's cursor stands."""
        cursor = job.plan
        self.context = context
        self.job = job
        self.fence = fence
        self.line = cursor.line
        self.offset = cursor.offset
        self.batch_kind = cursor.batch_kind
        self.blank = self.rejected = self.requests = self.tokens = self.missing_keys = 0
        self.keys = array("Q")
        self.keys_counted = cursor.counts.duplicate_keys is not None
        self.plans: list[RangePlan | ShardPlan] = []
        self.rejections: list[bytes] = []
        settings = context.settings
        tokens = settings.shard_tokens or max(settings.tokens_limit(job.model) // 4, 1)
        limits = CutLimits(
            settings.range_lines,
            settings.range_bytes,
            settings.shard_requests,
            settings.shard_bytes,
            tokens,
        )
        self.cutter = Cutter(limits, ranges=cursor.ranges, shards=cursor.shards, line=self.line, offset=self.offset)

    def run(self, chunks: Iterator[bytes]) -> bool:
        """Examine lines until they end (True) or the time is over at a range's end (False)."""
        for raw, size in _lines(chunks, self.context.settings.max_line_bytes):
            if self.cutter.range_full(self.line, self.offset):
                self._close_range()
                if self.context.budget.spent():
                    self._close_shard()
                    return False
            self._line(raw)
            self.line += 1
            self.offset += size
        if self.line > self.cutter.first_line:
            self._close_range()
        self._close_shard()
        return True

    def _line(self, raw: bytes | None) -> None:
        if raw is None:
            most = self.context.settings.max_line_bytes
            self._reject(_rejected(b"null", Code.LINE_TOO_LONG, "", f"The line is longer than {most} bytes."))
            return
        if self.line == 1 and raw.startswith(b"\xef\xbb\xbf"):
            raw = raw[3:]
        if not raw or raw.isspace():
            self.blank += 1
            return
        found = examine(self.job.dialect, raw, self.job.model)
        if isinstance(found, Rejected):
            self._reject(found)
            return
        if found.kind.value != (self.batch_kind or found.kind.value):
            message = "The upload mixes embedding requests with generation requests."
            self._reject(_rejected(found.key, Code.MIXED_KINDS, "/request", message))
            return
        self.batch_kind = found.kind.value
        line = render(self.job.dialect, raw, self.line, longer=False)
        if self.cutter.shard_full(len(line), found.tokens):
            if self.line > self.cutter.first_line:
                self._close_range()
            self._close_shard()
        self.cutter.add(line, found.tokens)
        self.requests += 1
        self.tokens += found.tokens
        self._key(found.key)

    def _key(self, key: bytes) -> None:
        if key == b"null":
            self.missing_keys += 1
        elif self.keys_counted:
            self.keys.append(int.from_bytes(hashlib.blake2b(key, digest_size=_KEY_BYTES).digest()))
            if len(self.keys) > limit("counted_keys"):
                self.keys_counted = False
                self.keys = array("Q")

    def _reject(self, rejected: Rejected) -> None:
        self.cutter.reject()
        self.rejected += 1
        self.rejections.append(
            rejection_row(
                self.line,
                rejected.key,
                rejected.code,
                rejected.pointer,
                rejected.message,
                rejected.fix,
            )
        )

    def _close_range(self) -> None:
        name = ""
        if self.rejections:
            name = names.range_rejections(self.job.job_id, self.cutter.ranges, self.fence)
            work.put(self.context, name, self.rejections)
            self.rejections = []
        self.plans.append(self.cutter.close_range(self.line, self.offset, name))

    def _close_shard(self) -> None:
        shard = self.cutter.close_shard()
        if shard is not None:
            self.plans.append(shard)

    def cursor(self) -> PlanCursor:
        """Write this step's plan part and keys; return where the next step continues."""
        old = self.job.plan
        part = encode_plan(self.plans)
        name = names.plan_part(self.job.job_id, old.step, self.fence)
        work.put(self.context, name, [part])
        keys = old.keys
        if self.keys:
            keys_name = names.key_hashes(self.job.job_id, old.step, self.fence)
            work.put(self.context, keys_name, [self.keys.tobytes()])
            keys = (*keys, keys_name)
        counts = old.counts.with_(
            lines=self.line - 1,
            blank=old.counts.blank + self.blank,
            rejections=old.counts.rejections + self.rejected,
            missing_keys=old.counts.missing_keys + self.missing_keys,
            duplicate_keys=0 if self.keys_counted else None,
        )
        return PlanCursor(
            step=old.step + 1,
            offset=self.offset,
            line=self.line,
            ranges=self.cutter.ranges,
            shards=self.cutter.shards,
            counts=counts,
            requests=old.requests + self.requests,
            tokens=old.tokens + self.tokens,
            batch_kind=self.batch_kind,
            parts=(*old.parts, name),
            keys=keys,
            checksum=chained(old.checksum, part),
        )


def plan(context: Planning, stored: Stored[Job]) -> None:
    """Plan the job as far as the time allows; its change to RUNNING is the commit point."""
    failure = _whole_file(context, stored.value)
    if failure is None and stored.value.plan.step == 0:
        try:
            stored = _as_records(context, stored)
        except PermanentError as error:
            failure = Failure(code=error.code, message=error.sentence, fix="Compress the file again, or not at all.")
        failure = failure or not_jsonl(_head(context, stored.value))
    if failure is not None:
        _reject_job(context, stored, stored.value.plan, failure)
        return
    job = stored.value
    step = Pass(context, job, job.fence)
    finished = step.run(_records(context, job, job.plan.offset))
    cursor = step.cursor()
    if not finished:
        _continue(context, stored, cursor)
        return
    cursor = cursor.with_(counts=_with_duplicates(context, cursor))
    failure = _gate(context, job, cursor)
    if failure is not None:
        _reject_job(context, stored, cursor, failure)
        return
    now = context.now()
    running = {"plan": cursor, "counts": cursor.counts, "planned_at": now}
    stored = _save(context, stored, JobState.RUNNING, **running)
    log("job planned", job_id=job.job_id, requests=cursor.requests, shards=cursor.shards)
    spawn(context, stored)


def _as_records(context: Planning, stored: Stored[Job]) -> Stored[Job]:
    """Undo gzip into a work object, so that later steps know only lines and byte ranges."""
    job = stored.value
    if job.records_object or not _head(context, job).startswith(GZIP):
        return stored
    settings = context.settings
    packed = _records(context, job, 0)
    plain = gunzip(packed, max_bytes=settings.max_upload_bytes, max_ratio=settings.max_gzip_ratio)
    info = work.put(context, names.records(job.job_id, job.fence), plain)
    now = context.now()
    return context.store.change(
        stored, lambda job: job.with_(records_object=info.name, updated_at=now), fence=job.fence
    )


def _head(context: Planning, job: Job) -> bytes:
    return b"".join(_records(context, job, 0, SNIFFED_BYTES))


def _records(context: Planning, job: Job, start: int, end: int | None = None) -> Iterator[bytes]:
    bucket = context.settings.work_bucket
    if job.records_object:
        return context.objects.read(bucket, job.records_object, start=start, end=end)
    name, generation = names.source(job.job_id), job.snapshot_generation
    return context.objects.read(bucket, name, generation=generation, start=start, end=end)


def spawn(context: Planning, stored: Stored[Job]) -> None:
    """Create the shards the plan names, idempotently, and let them queue."""
    job = stored.value
    ensure_ledger(context, job.model)
    for name in job.plan.parts:
        for entry in decode_plan(work.get(context, name)):
            if isinstance(entry, ShardPlan):
                context.store.ensure(_shard(context, job, entry))
    now = context.now()
    due_at = min(now + CHECK_AGAIN, job.deadline_at)
    context.store.change(
        stored,
        lambda job: job.released(now, due_at).with_(spawned=True),
        fence=stored.value.fence,
    )
    dispatch(context, job.model)


def _shard(context: Planning, job: Job, entry: ShardPlan) -> Shard:
    now = context.now()
    return Shard(
        shard_id=names.shard_id(job.job_id, entry.index),
        job_id=job.job_id,
        state=ShardState.QUEUED,
        batch_kind=job.plan.batch_kind,
        first_range=entry.first_range,
        last_range=entry.last_range,
        requests=entry.requests,
        bytes=entry.bytes,
        measured=True,
        sha256=entry.sha256,
        tokens=entry.tokens,
        model=job.model,
        team=job.team,
        priority=job.priority,
        queued_at=job.created_at + entry.index * STRIDE,
        created_at=now,
        updated_at=now,
        due_at=job.deadline_at,
        deadline_at=job.deadline_at,
    )


def _rejected(key: bytes, code: Code, pointer: str, message: str) -> Rejected:
    return Rejected(key, code, pointer, message, FIXES[code])


def _whole_file(context: Planning, job: Job) -> Failure | None:
    """Say why a file cannot be JSONL, from its size and its first bytes."""
    if job.plan.step:
        return None
    if job.source.bytes == 0:
        return Failure(code="EMPTY_UPLOAD", message="The upload is empty.", fix="Upload one request a line.")
    if job.source.bytes > context.settings.max_upload_bytes:
        return Failure(
            code="UPLOAD_TOO_LARGE",
            message=f"The upload is larger than {context.settings.max_upload_bytes} bytes.",
            fix="Cut it into several files.",
        )
    allowed = context.settings.allowed_models()
    if allowed and job.model not in allowed:
        return _unknown_model("This stack does not allow the model.")
    if not context.provider.knows_model(job.model):
        return _unknown_model("The provider does not know the model.")
    return None


def _unknown_model(message: str) -> Failure:
    return Failure(
        code="UNKNOWN_MODEL",
        message=message,
        fix="Set the object metadata `model`, or the stack's default, to a model it allows.",
    )


def _gate(context: Planning, job: Job, cursor: PlanCursor) -> Failure | None:
    """Say why a planned job must not run."""
    if cursor.requests == 0:
        blank = cursor.counts.rejections == 0
        code = "EMPTY_UPLOAD" if blank else "ALL_LINES_REJECTED"
        message = "The upload holds only blank lines." if blank else "Every line was rejected."
        return Failure(code=code, message=message, fix="See rejections.jsonl." if not blank else "")
    if context.settings.policy == "strict" and cursor.counts.rejections:
        return Failure(
            code="STRICT_POLICY",
            message=f"{cursor.counts.rejections} lines were rejected and the policy is strict.",
            fix="Mend the lines in rejections.jsonl and upload the file again.",
        )
    return None


def _with_duplicates(context: Planning, cursor: PlanCursor) -> Counts:
    """Count the lines whose key an earlier line has, exactly, unless there are too many keys."""
    if cursor.counts.duplicate_keys is None:
        return cursor.counts
    buckets: list[array[int]] = [array("Q") for _ in range(256)]
    total = 0
    for name in cursor.keys:
        keys = array("Q")
        keys.frombytes(work.get(context, name))
        total += len(keys)
        for key in keys:
            buckets[key & 255].append(key)
    if total > limit("counted_keys"):
        return cursor.counts.with_(duplicate_keys=None)
    distinct = sum(len(set(bucket)) for bucket in buckets)
    return cursor.counts.with_(duplicate_keys=total - distinct)


def _reject_job(context: Planning, stored: Stored[Job], cursor: PlanCursor, failure: Failure) -> None:
    """End the job with its report: rejections and manifest are written by `finalizing`."""
    now = context.now()
    changes = {
        "plan": cursor,
        "counts": cursor.counts,
        "failure": failure,
        "final_state": JobState.REJECTED,
        "finalizing_at": now,
        "due_at": now,
        "lease_until": None,
        "claims": 0,
    }
    job = _save(context, stored, JobState.FINALIZING, **changes).value
    log("job rejected", job_id=job.job_id, code=failure.code)
    context.wake(Topic.BATCHES_FINISHED, job.job_id)


def _continue(context: Planning, stored: Stored[Job], cursor: PlanCursor) -> None:
    now = context.now()
    job = context.store.change(
        stored,
        lambda job: job.released(now, now).with_(plan=cursor),
        fence=stored.value.fence,
    ).value
    log("planning continues", job_id=job.job_id, line=cursor.line)
    context.wake(Topic.SHARDS, job.job_id)


def _save(context: Planning, stored: Stored[Job], state: JobState, **changes: Any) -> Stored[Job]:
    now = context.now()
    fence = stored.value.fence
    return context.store.change(stored, lambda job: job.moved(state, now, **changes), fence=fence)


def _lines(chunks: Iterator[bytes], max_bytes: int) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line (None when it is over the limit) and the bytes it takes with its newline."""
    rest: list[bytes] = []
    held, size = 0, 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        size += len(first)
        held += len(first)
        if held <= max_bytes:
            rest.append(first)
        else:
            rest = []
        if others:
            yield (b"".join(rest) if size <= max_bytes else None), size + 1
            for line in others[:-1]:
                yield (line if len(line) <= max_bytes else None), len(line) + 1
            rest, held = [others[-1]], len(others[-1])
            size = held
    if size:
        yield (b"".join(rest) if size <= max_bytes else None), size
