"""What kind of file an upload really is, from its first bytes, and gzip undone without being bombed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import KIB, MIB
from batchdrop.core.upload.lines import BOM, lines_of_head
from batchdrop.core.value import Failure

SLACK_BYTES: Final = 64 * KIB
"""A file may always grow to what this many bytes may grow to."""
MAX_MEMBERS: Final = 10_000
MEMBER_BYTES: Final = 512
"""A file may have one member for each 512 bytes: making an inflater takes 25 µs, and an empty member has 20 bytes."""
GZIP: Final = b"\x1f\x8b"
_BINARY: Final[tuple[tuple[bytes, str], ...]] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
)


def not_jsonl(head: bytes) -> Failure | None:
    """Say why a file whose first bytes these are cannot be JSON lines, or None."""
    for magic, what in _BINARY:
        if head.startswith(magic):
            return _not_jsonl(f"The upload is {what}, not JSON lines.")
    head = head.removeprefix(BOM)
    if _is_lines(head):
        return None
    if b"\x00" in head:
        return _not_jsonl("The upload is binary data, not JSON lines.")
    if head.lstrip().startswith(b"["):
        return _not_jsonl("The upload is one JSON array, not JSON lines.")
    return None


def _is_lines(head: bytes) -> bool:
    """Tell whether a file is plainly lines of objects: at least half of its whole lines look like one.

    Then what is wrong with the others is said of each of them. A JSON array written over many lines has a comma
    behind its objects.
    """
    lines = [line.strip() for line in lines_of_head(head) if line.strip()]
    objects = sum(line.startswith(b"{") and line.endswith(b"}") for line in lines)
    return objects > 0 and 2 * objects >= len(lines)


def gunzip(
    chunks: Iterator[bytes], *, max_bytes: int, max_ratio: int
) -> Iterator[bytes]:
    """Yield the plain bytes of a gzip stream of any number of members, at most 1 MiB at a time.

    Raises:
        PermanentError: GZIP_INVALID (not gzip, damaged, cut off) or GZIP_BOMB (too large, or grown too much).
    """
    stream, taken, given, ended, members = _Member(), 0, 0, True, 0
    for chunk in chunks:
        if not taken:
            _try(chunk, max_ratio)
        taken += len(chunk)
        rest = chunk
        while rest:
            plain, rest = stream.feed(rest)
            given += len(plain)
            if given > max_bytes or given > max_ratio * (taken + SLACK_BYTES):
                raise PermanentError(Code.GZIP_BOMB)
            if plain:
                yield plain
            ended = stream.ended
            if ended:
                stream, members = _Member(), members + 1
                if members > MAX_MEMBERS + taken // MEMBER_BYTES:
                    raise PermanentError(
                        "The gzip file has too many members.", code=Code.GZIP_BOMB
                    )
                rest = rest.lstrip(b"\x00") if not rest.strip(b"\x00") else rest
    if not ended or not taken:
        raise PermanentError("The gzip file is cut off.", code=Code.GZIP_INVALID)


def _try(chunk: bytes, max_ratio: int) -> None:
    """Undo the first chunk's first member for its size alone: a small bomb is refused before any of it is worked on."""
    stream, given, size = _Member(), 0, len(chunk)
    while chunk and not stream.ended:
        plain, chunk = stream.feed(chunk)
        given += len(plain)
        if given > max_ratio * (size + SLACK_BYTES):
            raise PermanentError(Code.GZIP_BOMB)


class _Member:
    """One gzip member; `zlib.decompressobj` stops at its end and keeps what follows."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def ended(self) -> bool:
        return self._inflate.eof

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return plain bytes and what was not used yet."""
        try:
            plain = self._inflate.decompress(data, MIB)
        except zlib.error:
            raise PermanentError(
                "The gzip file is damaged.", code=Code.GZIP_INVALID
            ) from None
        rest = (
            self._inflate.unused_data
            if self._inflate.eof
            else self._inflate.unconsumed_tail
        )
        return plain, rest


def _not_jsonl(message: str) -> Failure:
    return Failure.coded(Code.NOT_JSONL, message)
