"""A binary part of an answer: decoded in slices, named by its content."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from batchdrop.core.limits import MIB

_MAGIC: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"%PDF", "pdf"),
    (4, b"ftyp", "mp4"),
)
_RAW_AUDIO: Final = ("audio/l16", "audio/pcm")
"""Speech models answer bare 16-bit samples without a header (ai.google.dev/gemini-api/docs/speech-generation)."""
SLICE: Final = 4 * MIB // 3 // 4 * 4
"""Base64 is decoded in slices of this many characters, a multiple of four."""


@dataclass(frozen=True, slots=True)
class Inline:
    """One binary part: its media type as the provider named it, and its bytes as base64."""

    mime: str
    data: str

    def decoded(self) -> Iterator[bytes]:
        """Yield the bytes in slices; ValueError when they are not base64."""
        text = (
            self.data.replace("-", "+").replace("_", "/")
            if "-" in self.data or "_" in self.data
            else self.data
        )
        text += "=" * (-len(text) % 4)
        for start in range(0, len(text), SLICE):
            yield binascii.a2b_base64(text[start : start + SLICE], strict_mode=True)

    def extension(self) -> str:
        """Return the extension the content deserves, `bin` when nothing is known of it."""
        head = next(replace(self, data=self.data[:64]).decoded(), b"")
        for offset, magic, extension in _MAGIC:
            if head[offset : offset + len(magic)] == magic:
                return extension
        return "pcm" if self.mime.lower().startswith(_RAW_AUDIO) else "bin"
