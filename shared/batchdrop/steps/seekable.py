"""Pieces as one seekable file, read by ranges: what a Parquet reader needs, without a copy on the disk."""

from __future__ import annotations

import io
from typing import Final

from batchdrop.core.limits import MIB
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.cursors import Piece
from batchdrop.steps import pieces
from batchdrop.steps.context import Context

AHEAD: Final = MIB
"""Small reads are served from a piece of this size: a footer is read in many."""


class RangedFile(io.RawIOBase):
    """Read-only; holds one piece."""

    def __init__(
        self, context: Context[CommonSettings], whole: tuple[Piece, ...]
    ) -> None:
        """Read nothing yet."""
        super().__init__()
        self._context = context
        self._pieces = whole
        self._size = sum(piece.bytes for piece in whole)
        self._place = 0
        self._piece = (0, b"")

    def readable(self) -> bool:
        """Tell that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that the file can be read from any place."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        starts = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._place,
            io.SEEK_END: self._size,
        }
        self._place = max(starts[whence] + offset, 0)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, fewer only at the end."""
        left = max(self._size - self._place, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._at(self._place, wanted)
        self._place += len(data)
        return data

    def readinto(self, buffer: object) -> int:
        """Fill a buffer."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _at(self, start: int, size: int) -> bytes:
        """Return bytes from the piece that is held; a small read that misses it fetches the next piece."""
        first, piece = self._piece
        offset = start - first
        if 0 <= offset <= len(piece) - size:
            return piece[offset : offset + size]
        if size >= AHEAD:
            self._piece = (0, b"")
            return self._fetch(start, size)
        piece = self._fetch(start, AHEAD)
        self._piece = (start, piece)
        return piece[:size]

    def _fetch(self, start: int, size: int) -> bytes:
        return b"".join(pieces.read(self._context, self._pieces, start, start + size))
