"""Planning: one streaming pass over the snapshot makes ranges, shards and rejections.

    PLANNING --lines examined, cut, rejections written--> time over? save the cursor, continue in a new message
             --all rejected? strict? model?------------> REJECTED (through FINALIZING, with its report)
             --the same request? `identities`----------> HELD until the other ended, DUPLICATE, or goes on
             --gates of cost---------------------------> HELD
             --RUNNING with the plan's checksum--------> commit point; then the shards are created, idempotently

A later step begins at a range's end, so a line is examined once by a step that is kept. Objects a step writes
carry its fence: what a step that lost its lease wrote is never read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import limit
from batchdrop.core.logs import log
from batchdrop.core.problem import FIXES, Code
from batchdrop.core.result.row import rejection_row
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.identity import Content
from batchdrop.core.state.job import Job, Passed, PlanCursor, SameRows
from batchdrop.core.upload.cut import CutLimits, Cutter, RangePlan, ShardPlan, chained, encode_plan
from batchdrop.core.upload.lines import split_lines
from batchdrop.core.value import Failure
from batchdrop.dialects.gemini.attachments import may_name
from batchdrop.dialects.gemini.media import asks_images, draws, expected_bytes
from batchdrop.dialects.gemini.models import draws_nothing
from batchdrop.dialects.gemini.request import Accepted, Rejected, examine, no_images, rendered_bytes
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.next import wake
from batchdrop.steps.plan.convert import as_records
from batchdrop.steps.plan.enqueue import spawn
from batchdrop.steps.plan.gates import refuse_file, refuse_length, refuse_model, refuse_plan, with_duplicates
from batchdrop.steps.plan.hold import hold, holds
from batchdrop.steps.plan.identities import identify, original, rows_of, same_as
from batchdrop.steps.plan.price import estimated, hours_of, last_run, refuse_cost
from batchdrop.steps.plan.recipes import resolved
from batchdrop.steps.progress import go_on_later, keep
from batchdrop.steps.shard_lines import records
from batchdrop.steps.submit.attach import Looked
from batchdrop.steps.submit.cache import decided, refuse_cache, watch
from batchdrop.store import Stored

Planning = Context[SubmitSettings]

_KEY_BYTES = 8
_NONE: Mapping[str, int] = {}


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
        self.blank = self.rejected = self.missing_keys = 0
        self.draws = draws(job.model)
        self.draws_nothing = draws_nothing(job.model)
        self.watch = watch(context, job)
        self.looked = Looked(context, job, cursor.attached)
        self.content = Content(cursor.content, cursor.hashed)
        self.attached: set[str] = set()
        self.keys = array("Q")
        self.most_keys = limit("counted_keys")
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
            settings.shard_output_bytes,
            settings.shard_attached_bytes,
        )
        self.cutter = Cutter(limits, ranges=cursor.ranges, shards=cursor.shards, line=self.line, offset=self.offset)

    def run(self) -> bool:
        """Examine lines until they end (True) or the time is over at a range's end (False)."""
        for raw, size in split_lines(
            self._chunks(), max_line_bytes=self.context.settings.max_line_bytes, number=self.line
        ):
            if self.cutter.range_full(self.line, self.offset):
                self._close_range()
                if self.context.time_left.over():
                    self._close_shard()
                    return False
            self._line(raw)
            self.line += 1
            self.offset += size
        if self.line > self.cutter.first_line:
            self._close_range()
        self._close_shard()
        return True

    def _chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the cursor on; each byte of the whole is in the content's checksum once."""
        start, content = self.offset, self.content
        for chunk in records(self.context, self.job, content.end, start) if content.end < start else ():
            content.feed(chunk)
        fed = max(content.end - start, 0)
        for chunk in records(self.context, self.job, start):
            content.feed(chunk[fed:])
            fed = max(fed - len(chunk), 0)
            yield chunk

    def _line(self, raw: bytes | None) -> None:
        if raw is None:
            most = self.context.settings.max_line_bytes
            self._reject(_rejected(b"null", Code.LINE_TOO_LONG, "", f"The line is longer than {most} bytes."))
            return
        if not raw or raw.isspace():
            self.blank += 1
            return
        found = examine(raw, self.job.model, converted=self.job.converted)
        if isinstance(found, Rejected):
            self._reject(found)
            return
        objects = self._objects(raw, found)
        if isinstance(objects, Rejected):
            self._reject(objects)
            return
        self.batch_kind = found.kind
        size = rendered_bytes(raw, self.line, found)
        output_bytes = expected_bytes(raw) if self.draws else 0
        attached = self._new_bytes(objects) if objects else 0
        if self.cutter.shard_full(size, found.tokens, output_bytes, attached):
            if self.line > self.cutter.first_line:
                self._close_range()
            self._close_shard()
            attached = sum(objects.values())
        self.cutter.add(size, found.tokens, output_bytes, attached)
        if objects:
            self.attached.update(objects)
        if self.watch.counts is not None:
            self.watch.see(raw)
        self._key(found.key)

    def _objects(self, raw: bytes, found: Accepted) -> Mapping[str, int] | Rejected:
        """Return the objects an accepted line attaches, or why it cannot run beside the others or on the model."""
        if found.kind != (self.batch_kind or found.kind):
            message = "The upload mixes embedding requests with generation requests."
            return _rejected(found.key, Code.MIXED_KINDS, "/request", message)
        if self.draws_nothing and asks_images(raw):
            return no_images(found.key, self.job.model)
        return self.looked.at(raw, found.key) if found.media and may_name(raw) else _NONE

    def _new_bytes(self, objects: Mapping[str, int]) -> int:
        """Return the bytes of objects that no earlier line of the open shard names."""
        return sum(size for uri, size in objects.items() if uri not in self.attached)

    def _key(self, key: bytes) -> None:
        if key == b"null":
            self.missing_keys += 1
        elif self.keys_counted:
            self.keys.frombytes(blake2b(key, digest_size=_KEY_BYTES).digest())
            if len(self.keys) > self.most_keys:
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
        self.attached.clear()
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
        shards = [plan for plan in self.plans if isinstance(plan, ShardPlan)]
        counts = old.counts.planned(
            lines=self.line - 1,
            blank=self.blank,
            rejections=self.rejected,
            missing_keys=self.missing_keys,
            duplicate_keys=0 if self.keys_counted else None,
        )
        return PlanCursor(
            step=old.step + 1,
            offset=self.offset,
            line=self.line,
            ranges=self.cutter.ranges,
            shards=self.cutter.shards,
            counts=counts,
            requests=old.requests + sum(shard.requests for shard in shards),
            tokens=old.tokens + sum(shard.tokens for shard in shards),
            bytes=old.bytes + sum(shard.bytes for shard in shards),
            batch_kind=self.batch_kind,
            hashed=self.content.end,
            content=self.content.chained,
            attached=self.looked.checksum,
            agreeing=None if self.watch.counts is None else tuple(self.watch.counts),
            parts=(*old.parts, name),
            keys=keys,
            checksum=chained(old.checksum, part),
        )


def plan(context: Planning, stored: Stored[Job]) -> None:
    """Plan the job as far as the time allows; its change to RUNNING is the commit point."""
    if stored.value.plan.identity:
        _decide(context, stored, stored.value.plan)
        return
    prepared = _prepared(context, stored) if stored.value.plan.step == 0 else stored
    if prepared is None:
        return
    if isinstance(prepared, Failure):
        _refuse(context, stored, stored.value.plan, prepared)
        return
    stored = prepared
    job = stored.value
    step = Pass(context, job, job.fence)
    finished = step.run()
    cursor = step.cursor()
    failure = refuse_length(context, cursor)
    if failure is None and not finished:
        log("planning continues", job_id=job.job_id, line=cursor.line)
        go_on_later(context, stored, lambda job: job.with_plan(context.now(), cursor))
        return
    able = failure or refuse_plan(context, job, cursor) or refuse_model(context, stored, cursor)
    if isinstance(able, Failure):
        _refuse(context, stored, cursor, able)
        return
    stored = able
    identity = identify(job, step.content.whole(), step.looked.checksum)
    _decide(context, stored, cursor.ended(identity, with_duplicates(context, cursor)))


def _decide(context: Planning, stored: Stored[Job], cursor: PlanCursor) -> None:
    """Let a planned job run, unless another one answers the same request or a gate is closed."""
    job = stored.value
    other = original(context, job, cursor.identity)
    if other is not None and other.state.terminal:
        _end(context, stored, cursor, rows_of(context, other))
        return
    passed = _gates(context, job, cursor) if other is None else same_as(other)
    if isinstance(passed, Failure):
        _refuse(context, stored, cursor, passed)
        return
    stored = keep(context, stored, lambda job: job.planned(context.now(), cursor, passed))
    log("job planned", job_id=job.job_id, requests=cursor.requests, shards=cursor.shards)
    spawn(context, stored)


def _gates(context: Planning, job: Job, cursor: PlanCursor) -> Failure | Passed:
    """Let a planned job pass its gates of cost; return what they found out, for its record."""
    last, now = last_run(context, job), context.now()
    caching = decided(context, job, cursor, hours_of(last) or context.settings.cache_hours)
    cost = estimated(context, job, cursor, caching, last)
    failure = refuse_cache(job, caching) or refuse_cost(context, job, cost)
    if failure is not None:
        return failure
    month = now.strftime("%Y-%m") if cost.likely is not None else ""
    return Passed(caching, cost.as_json(), month)


def _prepared(context: Planning, stored: Stored[Job]) -> Stored[Job] | Failure | None:
    """Find the job's recipe, look at the file as a whole, make lines of it; None: that goes on in a new message."""
    found = resolved(context, stored)
    if isinstance(found, Failure):
        return found
    failure = refuse_file(context, found.value)
    if failure is not None:
        return failure
    try:
        return as_records(context, found)
    except PermanentError as error:
        if error.code in _UNREADABLE:
            return Failure(code=error.code, message=error.sentence, fix=_UNREADABLE[error.code])
        raise


_UNREADABLE = {
    "GZIP_INVALID": "Compress the file again, or not at all.",
    "GZIP_BOMB": "Compress the file again, or not at all.",
    "ARRAY_INVALID": "Write the array again, whole and alone, or one request a line.",
    "PARQUET_BOMB": "Write the table without what repeats, or as several files.",
    "TABLE_INVALID": "Write the table again; the sentence says what is wrong with it.",
    "RECIPE_WITHOUT_PROMPT": "Give the recipe a prompt.",
}


def _refuse(context: Planning, stored: Stored[Job], cursor: PlanCursor, failure: Failure) -> None:
    """Hold the job for what a person can mend, or reject it."""
    if not holds(context, stored.value, failure):
        _end(context, stored, cursor, failure)
        return
    now, before = context.now(), stored.value.plan
    plan = cursor if cursor.offset > before.offset else before
    hold(context, keep(context, stored, lambda job: job.with_plan(now, plan)), failure)


def _rejected(key: bytes, code: Code, pointer: str, message: str) -> Rejected:
    return Rejected(key, code, pointer, message, FIXES[code])


def _end(context: Planning, stored: Stored[Job], cursor: PlanCursor, reason: Failure | SameRows) -> None:
    """End a job that does not run; its report (rejections, manifest) is written by `finalize`."""
    job = keep(context, stored, lambda job: job.does_not_run(context.now(), cursor, reason)).value
    code = job.failure.code if job.failure else ""
    log("job does not run", job_id=job.job_id, state=str(job.final_state), code=code)
    wake(context, job)
