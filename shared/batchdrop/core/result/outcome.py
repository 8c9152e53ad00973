"""Outcomes: what became of one request, told from one line of a result file.

    response with an answer        answered   |  candidate stopped by a filter, prompt blocked   blocked
    finishReason MAX_TOKENS        truncated  |  nothing but thoughts, or nothing at all         empty
    JSON asked for, none given     invalid    |  the provider's status object                    error
    no line at all                 missing    |  a line with neither response nor error          error

Line shapes: ai.google.dev/gemini-api/docs/batch-api (read in a stored copy 2026-11-23). A blocked prompt comes as a
success without candidates. Finish reasons: google-genai 3.4.0, types.FinishReason.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from batchdrop.core.result.result import ABSENT, Result
from batchdrop.core.result.schema import breaks
from batchdrop.core.state.shard import ShardKind


class Outcome(StrEnum):
    """What became of a request, best first."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"
    INVALID = "invalid"
    BLOCKED = "blocked"
    EMPTY = "empty"
    ERROR = "error"
    MISSING = "missing"

    @property
    def is_result(self) -> bool:
        """True for a result row, false for an error row."""
        return self in (Outcome.ANSWERED, Outcome.TRUNCATED)


RANK: Final = {outcome: rank for rank, outcome in enumerate(Outcome)}
BLOCKED: Final = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
_MALFORMED: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"})


class _Part(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    text: msgspec.Raw = ABSENT
    thought: bool = False
    inline_data: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    executable_code: msgspec.Raw = ABSENT
    code_execution_result: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT


class _Content(msgspec.Struct, frozen=True, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    block_reason: str | None = None


class _Response(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: msgspec.Raw = ABSENT
    model_version: str | None = None
    embedding: msgspec.Raw = ABSENT
    token_count: int | str | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One classified result. `text`, `usage` and `response` are JSON as the provider wrote it."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    finish_reason: str | None = None
    text: bytes | None = None
    usage: bytes | None = None
    model: str | None = None
    response: bytes | None = None
    passing: bool = False
    has_files: bool = False
    files: bytes = b"[]"
    """The objects that hold binary parts, as JSON; how many there are, and their bytes in all."""
    file_count: int = 0
    file_bytes: int = 0


_decode_response = msgspec.json.Decoder(_Response).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode


def classify(result: Result, *, wants_json: bool, schema: bytes = b"") -> Answer:
    """Return what became of a request; total over every row a provider may write."""
    raw, fault = _written(result.body), result.fault
    if fault is not None:
        return Answer(Outcome.ERROR, fault.code, fault.message, response=raw, passing=fault.passing)
    if raw is None:
        return Answer(Outcome.ERROR, "NO_RESPONSE", "The provider's line holds neither a response nor an error.")
    try:
        response = _decode_response(raw)
        answer = _judge(response, wants_json, schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer(Outcome.ERROR, "RESPONSE_UNREADABLE", "The provider's response has an unknown shape.")
    usage = _written(response.usage_metadata)
    if usage is None and response.token_count is not None:
        usage = _encode({"promptTokenCount": response.token_count})
    return msgspec.structs.replace(answer, usage=usage, model=response.model_version, response=raw)


def missing(code: str, message: str) -> Answer:
    """Return the answer of a request that no result line answers."""
    return Answer(Outcome.MISSING, code, message, passing=True)


def redo_kind(answer: Answer, kind: ShardKind, round: int, max_rounds: int) -> ShardKind | None:
    """Decide whether another round can change an outcome, and what makes it useful; None: leave it."""
    if round >= max_rounds or kind is ShardKind.LATE:
        return None
    if answer.outcome is Outcome.TRUNCATED:
        return None if kind is ShardKind.LONGER else ShardKind.LONGER
    if answer.outcome is Outcome.INVALID:
        return None if kind.repeats else ShardKind.AGAIN
    return ShardKind.AGAIN if answer.passing else None


def _written(raw: msgspec.Raw) -> bytes | None:
    """Return a field as the provider wrote it, None when it is absent or null."""
    if raw is ABSENT:
        return None
    data = bytes(raw)
    return None if data == b"null" else data


def _judge(response: _Response, wants_json: bool, schema: bytes) -> Answer:
    if _written(response.embedding) is not None:
        return Answer(Outcome.ANSWERED)
    if not response.candidates:
        reason = response.prompt_feedback.block_reason if response.prompt_feedback else None
        if reason:
            return Answer(Outcome.BLOCKED, f"PROMPT_{reason}", "The provider blocked the prompt.")
        return Answer(Outcome.EMPTY, "NO_CANDIDATE", "The provider returned no candidate.", passing=True)
    candidate = response.candidates[0]
    reason = candidate.finish_reason
    parts = (candidate.content.parts if candidate.content else None) or []
    text = _text(parts)
    has_files = any(map(_is_file, parts))
    if reason in BLOCKED:
        return Answer(Outcome.BLOCKED, f"ANSWER_{reason}", "The provider's filter stopped the answer.", reason)
    if reason == "MAX_TOKENS":
        return Answer(Outcome.TRUNCATED, finish_reason=reason, text=text, has_files=has_files)
    if reason in _MALFORMED:
        return Answer(Outcome.INVALID, f"ANSWER_{reason}", "The model's call was malformed.", reason, text)
    if text in (None, b'""') and not any(map(_holds_something, parts)):
        return Answer(Outcome.EMPTY, "EMPTY_ANSWER", "The candidate holds no answer.", reason, passing=True)
    wrong = _not_as_asked(text, schema) if wants_json else None
    if wrong is not None:
        return Answer(Outcome.INVALID, *wrong, reason, text)
    return Answer(Outcome.ANSWERED, finish_reason=reason, text=text, has_files=has_files)


def _not_as_asked(text: bytes | None, schema: bytes) -> tuple[str, str] | None:
    """Return code and sentence when an answer is not the JSON that was asked for."""
    if text is None:
        return None
    if not _is_json(text):
        return "NOT_JSON", "JSON was asked for; the answer is not JSON."
    return breaks(schema, _decode_text(text)) if schema else None


def _is_file(part: _Part) -> bool:
    return _written(part.inline_data) is not None


def _holds_something(part: _Part) -> bool:
    if part.thought:
        return False
    text = _written(part.text)
    if text is not None:
        return text != b'""'
    fields = (part.inline_data, part.function_call, part.executable_code, part.code_execution_result, part.file_data)
    return any(_written(field) is not None for field in fields)


def _text(parts: list[_Part]) -> bytes | None:
    """Return the answer's text as a JSON string, as written when it is one part."""
    texts = [text for part in parts if not part.thought and (text := _written(part.text)) is not None]
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else _encode("".join(map(_decode_text, texts)))


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(_decode_text(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
