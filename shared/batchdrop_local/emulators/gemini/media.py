"""Images and vectors: valid, deterministic, cheap."""

from __future__ import annotations

import base64
import math
import random
import struct
import zlib
from functools import lru_cache
from typing import Final

from batchdrop_local.emulators.gemini.requests import Config, either, plain

VECTORS: Final = 64
"""So many different vectors there are for each number of dimensions; a text's hash chooses."""
DEFAULT_DIMENSIONS: Final = 3072
_RATIO_UNIT: Final = {"1K": 8, "2K": 16, "4K": 32}


@lru_cache(maxsize=16)
def vectors(dimensions: int) -> tuple[bytes, ...]:
    """Return unit vectors as JSON arrays."""
    found: list[bytes] = []
    for index in range(VECTORS):
        random_ = random.Random(index)
        values = [random_.gauss(0, 1) for _ in range(dimensions)]
        norm = math.sqrt(sum(value * value for value in values)) or 1.0
        found.append(b"[%b]" % b",".join(b"%.8f" % (value / norm) for value in values))
    return tuple(found)


def image_of(config: Config, digest: int, kib: int) -> bytes:
    """Return a PNG in base64, shaped as imageConfig asks (tiny), or at least so many KiB large."""
    wanted = plain(either(config.imageConfig, config.image_config))
    ratio = str(wanted.get("aspectRatio") or wanted.get("aspect_ratio") or "1:1")
    unit = _RATIO_UNIT.get(
        str(wanted.get("imageSize") or wanted.get("image_size") or "1K"), 8
    )
    across, _, down = ratio.partition(":")
    sides = (int(across), int(down)) if across.isdigit() and down.isdigit() else (1, 1)
    return _png(unit * max(sides[0], 1), unit * max(sides[1], 1), digest % 16, kib)


@lru_cache(maxsize=64)
def _png(width: int, height: int, color: int, kib: int) -> bytes:
    if kib:
        width = height = max(8, math.isqrt(kib * 1024 // 3) + 1)
    row = bytes([color * 16, 90, 160]) * width
    random_ = random.Random(color)
    rows = b"".join(
        b"\0" + (random_.randbytes(width * 3) if kib else row) for _ in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows, 1))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )
