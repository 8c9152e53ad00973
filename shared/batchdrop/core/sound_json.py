"""Soundness: whether a line that goes out as it came can be read by every reader of JSON.

Rows carry parts of a provider's line that nobody decodes (`msgspec.Raw`). msgspec looks at their syntax and surrogate
pairs, but not at their UTF-8, at numbers no double holds and at names that an object has twice (seen with 0.22).
Invariant: a sound line is UTF-8, JSON, and read the same by strict and by lenient readers.
"""

from __future__ import annotations

from typing import Final

import msgspec

from batchdrop.core import strict_json
from batchdrop.core.limits import limit

MAX_VALUES: Final = limit("answer_values")
FEW_QUOTES: Final = 64
"""A line with less than one quotation mark in so many bytes is mostly numbers or base64: it is not written again."""
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def is_sound(raw: bytes) -> bool:
    """Tell whether a line is UTF-8 and strict JSON."""
    if len(raw) > MAX_VALUES and _values(raw) > MAX_VALUES:
        return False
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if b"u0022" in raw:
        return _is_strict(raw)
    quotes = raw.count(b'"')
    if quotes * FEW_QUOTES < len(raw) and _names_differ(raw):
        return True
    return _encode(value).count(b'"') == quotes


def _values(raw: bytes) -> int:
    """Return how many values a line holds at most."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _names_differ(raw: bytes) -> bool:
    """Tell whether no two names in the whole line are the same; then no object has one twice."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = raw.split(b'"')
    names = [
        name
        for name, after in zip(pieces[1::2], pieces[2::2], strict=False)
        if after.lstrip().startswith(b":")
    ]
    return len(set(names)) == len(names)


def _is_strict(raw: bytes) -> bool:
    try:
        strict_json.loads(raw)
    except strict_json.StrictError:
        return False
    return True
