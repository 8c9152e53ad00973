"""Answers: what one result of Gemini means, in the words of `core.result.outcome`.

    response with an answer        answered   |  candidate stopped by a filter, prompt blocked   blocked
    finishReason MAX_TOKENS        truncated  |  nothing but thoughts, or nothing at all         empty
    JSON asked for, none given     invalid    |  the service's fault                             error
    no line at all                 missing    |  a line with neither response nor error          error

Line shapes: ai.google.dev/gemini-api/docs/batch-api (read in a stored copy 2026-11-23). A blocked prompt comes as a
success without candidates. Finish reasons: google-genai 3.4.0, types.FinishReason.
"""

from __future__ import annotations

from typing import Final

import msgspec

from batchdrop.core.codes import Code
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.result import ABSENT, Result
from batchdrop.core.result.schema import breaks

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
_MALFORMED: Final = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"}
)


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


_decode_response = msgspec.json.Decoder(_Response).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode


def answer(result: Result, line: InputLine) -> Answer:
    """Return what became of a line's request; total over everything the provider may write."""
    raw, fault = _written(result.body), result.fault
    if fault is not None:
        return Answer(
            Outcome.ERROR,
            fault.code,
            fault.message,
            response=raw,
            passing=fault.passing,
        )
    if raw is None:
        return Answer(
            Outcome.ERROR,
            Code.NO_RESPONSE,
            Code.NO_RESPONSE.sentence,
        )
    try:
        response = _decode_response(raw)
        found = _judge(response, line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer(
            Outcome.ERROR,
            Code.RESPONSE_UNREADABLE,
            Code.RESPONSE_UNREADABLE.sentence,
        )
    usage = _written(response.usage_metadata)
    if usage is None and response.token_count is not None:
        usage = _encode({"promptTokenCount": response.token_count})
    return msgspec.structs.replace(
        found, usage=usage, model=response.model_version, response=raw
    )


def _judge(response: _Response, line: InputLine) -> Answer:
    if _written(response.embedding) is not None:
        return Answer(Outcome.ANSWERED)
    if not response.candidates:
        return _unanswered(response.prompt_feedback)
    candidate = response.candidates[0]
    reason = candidate.finish_reason
    parts = (candidate.content.parts if candidate.content else None) or []
    if reason in BLOCKED:
        return Answer(
            Outcome.BLOCKED,
            f"ANSWER_{reason}",
            "The provider's filter stopped the answer.",
            reason,
        )
    text = _text(parts)
    has_files = any(_written(part.inline_data) is not None for part in parts)
    if reason == "MAX_TOKENS":
        return Answer(
            Outcome.TRUNCATED, finish_reason=reason, text=text, has_files=has_files
        )
    if reason in _MALFORMED:
        return Answer(
            Outcome.INVALID,
            f"ANSWER_{reason}",
            "The model's call was malformed.",
            reason,
            text,
        )
    if text in (None, b'""') and not any(map(_holds_something, parts)):
        return Answer(
            Outcome.EMPTY,
            Code.EMPTY_ANSWER,
            Code.EMPTY_ANSWER.sentence,
            reason,
            passing=True,
        )
    wrong = not_as_asked(text, line.schema) if line.wants_json else None
    if wrong is not None:
        return Answer(Outcome.INVALID, *wrong, reason, text)
    return Answer(
        Outcome.ANSWERED, finish_reason=reason, text=text, has_files=has_files
    )


def _unanswered(feedback: _Feedback | None) -> Answer:
    """Return the answer that a response without candidates is."""
    if feedback is not None and feedback.block_reason:
        return Answer(
            Outcome.BLOCKED,
            f"PROMPT_{feedback.block_reason}",
            "The provider blocked the prompt.",
        )
    return Answer(
        Outcome.EMPTY,
        Code.NO_CANDIDATE,
        Code.NO_CANDIDATE.sentence,
        passing=True,
    )


def _written(raw: msgspec.Raw) -> bytes | None:
    """Return a field as the provider wrote it, None when it is absent or null."""
    if raw is ABSENT:
        return None
    data = bytes(raw)
    return None if data == b"null" else data


def not_as_asked(text: bytes | None, schema: bytes) -> tuple[str, str] | None:
    """Return code and sentence when an answer is not the JSON that was asked for."""
    if text is None:
        return None
    if not _is_json(text):
        return Code.NOT_JSON, "JSON was asked for; the answer is not JSON."
    return breaks(schema, _decode_text(text)) if schema else None


def _holds_something(part: _Part) -> bool:
    if part.thought:
        return False
    text = _written(part.text)
    if text is not None:
        return text != b'""'
    fields = (
        part.inline_data,
        part.function_call,
        part.executable_code,
        part.code_execution_result,
        part.file_data,
    )
    return any(_written(field) is not None for field in fields)


def _text(parts: list[_Part]) -> bytes | None:
    """Return the answer's text as a JSON string, as written when it is one part."""
    texts = [
        text
        for part in parts
        if not part.thought and (text := _written(part.text)) is not None
    ]
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else _encode("".join(map(_decode_text, texts)))


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(_decode_text(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
