"""Objects in WORK: written once, whole, under names no other worker uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchdrop.core.settings import CommonSettings
from batchdrop.core.upload.lines import each_line
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context


def put(
    context: Context[CommonSettings], name: str, chunks: Iterable[bytes]
) -> ObjectInfo:
    """Write a new work object whole, or nothing."""
    with context.objects.create(context.settings.work_bucket, name) as writer:
        for chunk in chunks:
            writer.write(chunk)
        return writer.close()


def get(context: Context[CommonSettings], name: str) -> bytes:
    """Read a small work object."""
    return b"".join(context.objects.read(context.settings.work_bucket, name))


def lines(context: Context[CommonSettings], name: str) -> Iterator[bytes]:
    """Stream a work object's lines without their newlines."""
    return each_line(context.objects.read(context.settings.work_bucket, name))
