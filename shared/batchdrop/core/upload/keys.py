"""Keys of an upload's lines: how many an earlier line has, counted by hashes of 64 bits."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from batchdrop.core.limits import limit


def repeated(hashes: Iterable[bytes]) -> int | None:
    """Return how many keys were there before; None when there are too many keys to tell.

    Memory: the hashes, and a set of a 256th of them.
    """
    buckets: list[array[int]] = [array("Q") for _ in range(256)]
    total = 0
    for data in hashes:
        keys = array("Q")
        keys.frombytes(data)
        total += len(keys)
        for key in keys:
            buckets[key & 255].append(key)
    if total > limit("counted_keys"):
        return None
    return total - sum(len(set(bucket)) for bucket in buckets)
