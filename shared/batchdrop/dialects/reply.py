"""A row, read once into neutral words for those who write it in another API's words.

a row's answer --said of the language it came in--> Said    the rest of the row --read--> Reply
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from batchdrop.core.codes import Code
from batchdrop.core.grpc import GRPC_NAMES
from batchdrop.dialects.line import Json

_encode: Final = msgspec.json.encode
_HTTP: Final = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""google/rpc/code.proto: how gRPC codes map to HTTP; the others are 500."""
_NUMBERS: Final = {name: number for number, name in GRPC_NAMES.items()}
_PROVIDER: Final = "PROVIDER_"


@dataclass(frozen=True, slots=True)
class Call:
    """A function the model wants called; `arguments` is JSON."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Choice:
    """One candidate: its text without thoughts, its thoughts, its calls, and why it ended, in the hub's words."""

    text: str | None
    thoughts: list[tuple[str, str]]
    calls: list[Call]
    reason: str
    logprobs: Json | None = None
    blocked: bool = False
    """A filter of the provider's ended it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: `prompt` includes `cached`, `output` includes `thoughts`."""

    prompt: int = 0
    cached: int = 0
    output: int = 0
    thoughts: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says. `model` is the one that gave it, where it tells."""

    model: str
    usage: Usage
    choices: list[Choice]
    embedding: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer: our code, the HTTP status another API would have used, the gRPC number."""

    code: str
    message: str
    pointer: str | None
    status: int
    number: int

    @property
    def ended(self) -> str | None:
        """`expired` or `canceled` when the request was never run, else None."""
        last = self.code.rpartition("_")[2]
        if last == "EXPIRED" or self.code == f"{_PROVIDER}DEADLINE_EXCEEDED":
            return "expired"
        return "canceled" if last == "CANCELLED" else None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a row says. `fault` is None when there is an answer, be it cut off or held back by a filter."""

    custom_id: str
    digest: str
    model: str
    usage: Usage
    choices: list[Choice] = field(default_factory=list[Choice])
    embedding: list[float] | None = None
    fault: Fault | None = None
    files: list[Any] = field(default_factory=list[Any])


def read(row: Json, said: Callable[[Json, str], Said]) -> Reply:
    """Return what a result, error or rejection row says; missing fields are read as absent, never a fault.

    Args:
        row: The row, decoded.
        said: Reads its answer, given the row and what its ids begin with; of the language the answer came in.
    """
    digest = hashlib.sha256(_encode(row, order="deterministic")).hexdigest()[:24]
    answer = said(row, digest)
    answered = row.get("outcome") in _ANSWERED and bool(object_of(row.get("response")))
    return Reply(
        custom_id=_custom_id(row),
        digest=digest,
        model=str(row.get("model") or answer.model),
        usage=answer.usage,
        choices=answer.choices,
        embedding=answer.embedding,
        fault=None if answered else _fault(row),
        files=list_of(row.get("files")),
    )


_ANSWERED: Final = ("answered", "truncated", "blocked")


def _custom_id(row: Json) -> str:
    """Return the user's key as a string; a line without one is named by its number."""
    key = row.get("key")
    if key is None:
        return f"line-{row.get('line')}"
    return key if isinstance(key, str) else _encode(key).decode()


def _fault(row: Json) -> Fault:
    code = str(row.get("code") or Code.NO_RESPONSE)
    pointer = row.get("pointer")
    if "outcome" not in row:
        return Fault(
            code,
            str(row.get("message", "")),
            pointer,
            400,
            _NUMBERS["INVALID_ARGUMENT"],
        )
    name = code.removeprefix(_PROVIDER) if code.startswith(_PROVIDER) else "UNKNOWN"
    return Fault(
        code,
        str(row.get("message", "")),
        pointer,
        _HTTP.get(name, 500),
        _NUMBERS.get(name, 2),
    )


def object_of(value: Any) -> Json:
    """Return an object, an empty one for anything else."""
    return cast("Json", value) if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return an array, an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []
