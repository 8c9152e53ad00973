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
from operator import itemgetter
from typing import Any, Final, cast

import msgspec

from batchdrop.core.codes import Code
from batchdrop.core.errors import ObjectExistsError, PermanentError
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.result.manifest import Part, with_outcomes
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
from batchdrop.ports import ObjectInfo
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.recipe import frozen
from batchdrop.steps.row_file import RowFile

Writing = Context[WriteSettings]
Keyed = Iterator[tuple[tuple[int, int, int], bytes]]
_RESULTS, _ERRORS = "results", "errors"
_KINDS: Final = (_RESULTS, _ERRORS)
_OWN: Final = "rows"
"""The dialect of rows as segments have them."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of joined records in the order of the upload: what they hold, and the Arrow types that are kept."""

    kinds: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    types: bytes = b""


@dataclass(frozen=True, slots=True)
class Table:
    """How a table is written, and what it is."""

    form: str
    content_type: str
    write: Callable[[Iterable[Joined], tuple[Column, ...]], Iterator[bytes]]


_TABLES: Final = {
    "csv": Table("csv", "text/csv; charset=utf-8", write_csv),
    "parquet": Table("parquet", "application/vnd.apache.parquet", write_parquet),
}


@dataclass(frozen=True, slots=True)
class Making:
    """What all ranges of a job's output have in common."""

    job: Job
    tables: tuple[Table, ...]
    columns: tuple[Column, ...]

    def place(self, name: str) -> str:
        """Return the whole name of an object of the output."""
        return self.job.output_prefix + name


class _Record(msgspec.Struct, frozen=True):
    record: dict[str, Any] | None = None


_decode_fields = msgspec.json.Decoder(tuple[dict[str, str], bytes]).decode
_decode_record = msgspec.json.Decoder(_Record).decode


# ---------------------------------------------------------------------------------------------- of all ranges
def making(context: Writing, job: Job) -> Making:
    """Read once what every range needs: the recipe and the fields of joined records."""
    recipe = frozen(context, job)
    fields = _joined_fields(context, job)
    tables = [_TABLES[form] for form in job.output.formats if form in _TABLES]
    columns = _columns(job, recipe, fields) if tables else ()
    return Making(job, tuple(tables), columns)


def _joined_fields(context: Writing, job: Job) -> Fields | None:
    """Return the fields of a job's joined records in the order of the upload; None when none are joined."""
    if not job.output.join:
        return None
    if not job.columns:
        return Fields()

    kinds, types = _decode_fields(work.get(context, job.columns))
    return Fields({name: Kind(kind) for name, kind in kinds.items()}, types)


def _columns(job: Job, recipe: Recipe, fields: Fields | None) -> tuple[Column, ...]:
    """Return the columns that the job's tables have."""
    return plan_columns(
        cast("Mapping[str, Any] | None", recipe.answer_schema()),
        fields=fields.kinds if fields else None,
        types=restored(fields.types) if fields else None,
        embeds=job.plan.batch_kind == "embed",
        dimensions=recipe.embed.dimensions if recipe.embed else None,
    )


# ------------------------------------------------------------------------------------------------ of one range
def range_parts(
    context: Writing,
    making: Making,
    plan: RangePlan,
    written: list[tuple[Shard, Segment]],
) -> list[Part]:
    """Make all output objects of a range; the same segments give the same bytes."""
    segments = [segment for _, segment in written]
    kinds = [shard.kind for shard, _ in written]
    alone = kinds == [ShardKind.PLAN]

    if alone and making.job.output.dialect == _OWN:
        parts = _copied(context, making, plan, segments[0])
    else:
        parts = _merged(context, making, plan, segments)

    for table in making.tables:
        parts.append(_table(context, making, plan, segments, table))
    return parts


def _copied(
    context: Writing, making: Making, plan: RangePlan, segment: Segment
) -> list[Part]:
    """Copy the rows of the only shard that wrote any."""
    parts = [
        _copy(context, making, plan, what, file) for what, file in segment.row_files
    ]
    return with_outcomes(parts, segment.by_outcome)


def _copy(
    context: Writing, making: Making, plan: RangePlan, what: str, file: SegmentFile
) -> Part:
    """Copy one work object into the output; what an earlier try copied is there."""
    bucket = context.settings.work_bucket
    source = context.objects.stat(bucket, file.object, generation=file.generation)

    if source is None:
        raise PermanentError("a segment of the job is gone", code=Code.GONE)

    name = names.part(what, plan.index)
    target = making.place(name)
    try:
        context.objects.copy(source, context.settings.output_bucket, target)
    except ObjectExistsError:
        _same_or_fail(context, target, file)

    return _part(
        plan,
        what=what,
        name=name,
        rows=file.rows,
        size=file.bytes,
        crc32c=file.crc32c,
    )


def _same_or_fail(context: Writing, target: str, file: SegmentFile) -> None:
    """Take an object that exists for the copy, if it has its bytes."""
    there = context.objects.stat(context.settings.output_bucket, target)
    if there is None or (there.size, there.crc32c) != (file.bytes, file.crc32c):
        sentence = "an output object exists with other bytes"
        raise PermanentError(sentence, code=Code.OUTPUT_CONFLICT)


# ------------------------------------------------------------------------------------------- of several shards
def _merged(
    context: Writing, making: Making, plan: RangePlan, segments: list[Segment]
) -> list[Part]:
    """Write the best row of each line, results and errors apart."""
    files = {what: _row_file(context, making, plan, what) for what in _KINDS}
    try:
        outcomes = _write_best(context, making.job, segments, files)
        parts = list(_closed(plan, files))
    finally:
        for rows in files.values():
            rows.abort()
    return with_outcomes(parts, outcomes)


def _row_file(context: Writing, making: Making, plan: RangePlan, what: str) -> RowFile:
    """Return the output object of a range's results or errors, not yet opened."""
    target = making.place(names.part(what, plan.index))
    return RowFile(context, context.settings.output_bucket, target)


def _write_best(
    context: Writing, job: Job, segments: list[Segment], files: Mapping[str, RowFile]
) -> dict[str, int]:
    """Write the best row of each line into the file it belongs to; return how many rows have which outcome."""
    written = _in_words_of(context, job)

    outcomes: Counter[str] = Counter()
    for row in _best_rows(context, segments):
        row_head = head(row)
        outcomes[row_head.outcome] += 1
        file = files[_RESULTS if is_result(row_head) else _ERRORS]
        file.add(written(row) + b"\n")
    return dict(outcomes)


def _closed(plan: RangePlan, files: Mapping[str, RowFile]) -> Iterator[Part]:
    """Make the objects that hold rows visible."""
    for what, rows in files.items():
        info = rows.close()
        if info is not None:
            yield _part(
                plan,
                what=what,
                name=names.part(what, plan.index),
                rows=rows.rows,
                size=info.size,
                crc32c=info.crc32c,
            )


def _in_words_of(context: Writing, job: Job) -> Callable[[bytes], bytes]:
    """Return what writes a row as the output's dialect has it."""
    if job.output.dialect == _OWN:
        return bytes

    from batchdrop.dialects.forms import CHAT_URL
    from batchdrop.dialects.known.reply import answer
    from batchdrop.dialects.line import LineForm

    language = context.language_of(job)
    form = LineForm(job.output.dialect)
    url = job.dialect_url or CHAT_URL

    def written(row: bytes) -> bytes:
        line = answer(language, form, msgspec.json.decode(row), url)
        return line.rstrip(b"\n")

    return written


def _best_rows(context: Writing, segments: list[Segment]) -> Iterator[bytes]:
    """Merge the rows of several shards by line and keep the best of each line."""
    runs = [
        _keyed(context, file) for segment in segments for _, file in segment.row_files
    ]

    last = 0
    for (line, _, _), row in heapq.merge(*runs, key=itemgetter(0)):
        if line != last:
            last = line
            yield row


def _keyed(context: Writing, file: SegmentFile) -> Keyed:
    """Yield rows with what orders them: by line, then the better outcome first."""
    for row in work.lines(context, file.object):
        yield order(row), row


# ---------------------------------------------------------------------------------------------------- as a table
def _table(
    context: Writing,
    making: Making,
    plan: RangePlan,
    segments: list[Segment],
    table: Table,
) -> Part:
    """Write a table of the range's lines, in order, rejections among them."""
    name = names.table(plan.index, table.form)
    lines = _Lines(context, plan, segments)
    joined = lines.joined(join=making.job.output.join)

    try:
        info = _write_table(context, making, name, table, joined)
    except ObjectExistsError:
        info = context.objects.stat(context.settings.output_bucket, making.place(name))
        if info is None:
            raise
        lines.count = sum(1 for _ in lines.rows())

    return _part(
        plan,
        what=table.form,
        name=name,
        rows=lines.count,
        size=info.size,
        crc32c=info.crc32c,
    )


def _write_table(
    context: Writing,
    making: Making,
    name: str,
    table: Table,
    joined: Iterable[Joined],
) -> ObjectInfo:
    """Stream a table into its object."""
    with context.objects.create(
        context.settings.output_bucket,
        making.place(name),
        content_type=table.content_type,
    ) as writer:
        for piece in table.write(joined, making.columns):
            writer.write(piece)
        return writer.close()


@dataclass(slots=True)
class _Lines:
    """The rows of all lines of a range; `count` is how many of them went into a table."""

    context: Writing
    plan: RangePlan
    segments: list[Segment]
    count: int = 0

    def joined(self, *, join: bool) -> Iterator[Joined]:
        """Yield each row with the fields of its record, if those are joined."""
        for row in self.rows():
            self.count += 1
            yield row, _decode_record(row).record if join else None

    def rows(self) -> Iterator[bytes]:
        """Yield one row for each line: results, errors and rejections."""
        best = _best_rows(self.context, self.segments)
        rows = heapq.merge(
            _numbered(best), _numbered(self._rejected()), key=itemgetter(0)
        )
        for _, row in rows:
            yield row

    def _rejected(self) -> Iterator[bytes]:
        """Yield the rows of rejected lines."""
        if not self.plan.rejections:
            return iter(())
        return work.lines(self.context, self.plan.rejections)


def _numbered(rows: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield rows with their lines."""
    for row in rows:
        yield head(row).line, row


def _part(
    plan: RangePlan, *, what: str, name: str, rows: int, size: int, crc32c: str
) -> Part:
    """Describe the object that holds rows of a range."""
    return Part(
        what=what,
        name=name,
        rows=rows,
        bytes=size,
        crc32c=crc32c,
        first_line=plan.first_line,
        last_line=plan.last_line,
    )
