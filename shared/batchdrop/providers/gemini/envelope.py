"""The service's line: `{"key", "request"}` out, `{"key", "response" | "error"}` in.

Line shapes: ai.google.dev/gemini-api/docs/batch-api (read in a stored copy 2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from batchdrop.core.codes import Code
from batchdrop.core.grpc import GRPC_NAMES
from batchdrop.core.result.result import ABSENT, Fault, Result
from batchdrop.core.sound_json import is_sound

_PASSING: Final = frozenset({4, 8, 10, 13, 14})
_CACHE: Final = re.compile(r"cached ?content\b.*not found", re.IGNORECASE)
"""The cache ended before its batch ("CachedContent not found (or permission denied)"): another round has a new one."""
_RESPONSE: Final = b'{"response":'
_AROUND: Final = len(b'{"key":"","request":}\n')


class _Status(msgspec.Struct, frozen=True, gc=False):
    code: int = 2
    message: str = ""


class _Line(msgspec.Struct, frozen=True, gc=False):
    key: str | int | None = None
    response: msgspec.Raw = ABSENT
    error: _Status | None = None


_decode = msgspec.json.Decoder(_Line).decode


class GeminiEnvelope:
    """The same line for every model and kind: both stand in the create call."""

    def line(self, id: bytes, body: bytes) -> bytes:
        """Return the service's line for a request, newline included."""
        return b'{"key":"%b","request":%b}\n' % (id, body)

    def size(self, id_bytes: int, body_bytes: int) -> int:
        """Return how long `line` makes it, without making it."""
        return _AROUND + id_bytes + body_bytes

    def read(self, line: bytes) -> tuple[str, Result] | None:
        """Return the id and the result of a line, or None when nobody can tell whose it is."""
        if not is_sound(line):
            return None
        try:
            found = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if found.key is None:
            return None
        return str(found.key), Result(
            found.response, None if found.error is None else _fault(found.error)
        )


def bodies(lines: Sequence[bytes], ids: Sequence[bytes]) -> list[bytes | None]:
    """Return what responses lines hold, told by their ends; see `ports.provider.Bodies`."""
    return list(map(_body, lines, ids))


def _body(line: bytes, id: bytes) -> bytes | None:
    if line.startswith(_RESPONSE):
        tail = b',"key":"%b"}' % id
        return line[len(_RESPONSE) : -len(tail)] if line.endswith(tail) else None
    head = b'{"key":"%b","response":' % id
    return line[len(head) : -1] if line.startswith(head) and line[-1:] == b"}" else None


def _fault(status: _Status) -> Fault:
    lost = _CACHE.search(status.message) is not None
    code = (
        Code.CACHE_LOST
        if lost
        else f"PROVIDER_{GRPC_NAMES.get(status.code, 'UNKNOWN')}"
    )
    return Fault(code, status.message, passing=lost or status.code in _PASSING)
