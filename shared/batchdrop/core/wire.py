"""Ids on the wire: what stands for a line at a provider, `<wire>-<base36 line>`: 25 of [a-z0-9-] at most.

The wire is of a shard, not of an attempt: whatever batch of the shard a row comes from, its line, recipe and round are
the same, so it is a right answer. A job that is planned again after its state was lost has other wires as soon as
anything in the prompt differs. Two lines of an upload may have one key; their ids differ.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

WIRE_CHARS: Final = 12
RENDERING: Final = "1"
"""The version of how requests are rendered: raised when the same recipe and line begin to mean another request."""
_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = [bytes((a, b)) for a in _DIGITS for b in _DIGITS]
_PAIR: Final = 36 * 36
_FOUR: Final = _PAIR * _PAIR
_ID: Final = re.compile(r"([a-z2-7]{12})-([1-9a-z][0-9a-z]{0,11})")


def wire_of(
    stack: str, shard: str, *, checksum: str, recipe: str, provider: str, model: str
) -> str:
    """Return a shard's wire: the same for the same request to the same model, and for no other.

    Args:
        stack: The stack's id.
        shard: The shard's id.
        checksum: Of the upload's snapshot.
        recipe: The digest of the frozen recipe.
        provider: The provider's configured name.
        model: Its name of the model.
    """
    parts = "\n".join(
        (stack, shard, checksum, recipe, f"{provider}:{model}", RENDERING)
    )
    return (
        b32encode(hashlib.sha256(parts.encode()).digest())[:WIRE_CHARS].decode().lower()
    )


def line_id(wire: bytes, line: int) -> bytes:
    """Return what stands for a line."""
    return b"%b-%b" % (wire, _base36(line))


def line_ids(wire: bytes, lines: Iterable[int]) -> list[bytes]:
    """Return what stands for each of the lines; those that follow each other share most of their digits."""
    return [
        _beginning(wire, line // _PAIR) + _PAIRS[line % _PAIR]
        if line >= _PAIR
        else line_id(wire, line)
        for line in lines
    ]


@lru_cache(maxsize=64)
def _beginning(wire: bytes, pairs: int) -> bytes:
    """Return an id without its last two digits."""
    return line_id(wire, pairs)


def id_bytes(line: int) -> int:
    """Return how long the id of a line is, without making it."""
    size = WIRE_CHARS + 2
    while line >= 36:
        line //= 36
        size += 1
    return size


def line_of(wire: str, id: str) -> int:
    """Return the line an id of this wire stands for; 0 for anybody else's."""
    found = _ID.fullmatch(id)
    return int(found[2], 36) if found and found[1] == wire else 0


def _base36(number: int) -> bytes:
    """Four digits at a time: this runs for each line."""
    written = b""
    while number >= _FOUR:
        number, rest = divmod(number, _FOUR)
        written = _PAIRS[rest // _PAIR] + _PAIRS[rest % _PAIR] + written
    return (_PAIRS[number // _PAIR] + _PAIRS[number % _PAIR] + written).lstrip(b"0")
