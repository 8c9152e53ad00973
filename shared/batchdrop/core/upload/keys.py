"""The users' keys of an upload, counted: how many lines have none, and, as hashes, which are equal."""

from __future__ import annotations

from array import array
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
