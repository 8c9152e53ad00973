"""Segments: the rows a shard writes of one range, as two work objects that finalizing copies or merges."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from batchdrop.core.result.join import InputLine
from batchdrop.core.result.open_lines import another_try
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.plain import Run
from batchdrop.core.result.row import error_row, plain_rows, result_row
from batchdrop.core.result.tally import Tally
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import Shard
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.row_file import RowFile
from batchdrop.steps.write.answered import Pair
from batchdrop.steps.write.blobs import put_away


def write_segment(
    context: Context[WriteSettings],
    job: Job,
    shard: Shard,
    range_index: int,
    tag: str,
    answered: Iterable[Pair | Run],
) -> Segment:
    """Write one row for each line and name the lines another round can help."""
    rows = _Rows(context, job, shard, range_index, tag)
    try:
        for found in answered:
            if isinstance(found, Run):
                rows.add_run(found)
            else:
                rows.add(*found)
        return rows.close()
    finally:
        rows.abort()


class _Rows:
    """The rows of one segment, and what they add up to."""

    def __init__(
        self,
        context: Context[WriteSettings],
        job: Job,
        shard: Shard,
        range_index: int,
        tag: str,
    ) -> None:
        self._context, self._job, self._shard = context, job, shard
        self._range, self._tag = range_index, tag
        self._results, self._errors = (
            _rows(context, shard, range_index, f"{tag}.{what}")
            for what in ("results", "errors")
        )
        self._language = context.language_of(shard)
        self._model = msgspec.json.encode(job.model)
        self._tally = Tally(self._language.add_usage)
        rounds = context.settings.max_rounds
        self._rounds = rounds if job.max_rounds is None else job.max_rounds

    def add(self, line: InputLine, found: Answer) -> None:
        """Add the row of one line."""
        answer, shard, media = found, self._shard, self._language.media
        if media and found.has_files:
            answer = put_away(self._context, self._job, media, found, line, shard)
        self._tally.add(answer)
        if answer.outcome.is_result:
            self._results.add(result_row(answer, line, shard.round, self._model))
        else:
            self._errors.add(error_row(answer, line, shard.round))
        if answer.outcome is not Outcome.ANSWERED:
            kind = another_try(self._job, shard, answer, self._rounds)
            self._tally.open(line.number, kind)

    def add_run(self, run: Run) -> None:
        """Add the rows of plain answers."""
        self._tally.add_plain(run.answers)
        self._results.add_all(plain_rows(run, self._shard.round))

    def close(self) -> Segment:
        """Make the rows visible."""
        tally = self._tally
        open_list = _keep_open(
            self._context, self._shard, self._range, self._tag, tally.open_lines
        )
        results, errors = _file(self._results), _file(self._errors)
        return tally.segment(self._range, results, errors, open_list)

    def abort(self) -> None:
        """Drop what is not visible."""
        self._results.abort()
        self._errors.abort()


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
