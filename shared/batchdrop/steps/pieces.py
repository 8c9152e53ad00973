"""Pieces: work objects that together are one stream of bytes. Nothing else knows that there are several.

    offsets   0 ........ 40 ................ 100 ...... 130
    pieces    |  step 0  |      step 1       |  step 2  |
    read(30, 110)   ^^^^^  ^^^^^^^^^^^^^^^^^   ^^^^

The snapshot is one piece; what a conversion makes are as many as it had steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.cursors import Piece
from batchdrop.core.state.job import Job
from batchdrop.core.state.names import source
from batchdrop.steps.context import Context


def snapshot(job: Job) -> tuple[Piece, ...]:
    """Return the upload as it was when the job began."""
    return (
        Piece(
            name=source(job.job_id),
            bytes=job.source.bytes,
            generation=job.snapshot_generation,
        ),
    )


def read(
    context: Context[CommonSettings],
    pieces: Iterable[Piece],
    start: int = 0,
    end: int | None = None,
) -> Iterator[bytes]:
    """Stream the bytes [start, end) of the whole."""
    first = 0
    for piece in pieces:
        low = max(start - first, 0)
        high = piece.bytes if end is None else min(end - first, piece.bytes)
        if low < high:
            yield from context.objects.read(
                context.settings.work_bucket,
                piece.name,
                generation=piece.generation,
                start=low,
                end=high,
            )
        first += piece.bytes


def write(
    context: Context[CommonSettings], name: str, chunks: Iterable[bytes]
) -> tuple[Piece, bool]:
    """Write one piece until the chunks end (True) or the time is over after one of them (False)."""
    ended = True
    with context.objects.create(context.settings.work_bucket, name) as writer:
        for chunk in chunks:
            writer.write(chunk)
            if context.time_left.over():
                ended = False
                break
        info = writer.close()
    return Piece(name=name, bytes=info.size, generation=info.generation), ended
