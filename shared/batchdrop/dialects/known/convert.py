"""Conversion: lines of other forms and records of tables become lines of the job's language, one for each.

    gzip, a JSON array     undone
    lines of other forms   each translated; what has no equivalent is counted as a warning
    CSV, TSV, Parquet,     each record rendered with the recipe
    JSONL records

What cannot become a request is a line `{"rejected":…}` (see `converted`), so numbers stay those of the input.
A conversion can stop after any line: `Place` and `Findings` are all that the rest of it depends on besides the bytes
from the place on. gzip cannot be entered in its middle: it is undone from its start again, and the bytes are dropped.
Memory: a chunk and a line, or a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO, Final

import msgspec

from batchdrop.core.limits import KIB, limit
from batchdrop.core.problem import Code, Problem
from batchdrop.core.result.tables import Kind, renamed_fields
from batchdrop.core.upload import arrays
from batchdrop.core.upload.kinds import API_BODY, NO_REQUESTS
from batchdrop.core.upload.lines import lines_of_head, split_lines
from batchdrop.core.upload.sniff import GZIP, gunzip, not_jsonl
from batchdrop.core.upload.tables import (
    Blank,
    Entry,
    Place,
    Unreadable,
    parquet_kinds,
    parquet_types,
    read_jsonl,
    read_parquet,
    read_separated,
)
from batchdrop.core.value import Failure
from batchdrop.dialects.converted import accepted, rejected, with_record
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.known.detect import detect
from batchdrop.dialects.known.render import Renderer, render_record
from batchdrop.dialects.known.translate import key_of, translate
from batchdrop.dialects.line import LineForm, Translated

HEAD_BYTES: Final = 256 * KIB
MAX_WARNINGS: Final = 50
SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
PARQUET: Final = ".parquet"
JSON: Final = ".json"
_BODY: Final = re.compile(rb'\s*\{\s*"requests"\s*:')


RECIPE_MISSING: Final = Failure.coded(
    Code.RECIPE_MISSING,
    fix=(
        "Put a recipe.yaml into its folder or one above, such as:\n"
        "    model: gemini-2.5-flash-lite\n"
        '    prompt: "Summarise in one sentence: {{ text }}"\n'
        "    key: id\n"
        "where text and id are fields of the records."
    ),
)


class _Addressed(msgspec.Struct, frozen=True):
    url: str = ""


_decode_url = msgspec.json.Decoder(_Addressed).decode


@dataclass(slots=True)
class Findings:
    """What a conversion learns on the way."""

    url: str = ""
    """The first of OpenAI's addresses that a line names: answers are written as that one writes them."""
    warnings: dict[str, int] = field(default_factory=dict[str, int])
    """How many lines each is about."""
    columns: dict[str, str] = field(default_factory=dict[str, str])
    """The fields of records and what they hold."""
    types: bytes = b""
    """The Arrow types of a Parquet input's columns, see `core.result.tables.types`."""
    as_text: list[str] = field(default_factory=list[str])
    """Columns whose types are not kept."""
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    """Fields whose columns in tables have another name."""

    def sentences(self) -> tuple[str, ...]:
        """The warnings, those about the whole file first, then the most frequent."""
        columns = [
            f"COLUMN_RENAMED /{name}: in tables the plain name is the answer's or ours; the field's column is {column}."
            for name, column in self.renamed.items()
        ]
        columns += [
            f"COLUMN_AS_TEXT /{name}: joined Parquet tables cannot keep the type of this column; it is text."
            for name in self.as_text
        ]
        found = sorted(self.warnings.items(), key=lambda item: -item[1])
        return (
            *columns,
            *(f"{warning} ({count:,} lines)" for warning, count in found),
        )[:MAX_WARNINGS]

    def warn(self, code: str, pointer: str, message: str) -> None:
        """Count a line that a warning is about."""
        warning = f"{code} {pointer}: {message}"
        self.warnings[warning] = self.warnings.get(warning, 0) + 1


@dataclass(frozen=True, slots=True)
class Opened:
    """A file looked at: its ending, the form of its lines, all its bytes with gzip undone."""

    suffix: str
    form: LineForm | None
    """None: no line that was looked at is a JSON object."""
    zipped: bool
    chunks: Iterator[bytes]
    failure: Failure | None = None
    """Why the file cannot be run, whatever its lines hold."""
    array: bool = False
    """It is one JSON array: its members are taken out first."""

    def kind(self, own: str) -> str:
        """Return what the manifest calls it: a table's ending, else the form; without one, the job's own."""
        if self.is_table:
            return self.suffix.removeprefix(".")
        return own if self.form is None else self.form.value

    def has_lines_of(self, own: str) -> bool:
        """Tell whether its lines are taken as they are, in the form of the job's language; checking tells the rest."""
        return self.form is None or self.form == own

    @property
    def is_table(self) -> bool:
        """True for files whose name says that they hold records."""
        return self.suffix in SEPARATORS or self.suffix == PARQUET


def opened(
    name: str,
    chunks: Iterator[bytes],
    *,
    max_bytes: int,
    max_ratio: int = limit("gzip_ratio"),
    unpacked: bool = False,
) -> Opened:
    """Tell what a file is from its name and its first bytes; of an array's members `unpacked`, they are lines.

    Raises:
        PermanentError: GZIP_INVALID or GZIP_BOMB, now or while the chunks are read.
    """
    suffix = "." + name.removesuffix(".gz").rpartition(".")[2].lower()
    first = next(chunks, b"")
    chunks = chain([first], chunks)
    zipped = first.startswith(GZIP)
    if zipped:
        chunks = gunzip(chunks, max_bytes=max_bytes, max_ratio=max_ratio)
    head, chunks = _looked_ahead(chunks)
    if suffix in SEPARATORS or suffix == PARQUET:
        return Opened(suffix, LineForm.RECORDS, zipped, chunks)
    array = suffix == JSON and not unpacked and arrays.begins(head)
    form = detect(arrays.complete(head) if array else lines_of_head(head))
    failure = None if array or unpacked else not_jsonl(head)
    if suffix == JSON and form is None and failure is None and not unpacked:
        failure = API_BODY if _BODY.match(head) else NO_REQUESTS
    return Opened(suffix, form, zipped, chunks, failure, array)


def _looked_ahead(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the beginning of a stream, and the stream with its beginning put back."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= HEAD_BYTES:
            break
    return b"".join(held)[:HEAD_BYTES], chain(held, chunks)


def unwrapped(file: Opened, place: Place, *, max_line_bytes: int) -> Iterator[bytes]:
    """Yield a line for each member of an array.

    Raises:
        PermanentError: ARRAY_INVALID.
    """
    for member, end in arrays.members(
        file.chunks, max_bytes=max_line_bytes, offset=place.offset
    ):
        place.number += 1
        place.offset = end
        yield member + b"\n"


def plain(file: Opened, place: Place) -> Iterator[bytes]:
    """Yield the file's bytes with gzip undone."""
    for chunk in file.chunks:
        place.offset += len(chunk)
        yield chunk


def dropped(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Yield all but the first `count` bytes."""
    for chunk in chunks:
        if len(chunk) > count:
            yield chunk[count:]
        count = max(count - len(chunk), 0)


# ---------------------------------------------------------------------------------------------- other forms
def translated(
    file: Opened,
    language: Dialect,
    model: str,
    found: Findings,
    place: Place,
    *,
    max_line_bytes: int,
) -> Iterator[bytes]:
    """Yield a line of a language, a rejection or a blank line for each line."""
    assert file.form is not None
    for raw, size in split_lines(
        file.chunks, max_line_bytes=max_line_bytes, number=place.number
    ):
        place.number += 1
        place.offset += size
        if raw is None:
            message = f"The line is longer than {max_line_bytes} bytes."
            yield rejected(b"null", Problem(Code.LINE_TOO_LONG, "", message))
        elif not raw or raw.isspace():
            yield b"\n"
        else:
            found.url = found.url or _url(raw)
            line = translate(language, file.form, raw)
            if isinstance(line, Problem):
                yield rejected(key_of(file.form, raw), line)
                continue
            if line.warnings or line.wants:
                _count(model, line, found)
            yield accepted(line.key, line.request)


def _url(raw: bytes) -> str:
    try:
        return _decode_url(raw).url
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _count(model: str, line: Translated, found: Findings) -> None:
    for caveat in line.warnings:
        found.warn(caveat.code.value, caveat.pointer, caveat.message)
    if line.wants and line.wants.removeprefix("models/") != model:
        runs_on = model or "the stack's model"
        found.warn(
            "MODEL", "/model", f"The lines ask for another model; all run on {runs_on}."
        )


# -------------------------------------------------------------------------------------------------- records
def entries(
    file: Opened,
    found: Findings,
    place: Place,
    *,
    seekable: BinaryIO | None,
    max_line_bytes: int,
    typed: bool,
) -> Iterator[Entry]:
    """Yield the records of a table or of JSON lines; a Parquet file must be seekable.

    `typed`: a joined Parquet output will want the types of a Parquet file's columns.
    """
    if seekable is not None:
        if place.number == 1:
            found.columns.update(
                {name: kind.value for name, kind in parquet_kinds(seekable).items()}
            )
            if typed:
                found.types, found.as_text = parquet_types(seekable)
        return read_parquet(seekable, place)
    if file.suffix in SEPARATORS:
        return read_separated(
            file.chunks, SEPARATORS[file.suffix], place, max_record_bytes=max_line_bytes
        )
    return read_jsonl(file.chunks, place, max_record_bytes=max_line_bytes)


def rendered(
    renderer: Renderer, records: Iterator[Entry], found: Findings
) -> Iterator[bytes]:
    """Yield a line or a rejection for each record; blank lines of the input stay blank."""
    recipe = renderer.compiled.recipe
    for entry in records:
        if isinstance(entry, Blank):
            yield b"\n"
            continue
        if isinstance(entry, Unreadable):
            yield rejected(b"null", entry.problem)
            continue
        line = render_record(renderer, entry.fields)
        if isinstance(line, Problem):
            yield rejected(b"null", line)
            continue
        if recipe.output.join:
            _learn(found.columns, entry.fields)
            line = with_record(line, entry.fields)
        yield line + b"\n"
    if recipe.output.join and len(recipe.output.formats) > 1:
        kinds = {name: Kind(kind) for name, kind in found.columns.items()}
        found.renamed = renamed_fields(
            recipe.answer_schema(), kinds, embeds=recipe.embed is not None
        )


def _learn(columns: dict[str, str], fields: Mapping[str, Any]) -> None:
    """Note the fields that records have, for the columns of tables: text as long as all their values are text."""
    for name, value in fields.items():
        kind = Kind.TEXT.value if isinstance(value, str) else Kind.JSON.value
        if (
            value is not None
            and columns.setdefault(name, kind) == Kind.TEXT.value != kind
        ):
            columns[name] = kind
