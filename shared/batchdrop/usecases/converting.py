"""Converting: what is not plain Gemini JSONL becomes a work object of Gemini lines, one for each line or record.

    gzip                   undone
    other dialects         each line translated; what has no equivalent is counted as a warning
    CSV, TSV, Parquet,     each record rendered with the recipe
    JSONL records

Later steps know only lines and byte ranges. A record that cannot become a request is a line `{"rejected":…}`, which
planning turns into its rejection; so numbers stay those of the input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO, Final, cast

import msgspec

from batchdrop.core import names
from batchdrop.core.converted import accepted, rejected
from batchdrop.core.dialects import Dialect, Translated, detect, key_of, translate
from batchdrop.core.errors import PermanentError
from batchdrop.core.jobs import Job
from batchdrop.core.limits import KIB, MIB
from batchdrop.core.lines import split_lines
from batchdrop.core.reading import Entry, Row, parquet_kinds, read_jsonl, read_parquet, read_separated
from batchdrop.core.records import Failure
from batchdrop.core.rendering import CompiledRecipe, compile_recipe, render_record
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.sniffing import GZIP, gunzip, not_jsonl
from batchdrop.core.tables import Kind
from batchdrop.core.validation import Code, Problem
from batchdrop.ports import ObjectInfo
from batchdrop.store import Stored
from batchdrop.usecases import work
from batchdrop.usecases.context import Context
from batchdrop.usecases.holding import MISSING
from batchdrop.usecases.lines import records
from batchdrop.usecases.ranged import RangedFile
from batchdrop.usecases.recipes import frozen

Planning = Context[SubmitSettings]

HEAD_BYTES: Final = 256 * KIB
MAX_WARNINGS: Final = 50
TABLES: Final = {".csv": ",", ".tsv": "\t"}
PARQUET: Final = ".parquet"


class _Addressed(msgspec.Struct, frozen=True):
    url: str = ""


_decode_url = msgspec.json.Decoder(_Addressed).decode


@dataclass(slots=True)
class _Findings:
    """What a conversion learns on the way."""

    dialect: str
    url: str = ""
    warnings: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    columns: dict[str, str] = field(default_factory=dict[str, str])

    def sentences(self) -> tuple[str, ...]:
        """The warnings, the most frequent first."""
        found = self.warnings.most_common(MAX_WARNINGS)
        return tuple(f"{code} {pointer}: {message} ({count:,} lines)" for (code, pointer, message), count in found)


def as_records(context: Planning, stored: Stored[Job]) -> Stored[Job] | Failure:
    """Convert the upload unless it is plain Gemini JSONL; say what is wrong if it cannot be."""
    job = stored.value
    if job.records_object:
        return stored
    suffix = _suffix(job.source.object)
    head, chunks, zipped = _opened(context, job)
    failure = None if suffix == PARQUET else not_jsonl(head)
    if failure is not None:
        return failure
    dialect = Dialect.RECORDS if suffix in (*TABLES, PARQUET) else detect(_whole_lines(head)) or Dialect.GEMINI
    if dialect is Dialect.GEMINI and not zipped:
        return stored
    found = _Findings(suffix.removeprefix(".") if suffix in (*TABLES, PARQUET) else dialect.value)
    if dialect is Dialect.GEMINI:
        lines: Iterator[bytes] = chunks
    elif dialect is not Dialect.RECORDS:
        lines = _translated(context, job, dialect, chunks, found)
    else:
        recipe = frozen(context, job)
        if not recipe.renders:
            return _no_recipe(job)
        entries = _entries(context, job, suffix, chunks, found, zipped=zipped)
        lines = _rendered(compile_recipe(recipe), entries, found)
    name = names.records(job.job_id, job.fence)
    work.put(context, name, _gathered(lines))
    now = context.now()
    changes = {
        "records_object": name,
        "converted": dialect is not Dialect.GEMINI,
        "dialect": found.dialect,
        "dialect_url": found.url.removeprefix("-"),
        "columns": found.columns,
        "warnings": found.sentences(),
        "updated_at": now,
    }
    return context.store.change(stored, lambda job: job.with_(**changes), fence=job.fence)


def _suffix(name: str) -> str:
    plain = name.removesuffix(".gz")
    return "." + plain.rpartition(".")[2].lower()


def _opened(context: Planning, job: Job) -> tuple[bytes, Iterator[bytes], bool]:
    """Return the first bytes, all bytes, and whether gzip was undone for it."""
    chunks = records(context, job, 0)
    first = next(chunks, b"")
    chunks = chain([first], chunks)
    zipped = first.startswith(GZIP)
    if zipped:
        settings = context.settings
        chunks = gunzip(chunks, max_bytes=settings.max_upload_bytes, max_ratio=settings.max_gzip_ratio)
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= HEAD_BYTES:
            break
    return b"".join(held)[:HEAD_BYTES], chain(held, chunks), zipped


def _whole_lines(head: bytes) -> list[bytes]:
    """Return the lines of the head; the last may be cut off, unless it is the only one."""
    lines = head.split(b"\n")
    return lines[:-1] or lines


# ------------------------------------------------------------------------------------------- other dialects
def _translated(
    context: Planning, job: Job, dialect: Dialect, chunks: Iterator[bytes], found: _Findings
) -> Iterator[bytes]:
    for raw, _ in split_lines(chunks, max_line_bytes=context.settings.max_line_bytes):
        if raw is None:
            message = f"The line is longer than {context.settings.max_line_bytes} bytes."
            yield rejected(b"null", Problem(Code.LINE_TOO_LONG, "", message))
        elif not raw or raw.isspace():
            yield b"\n"
        else:
            found.url = found.url or _url(dialect, raw)
            line = translate(dialect, raw)
            if isinstance(line, Problem):
                yield rejected(key_of(dialect, raw), line)
                continue
            _count(job, line, found)
            yield accepted(line.key, line.request)


def _url(dialect: Dialect, raw: bytes) -> str:
    """Return which of its addresses a line names: the answer is written as that one writes it."""
    try:
        return _decode_url(raw).url if dialect is Dialect.OPENAI else "-"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _count(job: Job, line: Translated, found: _Findings) -> None:
    for caveat in line.warnings:
        found.warnings[caveat.code.value, caveat.pointer, caveat.message] += 1
    if line.wants and line.wants.removeprefix("models/") != job.model:
        found.warnings["MODEL", "/model", f"The lines ask for another model; all run on {job.model}."] += 1


# -------------------------------------------------------------------------------------------------- records
def _entries(
    context: Planning, job: Job, suffix: str, chunks: Iterator[bytes], found: _Findings, *, zipped: bool
) -> Iterator[Entry]:
    most = context.settings.max_line_bytes
    if suffix == PARQUET:
        file = _seekable(context, job, chunks if zipped else None)
        found.columns.update({name: kind.value for name, kind in parquet_kinds(file).items()})
        return read_parquet(file)
    if suffix in TABLES:
        return read_separated(chunks, TABLES[suffix], max_record_bytes=most)
    return read_jsonl(chunks, max_record_bytes=most)


def _seekable(context: Planning, job: Job, unpacked: Iterator[bytes] | None) -> BinaryIO:
    """Return the snapshot as a file; what gzip held goes to a work object first."""
    if unpacked is not None:
        info: ObjectInfo | None = work.put(context, names.unpacked(job.job_id, job.fence), unpacked)
    else:
        bucket = context.settings.work_bucket
        info = context.objects.stat(bucket, names.source(job.job_id), generation=job.snapshot_generation)
    if info is None:
        raise PermanentError("the snapshot of the upload is gone", code="GONE")
    return cast("BinaryIO", RangedFile(context, info))


def _rendered(compiled: CompiledRecipe, entries: Iterator[Entry], found: _Findings) -> Iterator[bytes]:
    """Yield a line for each record; blank lines of the input stay blank."""
    join = compiled.recipe.output.join
    number = 1
    for entry in entries:
        while number < entry.number:
            yield b"\n"
            number += 1
        number += 1
        if not isinstance(entry, Row):
            yield rejected(b"null", entry.problem)
            continue
        line = render_record(compiled, entry.fields)
        if isinstance(line, Problem):
            yield rejected(b"null", line)
            continue
        if join:
            _learn(found.columns, entry.fields)
            line = line[:-1] + b',"record":' + msgspec.json.encode(entry.fields) + b"}"
        yield line + b"\n"


def _learn(columns: dict[str, str], fields: Mapping[str, Any]) -> None:
    """Note the fields that records have, for the columns of tables: text as long as all their values are text."""
    for name, value in fields.items():
        kind = Kind.TEXT.value if isinstance(value, str) else Kind.JSON.value
        if value is not None and columns.setdefault(name, kind) == Kind.TEXT.value != kind:
            columns[name] = kind


def _no_recipe(job: Job) -> Failure:
    return Failure(
        code=MISSING,
        message="The upload holds records, and no recipe above it says what to ask about them.",
        fix="Upload a recipe.yaml with a prompt to its folder or one above.",
    )


def _gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Put lines together into pieces of about 1 MiB."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= MIB:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
