"""What a call's body says: unpacked, bounded, read as a description; and the numbers of its address."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Final

from batchdrop_local.emulators.http import CHUNK, Call, Json, RefusedError

MAX_JSON: Final = 8 << 20
"""Bytes of a description. Object data is never read whole."""


def pieces(call: Call) -> Iterator[bytes]:
    """Return the body, to be read once, as the client meant it: what was packed for the journey is unpacked."""
    sent = call.pieces()
    return unpacked(sent) if call.headers.get("Content-Encoding") == "gzip" else sent


def json_body(call: Call) -> Json:
    """Return the body as a JSON object; an empty one is `{}`."""
    return described(bounded(pieces(call)))


def number(call: Call, name: str) -> int | None:
    """Return a parameter of the address that must be a whole number, or None."""
    value = call.query.get(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        raise RefusedError(400, f"Invalid value for {name}: {value}") from None


def unpacked(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what gzip packed, in pieces of bounded size."""
    unpacking = zlib.decompressobj(wbits=31)
    for piece in packed:
        data = unpacking.decompress(piece, CHUNK)
        while data:
            yield data
            data = unpacking.decompress(unpacking.unconsumed_tail, CHUNK)


def bounded(description: Iterator[bytes]) -> bytes:
    """Return the bytes of a description whole.

    Raises:
        RefusedError: 413, there are more than MAX_JSON.
    """
    text = bytearray()
    for piece in description:
        text += piece
        if len(text) > MAX_JSON:
            raise RefusedError(413, f"A description is larger than {MAX_JSON} bytes.")
    return bytes(text)


def described(text: bytes) -> Json:
    """Return a JSON object; an empty text is `{}`.

    Raises:
        RefusedError: 400, it is something else.
    """
    try:
        body = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise RefusedError(400, "The description is no JSON object.")
    return body  # pyright: ignore[reportUnknownVariableType]
