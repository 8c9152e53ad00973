"""The input bucket of a local stack: a file goes in at most once, whoever died in between.

    look: is the object there with these bytes?   yes: its event may be lost, so it is announced again
    write, if nobody else wrote meanwhile --> announce --> the caller takes a note

Killed before the note, the next look finds the object; announced twice, it is one job all the same.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c

from batchdrop.core.errors import TransientError
from batchdrop.core.limits import MIB
from batchdrop.core.settings import CommonSettings
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context
from batchdrop_local.folder.notifying import notify
from batchdrop_local.folder.scanning import stamp_of


@dataclass(frozen=True, slots=True)
class Inbox:
    """The input bucket; `notifies` is true when the bucket itself announces new objects."""

    context: Context[CommonSettings]
    notifies: bool

    def bring(
        self,
        source: BinaryIO,
        name: str,
        metadata: Mapping[str, str] | None = None,
        *,
        known: int = 0,
    ) -> tuple[ObjectInfo, bool]:
        """Make the object unless it is there, byte for byte; return it, and whether it was there.

        Args:
            source: The file.
            name: The object's name.
            metadata: The object's metadata.
            known: The generation that was made of this name before; the same bytes a second time are meant then.

        Raises:
            BatchdropError: The bucket cannot be written, or somebody else wrote the object meanwhile.
            TransientError: The file changed while it was read; no object was made.
        """
        there = self.context.objects.stat(self.context.settings.input_bucket, name)
        if (
            there is not None
            and there.generation != known
            and _same_bytes(source, there)
        ):
            self._announce(there)
            return there, True
        return self.put(
            source, name, metadata, generation=there.generation if there else 0
        ), False

    def put(
        self,
        source: BinaryIO,
        name: str,
        metadata: Mapping[str, str] | None = None,
        *,
        generation: int,
    ) -> ObjectInfo:
        """Make the object in place of that generation (0: of none) and announce it; raises as `bring` does."""
        bucket = self.context.settings.input_bucket
        before = stamp_of(os.fstat(source.fileno()))
        source.seek(0)
        with self.context.objects.create(
            bucket, name, if_generation_match=generation, metadata=dict(metadata or {})
        ) as writer:
            for chunk in _chunks(source):
                writer.write(chunk)
            if stamp_of(os.fstat(source.fileno())) != before:
                raise TransientError(
                    "the file changed while it was read", code="FILE_CHANGED"
                )
            info = writer.close()
        self._announce(info)
        return info

    def _announce(self, info: ObjectInfo) -> None:
        if not self.notifies:
            notify(self.context.topics, info)


def _same_bytes(source: BinaryIO, there: ObjectInfo) -> bool:
    if os.fstat(source.fileno()).st_size != there.size:
        return False
    source.seek(0)
    checksum = google_crc32c.Checksum()
    for chunk in _chunks(source):
        checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode() == there.crc32c


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(MIB):
        yield chunk
