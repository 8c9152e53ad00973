"""Parts: the rows of a range become output objects, and tables or lines of another dialect if the recipe wants them.

one shard wrote the range     its objects are copied server-side
several did (redo, split)     merged by line, the best row of each line kept
output: dialect               each row written as the other API would have written it
output: formats               a CSV or Parquet object with all lines of the range, rejections too
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from batchdrop.core.errors import ObjectExistsError, PermanentError
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.result.manifest import Part
from batchdrop.core.result.row import head, is_result, order
from batchdrop.core.result.tables import (
    Column,
    Joined,
    Kind,
    plan_columns,
    restored,
    write_csv,
    write_parquet,
)
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import Shard, ShardKind
from batchdrop.core.upload.cut import RangePlan
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.row_file import RowFile

Writing = Context[WriteSettings]
Keyed = Iterator[tuple[tuple[int, int, int], bytes]]
_RESULTS, _ERRORS = "results", "errors"
_WRITERS: Final[
    dict[str, Callable[[Iterable[Joined], tuple[Column, ...]], Iterator[bytes]]]
] = {
    "csv": write_csv,
    "parquet": write_parquet,
}


class _Record(msgspec.Struct, frozen=True):
    record: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of joined records in the order of the upload: what they hold, and the Arrow types that are kept."""

    kinds: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    types: bytes = b""


_decode_fields = msgspec.json.Decoder(tuple[dict[str, str], bytes]).decode
_decode_record = msgspec.json.Decoder(_Record).decode


def range_parts(
    context: Writing,
    job: Job,
    recipe: Recipe,
    fields: Fields | None,
    plan: RangePlan,
    segments: list[tuple[Shard, Segment]],
) -> list[Part]:
    """Make all output objects of a range; the same segments give the same bytes."""
    found = [segment for _, segment in segments]
    alone = len(segments) == 1 and segments[0][0].kind is ShardKind.PLAN
    if alone and job.output.dialect == "rows":
        files = ((_RESULTS, found[0].results), (_ERRORS, found[0].errors))
        parts = [
            _copied(context, job, plan, what, file) for what, file in files if file.rows
        ]
        parts = _with_outcomes(parts, found[0].by_outcome)
    else:
        parts = _merged(context, job, plan, found)
    forms = [form for form in job.output.formats if form in _WRITERS]
    columns = _columns(job, recipe, fields) if forms else ()
    return parts + [_table(context, job, columns, plan, found, form) for form in forms]


def _copied(
    context: Writing, job: Job, plan: RangePlan, what: str, file: SegmentFile
) -> Part:
    bucket = context.settings.work_bucket
    source = context.objects.stat(bucket, file.object, generation=file.generation)
    name = names.part(what, plan.index)
    target = names.output_prefix(job.source.object, job.job_id) + name
    if source is None:
        raise PermanentError("a segment of the job is gone", code="GONE")
    try:
        context.objects.copy(source, context.settings.output_bucket, target)
    except ObjectExistsError:
        _same_or_fail(context, target, file.bytes, file.crc32c)
    return Part(
        what, name, file.rows, file.bytes, file.crc32c, plan.first_line, plan.last_line
    )


def _merged(
    context: Writing, job: Job, plan: RangePlan, segments: list[Segment]
) -> list[Part]:
    """Write the best row of each line."""
    prefix = names.output_prefix(job.source.object, job.job_id)
    written = _in_words_of(job)
    outputs = {
        what: RowFile(
            context,
            context.settings.output_bucket,
            prefix + names.part(what, plan.index),
        )
        for what in (_RESULTS, _ERRORS)
    }
    outcomes: Counter[str] = Counter()
    try:
        for row in _best_rows(context, segments):
            row_head = head(row)
            outcomes[row_head.outcome] += 1
            outputs[_RESULTS if is_result(row_head) else _ERRORS].add(
                written(row) + b"\n"
            )
        parts = [
            Part(
                what,
                names.part(what, plan.index),
                rows.rows,
                info.size,
                info.crc32c,
                plan.first_line,
                plan.last_line,
            )
            for what, rows in outputs.items()
            if (info := rows.close()) is not None
        ]
    finally:
        for rows in outputs.values():
            rows.abort()
    return _with_outcomes(parts, dict(outcomes))


def _best_rows(context: Writing, segments: list[Segment]) -> Iterator[bytes]:
    """Merge the rows of several shards by line and keep the best of each line."""
    files = [
        file
        for segment in segments
        for file in (segment.results, segment.errors)
        if file.rows
    ]
    last = 0
    for (line, _, _), row in heapq.merge(
        *(_keyed(context, file) for file in files), key=lambda item: item[0]
    ):
        if line != last:
            last = line
            yield row


def _keyed(context: Writing, file: SegmentFile) -> Keyed:
    for row in work.lines(context, file.object):
        yield order(row), row


def _in_words_of(job: Job) -> Callable[[bytes], bytes]:
    """Return what writes a row as the output's dialect has it."""
    if job.output.dialect == "rows":
        return bytes
    from batchdrop.dialects.dialect import LineForm
    from batchdrop.dialects.reply import answer
    from batchdrop.dialects.translate import CHAT_URL

    dialect, url = LineForm(job.output.dialect), job.dialect_url or CHAT_URL
    return lambda row: answer(dialect, msgspec.json.decode(row), url).rstrip(b"\n")


def joined_fields(context: Writing, job: Job) -> Fields | None:
    """Return the fields of a job's joined records in the order of the upload; None when none are joined."""
    if not job.output.join:
        return None
    if not job.columns:
        return Fields()
    kinds, types = _decode_fields(work.get(context, job.columns))
    return Fields({name: Kind(kind) for name, kind in kinds.items()}, types)


def _columns(job: Job, recipe: Recipe, fields: Fields | None) -> tuple[Column, ...]:
    return plan_columns(
        cast("Mapping[str, Any] | None", recipe.answer_schema()),
        fields=fields.kinds if fields else None,
        types=restored(fields.types) if fields else None,
        embeds=job.plan.batch_kind == "embed",
        dimensions=recipe.embed.dimensions if recipe.embed else None,
    )


def _table(
    context: Writing,
    job: Job,
    columns: tuple[Column, ...],
    plan: RangePlan,
    segments: list[Segment],
    form: str,
) -> Part:
    """Write a table of the range's lines, in order, rejections among them."""
    count = 0

    def joined() -> Iterator[Joined]:
        nonlocal count
        for row in _all_rows(context, plan, segments):
            count += 1
            yield row, _decode_record(row).record if job.output.join else None

    name = names.table(plan.index, form)
    target = names.output_prefix(job.source.object, job.job_id) + name
    bucket, kind = context.settings.output_bucket, _TYPES[form]
    try:
        with context.objects.create(bucket, target, content_type=kind) as writer:
            for piece in _WRITERS[form](joined(), columns):
                writer.write(piece)
            info = writer.close()
    except ObjectExistsError:
        there = context.objects.stat(bucket, target)
        if there is None:
            raise
        info, count = there, sum(1 for _ in _all_rows(context, plan, segments))
    return Part(
        form, name, count, info.size, info.crc32c, plan.first_line, plan.last_line
    )


_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def _all_rows(
    context: Writing, plan: RangePlan, segments: list[Segment]
) -> Iterator[bytes]:
    """Yield one row for each line of the range: results, errors and rejections."""
    rejected = ((head(row).line, row) for row in _rejections(context, plan))
    best = ((head(row).line, row) for row in _best_rows(context, segments))
    for _, row in heapq.merge(best, rejected, key=lambda item: item[0]):
        yield row


def _rejections(context: Writing, plan: RangePlan) -> Iterator[bytes]:
    return work.lines(context, plan.rejections) if plan.rejections else iter(())


def _with_outcomes(parts: list[Part], outcomes: dict[str, int]) -> list[Part]:
    """Hang a range's outcomes on its first part, so that they are counted once."""
    return [
        part.with_outcomes(outcomes if index == 0 else {})
        for index, part in enumerate(parts)
    ]


def _same_or_fail(context: Writing, name: str, size: int, crc32c: str) -> None:
    there = context.objects.stat(context.settings.output_bucket, name)
    if there is None or there.size != size or there.crc32c != crc32c:
        raise PermanentError(
            "an output object exists with other bytes", code="OUTPUT_CONFLICT"
        )
