"""Lines that a conversion wrote: a request, with its record beside it if rows are to have it, or a rejection.

{"key":…,"request":{…}}    {"key":…,"request":{…},"record":{…}}    {"rejected":[code,pointer,message,fix],"key":…}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from batchdrop.core.problem import Problem

_REJECTED: Final = b'{"rejected":'
_encode = msgspec.json.encode


class _Rejected(msgspec.Struct, frozen=True):
    rejected: tuple[str, str, str, str]
    key: msgspec.Raw = msgspec.Raw(b"null")


class _Accepted(msgspec.Struct, frozen=True):
    request: msgspec.Raw
    key: msgspec.Raw = msgspec.Raw(b"null")


_decode_rejected = msgspec.json.Decoder(_Rejected).decode
_decode_accepted = msgspec.json.Decoder(_Accepted).decode


def accepted(key: bytes, request: bytes) -> bytes:
    """Return the line of a request."""
    return b'{"key":%b,"request":%b}\n' % (key, request)


def with_record(line: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return a request's line with its record beside it; both without newline."""
    return line[:-1] + b',"record":' + _encode(fields) + b"}"


def rejected(key: bytes, problem: Problem) -> bytes:
    """Return the line of what cannot become a request."""
    what = (problem.code.value, problem.pointer, problem.message, problem.advice())
    return _REJECTED + _encode(what) + b',"key":' + key + b"}\n"


def read(line: bytes) -> bytes | tuple[bytes, tuple[str, str, str, str]]:
    """Return the line in a converted one as Gemini writes it, or the key and what was wrong with the input."""
    if line.startswith(_REJECTED):
        found = _decode_rejected(line)
        return bytes(found.key), found.rejected
    entry = _decode_accepted(line)
    return b'{"key":%b,"request":%b}' % (bytes(entry.key), bytes(entry.request))
