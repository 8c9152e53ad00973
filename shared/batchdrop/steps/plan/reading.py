"""One planning step reads lines: each is checked, then cut into range and shard, then observed.

line --checks--> Asked --cutting--> range and shard --observers--> keys counted, shared beginning watched
|-----> Rejected: a row of the range's rejections

Lines that follow each other are taken as a run while they are usual: what becomes of each is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.cursors import Counts, PlanCursor
from batchdrop.core.state.identity import Content
from batchdrop.core.state.job import Job
from batchdrop.core.upload.cut import chained, encode_plan, summed
from batchdrop.core.upload.keys import Keys
from batchdrop.core.upload.lines import Block, split_blocks
from batchdrop.dialects.line import Rejected
from batchdrop.steps import work
from batchdrop.steps.cache import watch
from batchdrop.steps.context import Context
from batchdrop.steps.plan.checking import Checks
from batchdrop.steps.plan.cutting import Cutting
from batchdrop.steps.shard_lines import records

Planning = Context[SubmitSettings]
RUN_LINES: Final = 256
"""Lines looked at together, at most: longer runs are no faster."""


class Pass:
    """One planning step over a job's lines: where it is, and what it has counted and cut."""

    def __init__(self, context: Planning, job: Job) -> None:
        """Begin where the job's cursor stands."""
        cursor = job.plan
        self._context = context
        self._job = job
        self._line = cursor.line
        self._offset = cursor.offset
        self._blank = 0
        self._stride = RUN_LINES

        self._content = Content(cursor.content, cursor.hashed)
        self._checks = Checks(context, job)
        self._watch = watch(context, job)
        self._keys = Keys(counted=cursor.counts.duplicate_keys is not None)
        self._cutting = Cutting(context, job)

    # ------------------------------------------------------------------------------------------------ reading
    def run(self) -> bool:
        """Examine lines until they end (True) or the time is over at a range's end (False)."""
        going_on = all(self._take_block(block) for block in self._blocks())
        self._cutting.end(self._line, self._offset)
        return going_on

    def _blocks(self) -> Iterator[Block]:
        """Yield neighbouring lines from the cursor on."""
        most = self._context.settings.max_line_bytes
        return split_blocks(
            self._chunks(),
            max_line_bytes=most,
            number=self._line,
            start=self._offset,
        )

    def _chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the cursor on; each byte of the whole is in the content's checksum once."""
        content, place = self._content, self._offset
        if content.end < place:
            for chunk in records(self._context, self._job, content.end, place):
                content.feed(chunk)

        for chunk in records(self._context, self._job, place):
            content.feed_from(place, chunk)
            place += len(chunk)
            yield chunk

    def _take_block(self, block: Block) -> bool:
        """Give each line of a block its place; False when the time is over before one that begins a range."""
        if len(block.lines) == 1:
            if not self._goes_on():
                return False
            self._take_line(block.lines[0], block.end - block.start)
            return True

        lines, place = cast("list[bytes]", block.lines), 0
        while place < len(lines):
            if not self._goes_on():
                return False
            most = min(self._stride, self._cutting.cutter.lines_left(self._line))
            place += self._take_some(lines[place : place + most])
        return True

    def _goes_on(self) -> bool:
        """End the open range if the next line belongs to another one; False when the time is over there."""
        if not self._cutting.cutter.range_full(self._line, self._offset):
            return True
        self._cutting.end_range(self._line, self._offset)
        # Only here: the next step begins at a range's end.
        return not self._context.time_left.over()

    def _take_some(self, lines: Sequence[bytes]) -> int:
        """Take lines as a run; or a single one by itself; return how many.

        An odd line costs the lines around it their run: the next ones are shorter, until lines are alike again.
        """
        taken = (
            self._take_run(lines)
            if len(lines) > 1
            else self._take_line(lines[0], len(lines[0]) + 1)
        )
        self._stride = (
            min(self._stride * 2, RUN_LINES) if taken else max(self._stride // 4, 1)
        )
        return taken

    def _take_run(self, lines: Sequence[bytes]) -> int:
        """Take lines that belong to the open range and the open shard; 0 when one must be looked at by itself."""
        size = sum(map(len, lines)) + len(lines)
        last = self._offset + size - len(lines[-1]) - 1
        if not self._cutting.cutter.begins_here(last):
            return 0

        asked = self._checks.ask_all(lines, self._line)
        if asked is None or not self._cutting.take_all(asked):
            return 0

        self._keys.see_all(asked.run.keys)
        if self._watch:
            self._watch.see_all(lines, asked.run)
        self._line += len(lines)
        self._offset += size
        return len(lines)

    def _take_line(self, raw: bytes | None, size: int) -> int:
        """Give one line its place: blank, rejected, or cut into a shard and observed."""
        if raw is not None and (not raw or raw.isspace()):
            self._blank += 1
        else:
            self._ask(raw)
        self._line += 1
        self._offset += size
        return 1

    def _ask(self, raw: bytes | None) -> None:
        asked = self._checks.ask(raw, self._line)
        if isinstance(asked, Rejected):
            self._cutting.reject(asked, self._line)
            return

        self._cutting.take(asked, self._line, self._offset)
        self._observe(asked.key, raw)

    def _observe(self, key: bytes, raw: bytes | None) -> None:
        """Count the key of an accepted line, and how far it agrees with the first one."""
        self._keys.see_all([key])
        watch = self._watch
        if watch and watch.counts is not None and raw is not None:
            watch.see(raw)

    # ----------------------------------------------------------------------------------------------- its result
    def cursor(self) -> PlanCursor:
        """Write this step's plan part and keys; return where the next step continues."""
        cursor = self._with_part(self._job.plan)
        cursor = self._with_keys(cursor)
        cursor = cursor.read_to(self._line, self._offset, self._content)
        cursor = cursor.agreed(self._watch.counts if self._watch else None)

        checks = self._checks
        return cursor.with_lines(
            checks.kind,
            checks.looked.checksum,
            self._counts(),
        )

    def content(self) -> str:
        """Return the checksum of the upload's content, when all lines were read."""
        return self._content.whole()

    def _counts(self) -> Counts:
        """Return the upload's counts up to here."""
        keys = self._keys
        return self._job.plan.counts.planned(
            lines=self._line - 1,
            blank=self._blank,
            rejections=self._cutting.rejected,
            missing_keys=keys.missing,
            duplicate_keys=0 if keys.counted else None,
        )

    def _with_part(self, cursor: PlanCursor) -> PlanCursor:
        """Write the ranges and shards of this step."""
        job = self._job
        plans = self._cutting.plans
        part = encode_plan(plans)
        name = names.plan_part(job.job_id, job.plan.step, job.fence)
        work.put(self._context, name, [part])
        checksum = chained(cursor.checksum, part)
        return cursor.with_part(name, summed(plans), checksum)

    def _with_keys(self, cursor: PlanCursor) -> PlanCursor:
        """Write the hashes of this step's keys, if there are any."""
        hashes = self._keys.hashes
        if not hashes:
            return cursor

        job = self._job
        name = names.key_hashes(job.job_id, job.plan.step, job.fence)
        work.put(self._context, name, [hashes.tobytes()])
        return cursor.with_keys(name)
