"""What Google's services refuse, refused in the same words by every adapter, before anything is sent.

The numbers stand in `core.limits`, with their sources. A folder or SQLite could hold more: refusing it there too is
what makes a flow end the same on both stacks. Nothing here can be helped by another try, so all of it is permanent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import limit

_RESERVED_ID: Final = re.compile(r"__.*__", re.DOTALL)
_BUCKET: Final = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")
_LONGEST_BUCKET: Final = 222
_RESERVED_ATTRIBUTE: Final = "goog"


def check_record_id(id: str) -> None:
    """Refuse an id that Firestore does not take for a document's: RECORD_ID."""
    reserved = id in ("", ".", "..") or "/" in id or _RESERVED_ID.fullmatch(id)
    if reserved or _size(id) > limit("record_id"):
        raise PermanentError(Code.RECORD_ID)


def check_record_size(data: str) -> None:
    """Refuse data that leaves no room in a Firestore document: RECORD_TOO_LARGE."""
    size = _size(data)
    if size > limit("record"):
        raise PermanentError(
            f"a record has {size} bytes, {limit('record')} are allowed",
            code=Code.RECORD_TOO_LARGE,
        )


def check_message(data: bytes, attributes: Mapping[str, str]) -> None:
    """Refuse a message that Pub/Sub does not take: ATTRIBUTES_INVALID or MESSAGE_TOO_LARGE."""
    most = limit("attributes")
    if len(attributes) > most:
        raise _attributes(
            f"a message has {len(attributes)} attributes, {most} are allowed"
        )
    for name, value in attributes.items():
        _check_attribute(name, value)
    size, largest = len(data) + _sizes(attributes), limit("message")
    if size > largest:
        raise PermanentError(
            f"a message has {size} bytes, {largest} are allowed",
            code=Code.MESSAGE_TOO_LARGE,
        )


def _check_attribute(name: str, value: str) -> None:
    if not name or name.startswith(_RESERVED_ATTRIBUTE):
        raise _attributes("an attribute's name is empty or begins with goog")
    fits = _size(name) <= limit("attribute_key")
    if not fits or _size(value) > limit("attribute_value"):
        raise _attributes("an attribute's name or value is too long")


def check_object(bucket: str, name: str, metadata: Mapping[str, str]) -> None:
    """Refuse an object that Cloud Storage does not take: BUCKET_NAME, OBJECT_NAME or OBJECT_METADATA."""
    if not _is_bucket(bucket):
        raise PermanentError(Code.BUCKET_NAME)
    if not _is_object(name):
        raise PermanentError(Code.OBJECT_NAME)
    if _sizes(metadata) > limit("object_metadata"):
        raise PermanentError(Code.OBJECT_METADATA)


def _is_bucket(name: str) -> bool:
    if not 3 <= len(name) <= _LONGEST_BUCKET:
        return False
    parts = name.split(".")
    longest = max(map(len, parts))
    return longest <= limit("bucket_name") and all(map(_BUCKET.fullmatch, parts))


def _is_object(name: str) -> bool:
    if name in ("", ".", ".."):
        return False
    if "\r" in name or "\n" in name:
        return False
    return _size(name) <= limit("object_name")


def _attributes(sentence: str) -> PermanentError:
    return PermanentError(sentence, code=Code.ATTRIBUTES_INVALID)


def _size(text: str) -> int:
    """Return the UTF-8 bytes; text that has none (a lone surrogate) is longer than any limit."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return limit("message") + 1


def _sizes(texts: Mapping[str, str]) -> int:
    """Return the bytes of names and values together."""
    return sum(_size(name) + _size(value) for name, value in texts.items())
