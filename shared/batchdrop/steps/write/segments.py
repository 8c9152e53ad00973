"""Segments: the rows a shard writes of one range, as two work objects that finalizing copies or merges."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from batchdrop.core.limits import MIB
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.open_lines import another_try
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.row import error_row, result_row
from batchdrop.core.result.tally import Tally
from batchdrop.core.settings import CommonSettings, WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import Shard
from batchdrop.ports import ObjectInfo, ObjectWriter
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.write.blobs import put_away

BUFFER_BYTES = MIB


class RowFile:
    """An object of rows, opened by its first row, written in large pieces."""

    def __init__(
        self, context: Context[CommonSettings], bucket: str, name: str
    ) -> None:
        """Open nothing yet."""
        self._context = context
        self._address = (bucket, name)
        self._writer: ObjectWriter | None = None
        self._buffer: list[bytes] = []
        self._held = 0
        self.rows = 0

    def add(self, row: bytes) -> None:
        """Append one row."""
        self._buffer.append(row)
        self._held += len(row)
        self.rows += 1
        if self._held >= BUFFER_BYTES:
            self._flush()

    def close(self) -> ObjectInfo | None:
        """Make the object visible; None when it has no rows."""
        if not self.rows:
            return None
        return self._flush().close()

    def abort(self) -> None:
        """Drop what was written."""
        if self._writer is not None:
            self._writer.abort()

    def _flush(self) -> ObjectWriter:
        if self._writer is None:
            bucket, name = self._address
            self._writer = self._context.objects.create(
                bucket, name, content_type="application/x-ndjson"
            )
        self._writer.write(b"".join(self._buffer))
        self._buffer.clear()
        self._held = 0
        return self._writer


def write_segment(
    context: Context[WriteSettings],
    job: Job,
    shard: Shard,
    range_index: int,
    tag: str,
    pairs: Iterable[tuple[InputLine, Answer]],
) -> Segment:
    """Write one row for each pair and name the lines another round can help."""
    results, errors = (
        _rows(context, shard, range_index, f"{tag}.{what}")
        for what in ("results", "errors")
    )
    language, model = context.language_of(shard), msgspec.json.encode(job.model)
    tally = Tally(language.add_usage)
    rounds = context.settings.max_rounds if job.max_rounds is None else job.max_rounds
    try:
        for line, found in pairs:
            answer = found
            if language.media and found.has_files:
                answer = put_away(context, job, language.media, found, line, shard)
            tally.add(answer)
            if answer.outcome.is_result:
                results.add(result_row(answer, line, shard.round, model))
            else:
                errors.add(error_row(answer, line, shard.round))
            if answer.outcome is not Outcome.ANSWERED:
                tally.open(line.number, another_try(job, shard, answer, rounds))
        open_list = _keep_open(context, shard, range_index, tag, tally.open_lines)
        return tally.segment(range_index, _file(results), _file(errors), open_list)
    finally:
        results.abort()
        errors.abort()


def _rows(
    context: Context[WriteSettings], shard: Shard, range_index: int, what: str
) -> RowFile:
    name = names.segment(shard.shard_id, shard.fence, range_index, what)
    return RowFile(context, context.settings.work_bucket, name)


def _file(rows: RowFile) -> SegmentFile:
    info = rows.close()
    if info is None:
        return SegmentFile()
    return SegmentFile(
        object=info.name,
        rows=rows.rows,
        bytes=info.size,
        crc32c=info.crc32c,
        generation=info.generation,
    )


def _keep_open(
    context: Context[WriteSettings],
    shard: Shard,
    range_index: int,
    tag: str,
    open_lines: dict[str, list[int]],
) -> str:
    """Write the lists of lines another round can help; return their work object."""
    if not open_lines:
        return ""
    name = names.line_list(shard.shard_id, shard.fence, f"{range_index:05d}.{tag}")
    work.put(context, name, [msgspec.json.encode(open_lines)])
    return name
