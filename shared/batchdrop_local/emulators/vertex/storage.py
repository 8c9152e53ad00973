"""The buckets that the service's agent reads and writes, as far as the emulator needs them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from batchdrop_local.emulators.gemini.wire import ApiError

_ADDRESS: Final = re.compile(r"gs://([^/]+)/(.+)")


class Storage(Protocol):
    """Objects by bucket and name; a write replaces what is there."""

    def exists(self, bucket: str, name: str, /) -> bool:
        """Tell whether there is such an object."""
        ...

    def read(self, bucket: str, name: str, /) -> Iterator[bytes]:
        """Yield the bytes of an object that exists."""
        ...

    def write(self, bucket: str, name: str, pieces: Iterable[bytes], /) -> None:
        """Write an object, whole or not at all."""
        ...


def parsed(uri: str) -> tuple[str, str]:
    """Return bucket and name of an address.

    Raises:
        ApiError: 400, it is none.
    """
    match = _ADDRESS.fullmatch(uri)
    if match is None:
        raise ApiError(400, f"Invalid Google Cloud Storage URI: {uri!r}.")
    return match[1], match[2]
