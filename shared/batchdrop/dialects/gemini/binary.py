"""Binary parts of requests: base64, checked without making the bytes where that can be."""

from __future__ import annotations

import binascii
from typing import Final

import msgspec

_STANDARD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_ENDS: Final = frozenset((b'""', b'"="', b'"=="'))
"""What is left of base64 as a JSON string when the letters of its alphabet are taken out."""
_decode_text: Final = msgspec.json.Decoder(str).decode


def is_base64(text: str) -> bool:
    """Tell whether a text is standard or URL-safe base64 of at least one byte."""
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    try:
        return bool(
            binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        )
    except (binascii.Error, ValueError):
        return False


def is_base64_as_json(raw: bytes) -> bool:
    """Tell the same of JSON that decoding has passed over; padded standard base64 is not decoded."""
    size = len(raw) - 2
    end = raw.translate(None, _STANDARD)
    if end in _ENDS and size > 0 and size % 4 == 0 and raw.endswith(end[1:]):
        return True
    try:
        return is_base64(_decode_text(raw))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
