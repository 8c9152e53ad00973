"""Results that we keep ourselves, because no batch holds them: the answers of synchronous calls."""

from __future__ import annotations

import msgspec

from batchdrop.core.result.result import ABSENT, Fault, Result
from batchdrop.core.sound_json import is_sound


class _Kept(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    line: int
    body: msgspec.Raw = ABSENT
    fault: Fault | None = None


_decode = msgspec.json.Decoder(_Kept).decode


def kept(line: int, result: Result) -> bytes:
    """Return the result of an input line as one line of JSON, newline included."""
    return msgspec.json.encode(_Kept(line, result.body, result.fault)) + b"\n"


def read_kept(raw: bytes) -> tuple[int, Result]:
    """Return the input line of a kept result, and the result; line 0 when it cannot be read."""
    if not is_sound(raw):
        return 0, Result()
    try:
        found = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0, Result()
    return found.line, Result(found.body, found.fault)
