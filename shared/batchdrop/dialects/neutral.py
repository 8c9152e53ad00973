"""A row, read once into neutral words for those who write it in another API's words.

Token counts: Gemini's candidates do not include thoughts, its prompt includes what was cached
(ai.google.dev/gemini-api/docs/tokens; real output in the wire facts: 8 + 11 + 829 = 848).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from batchdrop.core.grpc import GRPC_NAMES
from batchdrop.dialects.dialect import Json
from batchdrop.dialects.gemini.answer import BLOCKED

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
    """One candidate: its text without thoughts, its thoughts, its calls, and why it ended."""

    text: str | None
    thoughts: list[tuple[str, str]]
    calls: list[Call]
    reason: str
    logprobs: Json | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: `prompt` includes `cached`, `output` includes `thoughts`."""

    prompt: int = 0
    cached: int = 0
    output: int = 0
    thoughts: int = 0


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


def read(row: Json) -> Reply:
    """Return what a result, error or rejection row says; missing fields are read as absent, never a fault."""
    response = _object(row.get("response"))
    digest = hashlib.sha256(_encode(row, order="deterministic")).hexdigest()[:24]
    answered = row.get("outcome") in ("answered", "truncated", "blocked") and bool(
        response
    )
    return Reply(
        custom_id=_custom_id(row),
        digest=digest,
        model=str(row.get("model") or response.get("modelVersion") or ""),
        usage=_usage(
            _object(row.get("usage") or response.get("usageMetadata")), response
        ),
        choices=_choices(response, digest, blocked=row.get("outcome") == "blocked"),
        embedding=_object(response.get("embedding")).get("values"),
        fault=None if answered else _fault(row),
        files=_list(row.get("files")),
    )


def _custom_id(row: Json) -> str:
    """Return the user's key as a string; a line without one is named by its number."""
    key = row.get("key")
    if key is None:
        return f"line-{row.get('line')}"
    return key if isinstance(key, str) else _encode(key).decode()


def _choices(response: Json, digest: str, *, blocked: bool) -> list[Choice]:
    """Return the candidates; a blocked prompt has none and gets one that says so."""
    found = [
        _choice(_object(item), f"{digest}{index}")
        for index, item in enumerate(_list(response.get("candidates")))
    ]
    return found or ([Choice(None, [], [], "SAFETY")] if blocked else [])


def _choice(candidate: Json, stem: str) -> Choice:
    parts = [
        _object(part) for part in _list(_object(candidate.get("content")).get("parts"))
    ]
    texts = [
        str(part["text"])
        for part in parts
        if "text" in part and not part.get("thought")
    ]
    thoughts = [
        (str(part["text"]), str(part.get("thoughtSignature", "")))
        for part in parts
        if part.get("thought") and "text" in part
    ]
    wanted = [_object(part["functionCall"]) for part in parts if "functionCall" in part]
    calls = [
        Call(
            str(call.get("id") or f"call_{stem}{index}"),
            str(call.get("name", "")),
            _object(call.get("args")),
        )
        for index, call in enumerate(wanted)
    ]
    text = "".join(texts) if texts else None
    reason = str(candidate.get("finishReason", "STOP"))
    return Choice(
        text, thoughts, calls, reason, _object(candidate.get("logprobsResult")) or None
    )


def is_blocked(choice: Choice) -> bool:
    """True when a filter of the provider's ended the candidate."""
    return choice.reason in BLOCKED


def _usage(counts: Json, response: Json) -> Usage:
    thoughts = _count(counts.get("thoughtsTokenCount"))
    prompt = _count(counts.get("promptTokenCount")) + _count(
        counts.get("toolUsePromptTokenCount")
    )
    return Usage(
        prompt=prompt or _count(response.get("tokenCount")),
        cached=_count(counts.get("cachedContentTokenCount")),
        output=_count(counts.get("candidatesTokenCount")) + thoughts,
        thoughts=thoughts,
    )


def _fault(row: Json) -> Fault:
    code = str(row.get("code") or "NO_RESPONSE")
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


def _object(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _count(value: Any) -> int:
    """Read a token count, which proto-JSON may write as a string."""
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else 0
