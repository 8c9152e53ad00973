"""Outcomes: what became of a request, told from one result line, and whether another round can help."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchdrop.core.grpc import GRPC_NAMES
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer, Outcome, missing, redo_kind
from batchdrop.core.result.row import error_row, result_row
from batchdrop.core.state.shard import ShardKind
from batchdrop.dialects.gemini.answer import answer
from batchdrop.providers.gemini.envelope import GeminiEnvelope

TEXT = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}


def judged(line: Any, *, wants_json: bool = False) -> Answer:
    found = GeminiEnvelope().read(json.dumps({"key": "1", **line}).encode())
    assert found is not None
    return answer(found[1], InputLine(1, b"null", wants_json))


def candidate(reason: str | None = "STOP", *parts: Any) -> Any:
    found: dict[str, Any] = {"content": {"parts": list(parts)}}
    return {"response": {"candidates": [found | ({"finishReason": reason} if reason else {})]}}


@pytest.mark.parametrize(
    ("line", "outcome", "code"),
    [
        ({"response": TEXT}, "answered", ""),
        (candidate("STOP", {"functionCall": {"name": "f"}}), "answered", ""),
        (candidate("STOP", {"inlineData": {"mimeType": "image/png", "data": ""}}), "answered", ""),
        ({"response": {"embedding": {"values": [1]}}}, "answered", ""),
        (candidate("MAX_TOKENS", {"text": "h"}), "truncated", ""),
        (candidate("MAX_TOKENS"), "truncated", ""),
        (candidate("SAFETY"), "blocked", "ANSWER_SAFETY"),
        (candidate("RECITATION", {"text": "x"}), "blocked", "ANSWER_RECITATION"),
        (candidate("IMAGE_SAFETY"), "blocked", "ANSWER_IMAGE_SAFETY"),
        ({"response": {"promptFeedback": {"blockReason": "OTHER"}}}, "blocked", "PROMPT_OTHER"),
        ({"response": {"candidates": []}}, "empty", "NO_CANDIDATE"),
        ({"response": {}}, "empty", "NO_CANDIDATE"),
        (candidate("STOP"), "empty", "EMPTY_ANSWER"),
        (candidate("STOP", {"text": ""}), "empty", "EMPTY_ANSWER"),
        (candidate("STOP", {"text": "thinking", "thought": True}), "empty", "EMPTY_ANSWER"),
        ({"response": {"candidates": [{"finishReason": "STOP"}]}}, "empty", "EMPTY_ANSWER"),
        (candidate("MALFORMED_FUNCTION_CALL"), "invalid", "ANSWER_MALFORMED_FUNCTION_CALL"),
        (candidate("BRAND_NEW_REASON", {"text": "x"}), "answered", ""),
        (candidate(None, {"text": "x"}), "answered", ""),
        ({"error": {"code": 13, "message": "m"}}, "error", "PROVIDER_INTERNAL"),
        ({"error": {"code": 999}}, "error", "PROVIDER_UNKNOWN"),
        ({"error": {"code": 4}, "response": None}, "error", "PROVIDER_DEADLINE_EXCEEDED"),
        ({}, "error", "NO_RESPONSE"),
        ({"response": None}, "error", "NO_RESPONSE"),
        ({"response": {"candidates": "?"}}, "error", "RESPONSE_UNREADABLE"),
        ({"response": 7}, "error", "RESPONSE_UNREADABLE"),
    ],
)
def test_every_line_has_an_outcome(line: Any, outcome: str, code: str) -> None:
    answer = judged(line)
    assert (answer.outcome.value, answer.code) == (outcome, code)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"7", b"\xff", b'{"key":1.5}', b'{"key":[]}', b'{"key":null}'])
def test_a_line_that_names_no_request_is_nobodys(raw: bytes) -> None:
    assert GeminiEnvelope().read(raw) is None


@pytest.mark.parametrize(("text", "outcome"), [('{"a":1}', "answered"), ("[1]", "answered"), ("{", "invalid")])
def test_json_that_was_asked_for_is_checked(text: str, outcome: str) -> None:
    assert judged(candidate("STOP", {"text": text}), wants_json=True).outcome == outcome


def test_thoughts_are_not_part_of_the_text() -> None:
    answer = judged(candidate("STOP", {"text": "hmm", "thought": True}, {"text": "a"}, {"text": "b"}))
    assert answer.text == b'"ab"'


@pytest.mark.parametrize(("code", "again"), [(code, code in (4, 8, 10, 13, 14)) for code in GRPC_NAMES])
def test_only_passing_errors_are_asked_for_again(code: int, again: bool) -> None:
    answer = judged({"error": {"code": code}})
    assert redo_kind(answer, ShardKind.PLAN, 0, 2) == (ShardKind.AGAIN if again else None)


def test_rounds_end() -> None:
    lost = missing("NO_ANSWER", "")
    truncated = judged(candidate("MAX_TOKENS"))
    invalid = judged(candidate("MALFORMED_RESPONSE"))
    assert redo_kind(lost, ShardKind.AGAIN, 1, 2) is ShardKind.AGAIN
    assert redo_kind(lost, ShardKind.AGAIN, 2, 2) is None
    assert redo_kind(truncated, ShardKind.PLAN, 0, 2) is ShardKind.LONGER
    assert redo_kind(truncated, ShardKind.LONGER, 1, 2) is None
    assert redo_kind(invalid, ShardKind.PLAN, 0, 2) is ShardKind.AGAIN
    assert redo_kind(invalid, ShardKind.AGAIN, 1, 2) is None
    assert redo_kind(judged({"response": TEXT}), ShardKind.PLAN, 0, 2) is None


def test_rows_have_the_contracts_fields_in_order() -> None:
    answer = judged({"response": {**TEXT, "usageMetadata": {"x": 1}, "modelVersion": "m-001"}})
    row = json.loads(result_row(answer, InputLine(7, b'"k"', False), 1, b'"m"'))
    names = ["line", "key", "outcome", "text", "finish_reason", "usage", "model", "round", "files", "response"]
    assert list(row) == names
    assert (row["text"], row["model"], row["usage"]) == ("hi", "m-001", {"x": 1})
    failed = json.loads(error_row(judged({"error": {"code": 13, "message": "m"}}), InputLine(7, b"null", False), 0))
    assert list(failed) == [
        "line",
        "key",
        "outcome",
        "code",
        "message",
        "finish_reason",
        "usage",
        "round",
        "response",
    ]
    assert (failed["outcome"], failed["code"], failed["message"]) == (Outcome.ERROR, "PROVIDER_INTERNAL", "m")


def test_numbers_inside_json_answers_stay_as_written() -> None:
    answer = judged(candidate("STOP", {"text": '{"n": 1.10, "big": 12345678901234567890123}'}), wants_json=True)
    assert b'"json":{"n":1.10,"big":12345678901234567890123}' in result_row(
        answer, InputLine(1, b"null", True), 0, b'"m"'
    )
