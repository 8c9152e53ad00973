"""The buckets of a local stack, as the agent of an emulated service reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchdrop.ports import Objects


class Agent:
    """Objects by bucket and name: what a service may do that no precondition binds."""

    def __init__(self, objects: Objects) -> None:
        """Take the stack's own."""
        self._objects = objects

    def exists(self, bucket: str, name: str, /) -> bool:
        """Tell whether there is such an object."""
        return self._objects.stat(bucket, name) is not None

    def read(self, bucket: str, name: str, /) -> Iterator[bytes]:
        """Yield the bytes of an object that exists."""
        return self._objects.read(bucket, name)

    def write(self, bucket: str, name: str, pieces: Iterable[bytes], /) -> None:
        """Write an object, whole or not at all, in place of the one that is there."""
        there = self._objects.stat(bucket, name)
        generation = there.generation if there else 0
        with self._objects.create(
            bucket, name, if_generation_match=generation
        ) as writer:
            for piece in pieces:
                writer.write(piece)
            writer.close()
