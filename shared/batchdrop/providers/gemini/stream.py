"""A staging that is exactly as long as planned."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class SizedStream(io.RawIOBase):
    """A forward-only stream that declares its length and raises when the chunks have another one.

    The SDK asks for the length by seek and tell, then reads 8 MiB at a time; a longer stream it would cut
    silently, a shorter one never ends (google-genai 3.4.0, _extra_utils.prepare_resumable_upload, _upload_fd).
    """

    def __init__(self, chunks: Iterable[bytes], size: int) -> None:
        """Take the chunks and the length they will have in all."""
        super().__init__()
        self._chunks: Iterator[bytes] = iter(chunks)
        self._rest = memoryview(b"")
        self._size = size
        self._read: int = 0
        self._at: int = 0
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Say that reading works."""
        return True

    def seekable(self) -> bool:
        """Say yes: measuring by seek works, going back does not."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position that `tell` reports; reading goes on where it was."""
        base: int = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[
            whence
        ]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the reported position."""
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer; 0 only at the declared end.

        Raises:
            PermanentError: SIZE_MISMATCH, the chunks are longer or shorter than declared.
        """
        if self._at != self._read:
            raise PermanentError("a staging cannot go back", code=Code.SIZE_MISMATCH)
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target) and self._fill():
            size = min(len(target) - filled, len(self._rest))
            target[filled : filled + size] = self._rest[:size]
            self._rest = self._rest[size:]
            filled += size
        self._hash.update(target[:filled])
        self._read += filled
        self._at = self._read
        ended = filled < len(target)
        if self._read > self._size or (ended and self._read < self._size):
            raise PermanentError(
                "the rendered shard has another length than planned",
                code=Code.SIZE_MISMATCH,
            )
        return filled

    def sha256(self) -> str:
        """Return the hex digest of what was read, after proving that nothing is left.

        Raises:
            PermanentError: SIZE_MISMATCH, there is more than was declared.
        """
        if self._read != self._size or self._fill():
            raise PermanentError(
                "the rendered shard has another length than planned",
                code=Code.SIZE_MISMATCH,
            )
        return self._hash.hexdigest()

    def _fill(self) -> bool:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._rest = memoryview(chunk)
        return True
