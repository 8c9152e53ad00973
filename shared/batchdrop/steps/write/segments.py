"""Segments: the rows a shard writes of one range, as two work objects that finalizing copies or merges."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from batchdrop.core.result.join import InputLine
from batchdrop.core.result.open_lines import another_try
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.row import error_row, result_row
from batchdrop.core.result.tally import Tally
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import Shard
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.row_file import RowFile
from batchdrop.steps.write.blobs import put_away


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
