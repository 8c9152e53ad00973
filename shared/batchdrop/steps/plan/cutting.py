"""Cutting at work: accepted lines go into ranges and shards, rejected ones into their range's rejections.

accepted  --full?--> the open shard ends, and with it the open range --> counted into the open ones
rejected  --> a row, kept until its range ends: then the range's rows are written as one work object
"""

from __future__ import annotations

from batchdrop.core.result.row import rejection_row
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.upload.cut import CutLimits, Cutter, RangePlan, ShardPlan
from batchdrop.dialects.dialect import Rejected
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.plan.checking import Asked

Planning = Context[SubmitSettings]


class Cutting:
    """Cuts a job's lines from where its cursor stands; `plans` are the ranges and shards that ended."""

    def __init__(self, context: Planning, job: Job) -> None:
        """Open the range and the shard that begin at the cursor."""
        cursor = job.plan
        self._context = context
        self._job = job
        self.cutter = Cutter(
            _limits(context, job),
            ranges=cursor.ranges,
            shards=cursor.shards,
            line=cursor.line,
            offset=cursor.offset,
        )

        self._attached: set[str] = set()
        self._rejections: list[bytes] = []
        self.rejected = 0
        self.plans: list[RangePlan | ShardPlan] = []

    def take(self, asked: Asked, line: int, offset: int) -> None:
        """Count a request into the open shard, or into a new one when it would take the open one over a limit."""
        _, size, tokens, output_bytes, objects = asked
        attached = self._new_bytes(asked) if objects else 0

        if self.cutter.shard_full(size, tokens, output_bytes, attached):
            self.end(line, offset)
            attached = sum(objects.values())

        self.cutter.add(size, tokens, output_bytes, attached)
        if objects:
            self._attached.update(objects)

    def _new_bytes(self, asked: Asked) -> int:
        """Return the bytes of the objects that no request of the open shard attaches yet."""
        objects = asked.objects
        return sum(objects[uri] for uri in objects if uri not in self._attached)

    def reject(self, rejected: Rejected, line: int) -> None:
        """Keep the row of a rejected line for its range."""
        self.cutter.reject()
        self.rejected += 1
        self._rejections.append(
            rejection_row(
                line,
                rejected.key,
                rejected.code,
                rejected.pointer,
                rejected.message,
                rejected.fix,
            )
        )

    def end_range(self, line: int, offset: int) -> None:
        """End the open range before a line; write its rejections."""
        name = self._write_rejections() if self._rejections else ""
        self.plans.append(self.cutter.close_range(line, offset, name))

    def end(self, line: int, offset: int) -> None:
        """End the open range before a line, unless it begins there, and the open shard with it."""
        if line > self.cutter.first_line:
            self.end_range(line, offset)

        shard = self.cutter.close_shard()
        self._attached.clear()
        if shard is not None:
            self.plans.append(shard)

    def _write_rejections(self) -> str:
        """Write the rows that wait; return the work object's name."""
        job = self._job
        name = names.range_rejections(job.job_id, self.cutter.ranges, job.fence)
        work.put(self._context, name, self._rejections)
        self._rejections = []
        return name


def _limits(context: Planning, job: Job) -> CutLimits:
    """Return when a range and a shard are full; a shard has a quarter of the model's tokens unless a setting says."""
    settings, facts = context.settings, context.provider_of(job).facts
    quarter = settings.tokens_limit(facts, job.model) // 4
    return CutLimits(
        range_lines=settings.range_lines,
        range_bytes=settings.range_bytes,
        shard_requests=min(settings.shard_requests, facts.max_batch_requests),
        shard_bytes=min(settings.shard_bytes, facts.max_batch_bytes),
        shard_tokens=settings.shard_tokens or max(quarter, 1),
        shard_output_bytes=settings.shard_output_bytes,
        shard_attached_bytes=settings.shard_attached_bytes,
    )
