"""The users' keys of an upload, counted: how many lines have none, and, as hashes of 64 bits, which are equal."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from batchdrop.core.limits import limit

_KEY_BYTES: Final = 8


class Keys:
    """The keys one planning step saw, as hashes; `counted` is False once there are too many."""

    def __init__(self, *, counted: bool) -> None:
        """Hold no key yet."""
        self.hashes = array("Q")
        self.missing = 0
        self.counted = counted
        self._most = limit("counted_keys")

    def see(self, key: bytes) -> None:
        """Count one line's key, `null` when it has none."""
        if key == b"null":
            self.missing += 1
        elif self.counted:
            self.hashes.frombytes(blake2b(key, digest_size=_KEY_BYTES).digest())
            if len(self.hashes) > self._most:
                self.counted = False
                self.hashes = array("Q")


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
