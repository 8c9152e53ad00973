"""Segments: the rows a shard writes of one range, as two work objects that finalizing copies or merges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from batchdrop.core.money.usage import Usage, compact
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer, Outcome, redo_kind
from batchdrop.core.result.row import error_row, result_row
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import DEADLINE, Shard, ShardKind
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.spoken import spoken
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.row_file import RowFile
from batchdrop.steps.write.blobs import put_away


@dataclass(slots=True)
class _Tally:
    """What the rows of a segment add up to."""

    language: Dialect
    outcomes: Counter[Outcome] = field(default_factory=Counter[Outcome])
    open_lines: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    files: int = 0
    file_bytes: int = 0
    usage: Usage = field(default_factory=Usage)
    failed: Usage = field(default_factory=Usage)

    def add(self, answer: Answer) -> None:
        """Count one row."""
        self.outcomes[answer.outcome] += 1
        self.files += answer.file_count
        self.file_bytes += answer.file_bytes
        self.language.add_usage(
            self.usage if answer.outcome.is_result else self.failed, answer.usage
        )

    def segment(
        self,
        range_index: int,
        results: SegmentFile,
        errors: SegmentFile,
        open_list: str,
    ) -> Segment:
        """Return the segment of these rows."""
        return Segment(
            range=range_index,
            results=results,
            errors=errors,
            by_outcome={
                outcome.value: count for outcome, count in self.outcomes.items()
            },
            files=self.files,
            file_bytes=self.file_bytes,
            usage=compact(self.usage + self.failed),
            failed=compact(self.failed),
            open_list=open_list,
            open={kind: len(lines) for kind, lines in self.open_lines.items()},
        )


def write_segment(
    context: Context[WriteSettings],
    job: Job,
    shard: Shard,
    range_index: int,
    tag: str,
    pairs: Iterable[tuple[InputLine, Answer]],
) -> Segment:
    """Write one row for each pair and name the lines another round can help."""
    model = msgspec.json.encode(job.model)
    results, errors = (
        _rows(context, shard, range_index, f"{tag}.{what}")
        for what in ("results", "errors")
    )
    tally = _Tally(spoken(context.provider_of(shard).facts.dialect))
    try:
        for line, found in pairs:
            answer = (
                put_away(context, job, found, line.number, shard.round)
                if found.has_files
                else found
            )
            tally.add(answer)
            if answer.outcome.is_result:
                results.add(result_row(answer, line, shard.round, model))
            else:
                errors.add(error_row(answer, line, shard.round))
            if answer.outcome is Outcome.ANSWERED:
                continue
            again = _again(context, job, shard, answer)
            if again is not None:
                tally.open_lines.setdefault(again.value, []).append(line.number)
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


def _again(
    context: Context[WriteSettings], job: Job, shard: Shard, answer: Answer
) -> ShardKind | None:
    """Decide what another try at a line would be; a stopped shard has none, unless the job finishes at once."""
    if shard.stop is None and answer.outcome is Outcome.MISSING and shard.rest_kind:
        return shard.rest_kind
    if shard.stop is None:
        rounds = (
            context.settings.max_rounds if job.max_rounds is None else job.max_rounds
        )
        return redo_kind(answer, shard.kind, shard.round, rounds)
    at_once = (
        job.finish == "standard" and shard.stop.code == DEADLINE.code and answer.passing
    )
    return ShardKind.LATE if at_once and shard.kind is not ShardKind.LATE else None


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
