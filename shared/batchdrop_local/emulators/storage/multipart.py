"""A body of two parts, multipart/related: an object's description, then its bytes, which are never held whole.

The email package reads such a body only whole, and takes a boundary in single quotes for part of the name; gcloud
sends those (seen with SDK 528), and Cloud Storage takes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchdrop_local.emulators.http import Json, RefusedError
from batchdrop_local.emulators.storage.bodies import bounded, described

MAX_HEADERS = 64 << 10


def parts(
    content_type: str, pieces: Iterator[bytes]
) -> tuple[Json, str, Iterator[bytes]]:
    """Return the description, the type of the data, and the data as it arrives.

    Raises:
        RefusedError: 400, the body is not of two parts; from the iterator too, when its end is missing.
    """
    match = re.search(r"""boundary=(?:"([^"]+)"|'([^']+)'|([^\s;]+))""", content_type)
    if match is None:
        raise RefusedError(400, "The Content-Type names no boundary.")
    body = _Body(pieces, b"--" + next(filter(None, match.groups())).encode())
    body.opening()
    body.headers()
    description = described(bounded(body.part()))
    data_type = body.headers().get("content-type", "")
    return description, data_type, body.part()


class _Body:
    """What is left to read, with enough of it at hand to see a delimiter."""

    def __init__(self, pieces: Iterator[bytes], delimiter: bytes) -> None:
        self._pieces = pieces
        self._delimiter = delimiter
        self._held = bytearray()

    def opening(self) -> None:
        """Pass the first delimiter."""
        while (at := self._held.find(self._delimiter)) < 0:
            if len(self._held) > MAX_HEADERS:
                raise RefusedError(
                    400, "The boundary of the Content-Type is not in the body."
                )
            self._more()
        del self._held[: at + len(self._delimiter)]

    def headers(self) -> dict[str, str]:
        """Read a part's headers, from the end of its delimiter's line to the empty line."""
        while (end := re.search(rb"\r?\n\r?\n", self._held)) is None:
            if len(self._held) > MAX_HEADERS:
                raise RefusedError(400, "A part has no end of its headers.")
            self._more()
        text = self._held[: end.start()].decode("latin-1")
        del self._held[: end.end()]
        pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def part(self) -> Iterator[bytes]:
        """Yield a part's bytes up to the next delimiter."""
        end = re.compile(rb"\r?\n" + re.escape(self._delimiter))
        keep = len(self._delimiter) + 2
        while (found := end.search(self._held)) is None:
            ready = len(self._held) - keep
            if ready > 0:
                yield self._taken(ready)
            self._more()
        data = self._taken(found.start())
        del self._held[: found.end() - found.start()]
        yield data

    def _taken(self, size: int) -> bytes:
        data = bytes(self._held[:size])
        del self._held[:size]
        return data

    def _more(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            raise RefusedError(400, "The body ends in the middle of a part.")
        self._held += piece
