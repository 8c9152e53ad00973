"""The lines of an input file, in order or shuffled; memory does not grow with the file's size."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, 1 MiB at a time."""
    with path.open("rb", buffering=0) as source:
        while chunk := source.read(CHUNK):
            yield chunk


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines that are not blank, without their ends; only a newline byte ends a line."""
    rest = b""
    for chunk in chunks(path):
        if rest and b"\n" not in chunk:
            rest += chunk
            continue
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line and not line.isspace():
                yield line
    if rest and not rest.isspace():
        yield rest


def shuffled(path: Path, seed: int) -> Iterator[bytes]:
    """Yield the same lines in an order of chance, the same at each call; memory is 8 bytes a line."""
    starts = array("Q")
    offset = 0
    with path.open("rb") as source:
        for line in source:
            if not line.isspace():
                starts.append(offset)
            offset += len(line)
        random.Random(seed).shuffle(starts)
        for start in starts:
            source.seek(start)
            yield source.readline().rstrip(b"\n")


def joined(rows: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the rows in pieces of about 1 MiB."""
    held: list[bytes] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size >= CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
