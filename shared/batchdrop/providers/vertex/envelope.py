"""The service's line: `{"key", "request"}` out, `{"key", "status", "request", "response"}` in.

A row that failed has a status text, `Bad Request: {"error": {…}}`, and an empty response, whatever the job's state.
That `key` comes back is practice and no promise; rows without one get theirs before they are read (`joining`).
Shapes: "Batch inference from Cloud Storage"; google/langextract `gemini_batch.py` (read in stored copies 2026-11-23).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from batchdrop.core.result.result import ABSENT, Fault, Result
from batchdrop.core.sound_json import is_sound

_AROUND: Final = len(b'{"key":"","request":}\n')
_PROVISIONING: Final = "FAILED_PRECONDITION"
"""In a new project: "Service agents are being provisioned" (GoogleCloudPlatform/generative-ai issue 1308)."""
_PASSING: Final = frozenset(
    {
        "ABORTED",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        _PROVISIONING,
    }
)
_WORDS: Final[dict[int, str]] = {
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "RESOURCE_EXHAUSTED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "DEADLINE_EXCEEDED",
}


class _Row(msgspec.Struct, frozen=True, gc=False):
    key: str | int | None = None
    status: str | None = None
    response: msgspec.Raw = ABSENT


class _Error(msgspec.Struct, frozen=True, gc=False):
    code: int = 0
    message: str = ""
    status: str = ""


class _Said(msgspec.Struct, frozen=True, gc=False):
    error: _Error = _Error()


_decode = msgspec.json.Decoder(_Row).decode
_decode_said = msgspec.json.Decoder(_Said).decode


class VertexEnvelope:
    """The same line for every model: it stands in the create call."""

    def line(self, id: bytes, body: bytes) -> bytes:
        """Return the service's line for a request, newline included."""
        return b'{"key":"%b","request":%b}\n' % (id, body)

    def size(self, id_bytes: int, body_bytes: int) -> int:
        """Return how long `line` makes it, without making it."""
        return _AROUND + id_bytes + body_bytes

    def read(self, line: bytes) -> tuple[str, Result] | None:
        """Return the id and the result of a row, or None when nobody can tell whose it is."""
        if not is_sound(line):
            return None
        try:
            row = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if row.key is None:
            return None
        if row.status:
            return str(row.key), Result(fault=_fault(row.status))
        return str(row.key), Result(row.response)


def _fault(status: str) -> Fault:
    """Read the status text of a row that failed; one in no known form may pass, and is kept as it is."""
    text = status[status.find("{") :] if "{" in status else "{}"
    try:
        error = _decode_said(text).error
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        error = _Error()
    word = error.status or _WORDS.get(error.code, "UNKNOWN")
    passing = word in _PASSING or word == "UNKNOWN"
    return Fault(f"PROVIDER_{word}", error.message or status, passing=passing)
