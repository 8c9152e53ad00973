"""One planning step reads lines: each is checked, then cut into range and shard, then observed.

line --checks--> Asked --cutter--> range and shard --observers--> keys counted, shared beginning watched
|-----> Rejected: a row of the range's rejections
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from batchdrop.core.limits import limit
from batchdrop.core.result.row import rejection_row
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.cursors import PlanCursor
from batchdrop.core.state.identity import Content
from batchdrop.core.state.job import Job
from batchdrop.core.upload.cut import (
    CutLimits,
    Cutter,
    RangePlan,
    ShardPlan,
    chained,
    encode_plan,
)
from batchdrop.core.upload.lines import split_lines
from batchdrop.dialects.dialect import Rejected
from batchdrop.steps import work
from batchdrop.steps.cache import watch
from batchdrop.steps.context import Context
from batchdrop.steps.plan.checking import Asked, Checks
from batchdrop.steps.shard_lines import records

Planning = Context[SubmitSettings]
_KEY_BYTES: Final = 8


class Keys:
    """The users' keys as hashes, so that equal ones can be counted; `counted` is False once there are too many."""

    def __init__(self, *, counted: bool) -> None:
        """Hold no key yet."""
        self.hashes = array("Q")
        self.missing = 0
        self.counted = counted
        self._most = limit("counted_keys")

    def see(self, key: bytes) -> None:
        """Count one line's key, `null` when it has none."""
        if key == b"null":
            self.missing += 1
        elif self.counted:
            self.hashes.frombytes(blake2b(key, digest_size=_KEY_BYTES).digest())
            if len(self.hashes) > self._most:
                self.counted = False
                self.hashes = array("Q")


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
        self.blank = self.rejected = 0
        self.checks = Checks(context, job)
        self.watch = watch(context, job)
        self.content = Content(cursor.content, cursor.hashed)
        self.keys = Keys(counted=cursor.counts.duplicate_keys is not None)
        self.attached: set[str] = set()
        self.plans: list[RangePlan | ShardPlan] = []
        self.rejections: list[bytes] = []
        limits = _limits(context, job)
        self.cutter = Cutter(
            limits,
            ranges=cursor.ranges,
            shards=cursor.shards,
            line=self.line,
            offset=self.offset,
        )

    def run(self) -> bool:
        """Examine lines until they end (True) or the time is over at a range's end (False)."""
        for raw, size in split_lines(
            self._chunks(),
            max_line_bytes=self.context.settings.max_line_bytes,
            number=self.line,
        ):
            if self.cutter.range_full(self.line, self.offset):
                self._close_range()
                if self.context.time_left.over():
                    self._close_shard()
                    return False
            self._take(raw)
            self.line += 1
            self.offset += size
        if self.line > self.cutter.first_line:
            self._close_range()
        self._close_shard()
        return True

    def _chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the cursor on; each byte of the whole is in the content's checksum once."""
        start, content = self.offset, self.content
        for chunk in (
            records(self.context, self.job, content.end, start)
            if content.end < start
            else ()
        ):
            content.feed(chunk)
        fed = max(content.end - start, 0)
        for chunk in records(self.context, self.job, start):
            content.feed(chunk[fed:])
            fed = max(fed - len(chunk), 0)
            yield chunk

    def _take(self, raw: bytes | None) -> None:
        """Give one line its place: rejected, blank, or cut into a shard and observed."""
        if raw is not None and (not raw or raw.isspace()):
            self.blank += 1
            return
        asked = self.checks.ask(raw, self.line)
        if isinstance(asked, Rejected):
            self._reject(asked)
            return
        self._cut(asked)
        self.keys.see(asked.key)
        if raw is not None and self.watch.counts is not None:
            self.watch.see(raw)

    def _cut(self, asked: Asked) -> None:
        """Count a request into the open shard, or into a new one when it would take the open one over a limit."""
        _, size, tokens, output_bytes, objects = asked
        attached = (
            sum(objects[uri] for uri in objects if uri not in self.attached)
            if objects
            else 0
        )
        if self.cutter.shard_full(size, tokens, output_bytes, attached):
            if self.line > self.cutter.first_line:
                self._close_range()
            self._close_shard()
            attached = sum(objects.values())
        self.cutter.add(size, tokens, output_bytes, attached)
        self.attached.update(objects)

    def _reject(self, found: Rejected) -> None:
        self.cutter.reject()
        self.rejected += 1
        row = rejection_row(
            self.line, found.key, found.code, found.pointer, found.message, found.fix
        )
        self.rejections.append(row)

    def _close_range(self) -> None:
        name = ""
        if self.rejections:
            name = names.range_rejections(
                self.job.job_id, self.cutter.ranges, self.fence
            )
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
        shards = [plan for plan in self.plans if isinstance(plan, ShardPlan)]
        counts = old.counts.planned(
            lines=self.line - 1,
            blank=self.blank,
            rejections=self.rejected,
            missing_keys=self.keys.missing,
            duplicate_keys=0 if self.keys.counted else None,
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
            batch_kind=self.checks.kind,
            hashed=self.content.end,
            content=self.content.chained,
            attached=self.checks.looked.checksum,
            agreeing=None if self.watch.counts is None else tuple(self.watch.counts),
            parts=(*old.parts, name),
            keys=(*old.keys, *self._write_keys(old.step)),
            checksum=chained(old.checksum, part),
        )

    def _write_keys(self, step: int) -> tuple[str, ...]:
        """Write the hashes of this step's keys; return the work object's name, none when there are no keys."""
        if not self.keys.hashes:
            return ()
        name = names.key_hashes(self.job.job_id, step, self.fence)
        work.put(self.context, name, [self.keys.hashes.tobytes()])
        return (name,)


def _limits(context: Planning, job: Job) -> CutLimits:
    """Return when a range and a shard are full; a shard has a quarter of the model's tokens unless a setting says."""
    settings, facts = context.settings, context.provider_of(job).facts
    return CutLimits(
        settings.range_lines,
        settings.range_bytes,
        min(settings.shard_requests, facts.max_batch_requests),
        min(settings.shard_bytes, facts.max_batch_bytes),
        settings.shard_tokens or max(settings.tokens_limit(facts, job.model) // 4, 1),
        settings.shard_output_bytes,
        settings.shard_attached_bytes,
    )
