"""Converting: what is not plain JSONL in the provider's language becomes work objects of such lines.

How a line becomes one is pure: `dialects.known.convert`.

    PLANNING --lines converted into a piece--> time over? state written, cursor saved, goes on in a new message
             --the file ends-----------------> the job's `records`: all the pieces

A later step begins behind the last line a kept step wrote, and what it makes does not depend on where that was. Names
carry step and fence: what a step that lost its lease wrote is never read. Later uses know only lines and byte ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, cast

import msgspec

from batchdrop.core.logs import log
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.cursors import Conversion, Piece
from batchdrop.core.state.job import Job
from batchdrop.core.state.job_steps import Records
from batchdrop.core.upload.lines import gathered
from batchdrop.core.upload.tables import Place
from batchdrop.core.value import Failure
from batchdrop.dialects.known import convert
from batchdrop.dialects.known.convert import PARQUET, Findings, Opened
from batchdrop.dialects.known.render import renderer
from batchdrop.dialects.line import LineForm
from batchdrop.steps import pieces, work
from batchdrop.steps.context import Context
from batchdrop.steps.progress import go_on_later, keep
from batchdrop.steps.recipe import frozen
from batchdrop.steps.seekable import RangedFile
from batchdrop.store import Stored

Planning = Context[SubmitSettings]
_decode_state = msgspec.json.Decoder(tuple[Place, Findings]).decode


def as_records(context: Planning, stored: Stored[Job]) -> Stored[Job] | Failure | None:
    """Convert the upload unless its lines are taken as they are; say what is wrong if it cannot be.

    None: the time is over, and it goes on in a new message.
    """
    job, settings = stored.value, context.settings
    if job.records:
        return stored
    file = convert.opened(
        job.source.object,
        pieces.read(context, _source(job)),
        max_bytes=settings.max_upload_bytes,
        max_ratio=settings.max_gzip_ratio,
        unpacked=bool(job.conversion.unpacked),
    )
    if file.failure is not None:
        return file.failure
    packed = file.zipped or file.array
    if not packed and file.has_lines_of(context.language_of(job).form):
        return _plain(context, stored)
    return _step(context, stored, file)


def _source(job: Job) -> tuple[Piece, ...]:
    """Return what is converted: the upload, or what was packed in it."""
    return job.conversion.unpacked or pieces.snapshot(job)


def _plain(context: Planning, stored: Stored[Job]) -> Stored[Job]:
    """Take lines as they are: the upload's own, or those that were packed in it."""
    unpacked = stored.value.conversion.unpacked
    if not unpacked:
        return stored
    return keep(context, stored, lambda job: job.unpacked_into(context.now(), unpacked))


def _step(
    context: Planning, stored: Stored[Job], file: Opened
) -> Stored[Job] | Failure | None:
    """Write one piece of the lines; save how far they go."""
    job, cursor = stored.value, stored.value.conversion
    place, found = _begun(context, cursor)
    rest = replace(file, chunks=_rest(context, job, file, place))
    lines = _lines(context, job, rest, place, found)
    if isinstance(lines, Failure):
        return lines
    piece, ended = _piece(context, job, lines)
    written = (*cursor.pieces, piece)
    if not ended:
        _go_on_later(context, stored, written, place, found)
        return None
    if _packed(file, cursor):
        return _taken_apart(context, stored, written)
    records = _records(context, job, file, found, written)
    return keep(context, stored, lambda job: job.converted_into(context.now(), records))


def _piece(context: Planning, job: Job, lines: Iterator[bytes]) -> tuple[Piece, bool]:
    """Write lines until they end (True) or the time is over (False)."""
    name = names.records(job.job_id, job.conversion.step, job.fence)
    return pieces.write(context, name, gathered(lines, context.settings.range_lines))


def _taken_apart(
    context: Planning, stored: Stored[Job], written: tuple[Piece, ...]
) -> Stored[Job] | Failure | None:
    """Begin again with what was packed in the upload."""
    after = Conversion(step=stored.value.conversion.step + 1, unpacked=written)
    unpacked = keep(context, stored, lambda job: job.converting(context.now(), after))
    return as_records(context, unpacked)


def _begun(context: Planning, cursor: Conversion) -> tuple[Place, Findings]:
    """Return where the steps before this one stopped, and what they learnt."""
    if not cursor.state:
        return Place(), Findings()
    return _decode_state(work.get(context, cursor.state))


def _go_on_later(
    context: Planning,
    stored: Stored[Job],
    written: tuple[Piece, ...],
    place: Place,
    found: Findings,
) -> None:
    """Save how far the lines go, and continue in a new message."""
    job = stored.value
    state = names.conversion_state(job.job_id, job.conversion.step, job.fence)
    work.put(context, state, [msgspec.json.encode((place, found))])
    after = job.conversion.after(written, state)
    go_on_later(context, stored, lambda job: job.converting(context.now(), after))
    log("converting continues", job_id=job.job_id, step=after.step)


def _records(
    context: Planning,
    job: Job,
    file: Opened,
    found: Findings,
    written: tuple[Piece, ...],
) -> Records:
    """Return what a conversion made of the whole upload."""
    own = context.language_of(job).form
    return Records(
        pieces=written,
        converted=not file.has_lines_of(own),
        dialect=file.kind(own),
        dialect_url=found.url,
        columns=_kept_columns(context, job, found),
        warnings=tuple(found.sentences()),
    )


def _kept_columns(context: Planning, job: Job, found: Findings) -> str:
    """Write the fields of joined records to a work object: there may be more than a document holds."""
    if not found.columns:
        return ""
    name = names.columns(job.job_id, job.fence)
    work.put(context, name, [msgspec.json.encode((found.columns, found.types))])
    return name


def _rest(context: Planning, job: Job, file: Opened, place: Place) -> Iterator[bytes]:
    """Return the file's bytes from the place on, gzip undone."""
    if place.offset == 0:
        return file.chunks
    if file.zipped:
        return convert.dropped(file.chunks, place.offset)
    return pieces.read(context, _source(job), place.offset)


def _packed(file: Opened, cursor: Conversion) -> bool:
    """Tell whether an array must be taken apart first, or a Parquet file's gzip undone: it is read from its end."""
    return file.array or (
        file.zipped and file.suffix == PARQUET and not cursor.unpacked
    )


def _lines(
    context: Planning, job: Job, file: Opened, place: Place, found: Findings
) -> Iterator[bytes] | Failure:
    language, most = context.language_of(job), context.settings.max_line_bytes
    if file.array:
        return convert.unwrapped(file, place, max_line_bytes=most)
    if file.has_lines_of(language.form):
        return convert.plain(file, place)
    if file.form is not LineForm.RECORDS:
        return convert.translated(
            file, language, job.model, found, place, max_line_bytes=most
        )
    recipe = frozen(context, job)
    if not recipe.renders:
        return convert.RECIPE_MISSING
    if _packed(file, job.conversion):
        return convert.plain(file, place)
    entries = convert.entries(
        file,
        found,
        place,
        seekable=_seekable(context, job, file),
        max_line_bytes=most,
        typed=recipe.output.joins_parquet,
    )
    return convert.rendered(renderer(language, recipe), entries, found)


def _seekable(context: Planning, job: Job, file: Opened) -> BinaryIO | None:
    """Return a Parquet file as one that is read from its end; None for others."""
    if file.suffix != PARQUET:
        return None
    return cast("BinaryIO", RangedFile(context, _source(job)))
