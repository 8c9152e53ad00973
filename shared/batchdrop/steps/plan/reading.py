"""One planning step reads lines: each is checked, then cut into range and shard, then observed.

line --checks--> Asked --cutting--> range and shard --observers--> keys counted, shared beginning watched
|-----> Rejected: a row of the range's rejections
"""

from __future__ import annotations

from collections.abc import Iterator

from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.cursors import Counts, PlanCursor
from batchdrop.core.state.identity import Content
from batchdrop.core.state.job import Job
from batchdrop.core.upload.cut import chained, encode_plan, summed
from batchdrop.core.upload.keys import Keys
from batchdrop.core.upload.lines import split_lines
from batchdrop.dialects.line import Rejected
from batchdrop.steps import work
from batchdrop.steps.cache import watch
from batchdrop.steps.context import Context
from batchdrop.steps.plan.checking import Checks
from batchdrop.steps.plan.cutting import Cutting
from batchdrop.steps.shard_lines import records

Planning = Context[SubmitSettings]


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

        self._content = Content(cursor.content, cursor.hashed)
        self._checks = Checks(context, job)
        self._watch = watch(context, job)
        self._keys = Keys(counted=cursor.counts.duplicate_keys is not None)
        self._cutting = Cutting(context, job)

    # ------------------------------------------------------------------------------------------------ reading
    def run(self) -> bool:
        """Examine lines until they end (True) or the time is over at a range's end (False)."""
        cutting = self._cutting
        for raw, size in self._lines():
            if cutting.cutter.range_full(self._line, self._offset):
                cutting.end_range(self._line, self._offset)
                # Only here: the next step begins at a range's end.
                if self._context.time_left.over():
                    cutting.end(self._line, self._offset)
                    return False

            self._take(raw)
            self._line += 1
            self._offset += size

        cutting.end(self._line, self._offset)
        return True

    def _lines(self) -> Iterator[tuple[bytes | None, int]]:
        """Yield each line from the cursor on (None if it is over the limit) and the bytes it takes."""
        most = self._context.settings.max_line_bytes
        return split_lines(self._chunks(), max_line_bytes=most, number=self._line)

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

    def _take(self, raw: bytes | None) -> None:
        """Give one line its place: blank, rejected, or cut into a shard and observed."""
        if raw is not None and (not raw or raw.isspace()):
            self._blank += 1
            return

        asked = self._checks.ask(raw, self._line)
        if isinstance(asked, Rejected):
            self._cutting.reject(asked, self._line)
            return

        self._cutting.take(asked, self._line, self._offset)
        self._observe(asked.key, raw)

    def _observe(self, key: bytes, raw: bytes | None) -> None:
        """Count the key of an accepted line, and how far it agrees with the first one."""
        self._keys.see(key)
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
