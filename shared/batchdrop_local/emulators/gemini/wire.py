"""The service's JSON: error bodies, times, names, both spellings of a field. Nothing here keeps state."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime
from typing import Final, TypeVar, cast

import msgspec

from batchdrop_local.emulators.http import Json, RefusedError

STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_LETTERS: Final = string.ascii_lowercase + string.digits
_OPAQUE: Final = frozenset(
    {"metadata", "userMetadata", "labels", "requests", "contents", "systemInstruction"}
)
"""Fields whose contents are the caller's own: their names are not touched."""
_T = TypeVar("_T")


class ApiError(RefusedError):
    """An answer that is not 200."""

    def __init__(
        self, status: int, message: str, retry_seconds: float | None = None
    ) -> None:
        """Keep the status, the message and the wait of a RetryInfo."""
        super().__init__(status, message)
        self.retry_seconds = retry_seconds

    def body(self) -> Json:
        """Return the error body as the service writes it."""
        error: Json = {
            "code": self.status,
            "message": self.message,
            "status": STATUS.get(self.status, "UNKNOWN"),
        }
        if self.retry_seconds is not None:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [
                {"@type": kind, "retryDelay": f"{self.retry_seconds:g}s"}
            ]
        return {"error": error}


def parse(raw: bytes, shape: type[_T]) -> _T:
    """Read a request body into a shape, whatever the spelling of its fields.

    Raises:
        ApiError: 400, it is not JSON or a field has another type.
    """
    try:
        return msgspec.convert(
            camel(msgspec.json.decode(raw or b"{}")), shape, strict=False
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"Invalid JSON payload received. {error}") from None


def camel(value: object) -> object:
    """Return a JSON value with camelCase keys; proto-JSON allows snake_case too, and the SDKs mix both."""
    if isinstance(value, list):
        return [camel(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    found: dict[str, object] = {}
    for name, inner in cast("dict[str, object]", value).items():
        head, *tail = name.split("_")
        spelled = head + "".join(part.capitalize() for part in tail) if head else name
        found[spelled] = inner if spelled in _OPAQUE else camel(inner)
    return found


def stamp(seconds: float) -> str:
    """Return a time as the service writes it: UTC, nanoseconds, Z."""
    return (
        datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"
    )


def moment(text: str) -> float:
    """Read an RFC 3339 time with any offset.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ApiError(400, f"Invalid time: {text!r}.") from None


def duration(text: str) -> float:
    """Read a proto-JSON duration such as 3600s.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise ApiError(400, f"Invalid duration: {text!r}.") from None


def letters(count: int) -> str:
    """Return a new id of so many lower-case letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def without_empty(body: Json) -> Json:
    """Leave out what proto-JSON leaves out: empty strings and absent values."""
    return {name: value for name, value in body.items() if value not in ("", None)}
