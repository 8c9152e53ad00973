"""Answers go back in the words of the input, and the other vendors' own types read them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic.types import TextBlock, ThinkingBlock, ToolUseBlock
from anthropic.types.messages import MessageBatchIndividualResponse
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from batchdrop.core.problem import Problem
from batchdrop.core.result import row as rows
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer, Outcome, missing
from batchdrop.dialects.forms import EMBEDDINGS_URL, RESPONSES_URL
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.gemini.answer import answer as judged
from batchdrop.dialects.known.reply import answer
from batchdrop.dialects.known.translate import key_of, translate
from batchdrop.dialects.line import LineForm, Translated
from batchdrop.providers.gemini.envelope import GeminiEnvelope
from tests.samples.dialects import lines

Json = dict[str, Any]
USAGE: Json = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "candidatesTokenCount": 11,
    "thoughtsTokenCount": 29,
    "totalTokenCount": 140,
}
THOUGHT: Json = {"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"}
CALL: Json = {"functionCall": {"name": "find", "args": {"q": 1}}}


def response(*parts: Json, reason: str = "STOP", **more: Any) -> Json:
    """What Gemini answers."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, "index": 0, **more}
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-2.5-flash", "responseId": "r"}


def row_of(body: Json | None, key: bytes = b'"a"', error: Json | None = None) -> Json:
    """The row our writer makes of a result line."""
    raw = msgspec.json.encode({"key": 1, "response": body, "error": error})
    found = GeminiEnvelope().read(raw)
    assert found is not None
    return written(judged(found[1], InputLine(1, key, wants_json=False)), key)


def written(found: Answer, key: bytes = b'"a"') -> Json:
    """The row our writer makes of an answer."""
    if found.outcome.is_result:
        row = rows.result_row(found, InputLine(7, key, False), 0, b'"gemini-2.5-flash"')
    else:
        row = rows.error_row(found, InputLine(7, key, False), 0)
    return msgspec.json.decode(row)


def rejection() -> Json:
    """The row of a refused line."""
    return msgspec.json.decode(rows.rejection_row(7, b'"a"', "OUT_OF_RANGE", "/body/n", "Too many.", "Fewer."))


def openai(row: Json, url: str = "/v1/chat/completions") -> Json:
    return msgspec.json.decode(answer(gemini, LineForm.OPENAI, row, url))


def chat(row: Json) -> ChatCompletion:
    return ChatCompletion.model_validate(openai(row)["response"]["body"])


def responded(row: Json) -> Response:
    return Response.model_validate(openai(row, RESPONSES_URL)["response"]["body"])


def message(row: Json) -> Any:
    return MessageBatchIndividualResponse.model_validate_json(answer(gemini, LineForm.ANTHROPIC, row)).result


# ---------------------------------------------------------------------------------------------------- OpenAI
def test_a_text_is_a_chat_completion_with_true_usage() -> None:
    line = openai(row_of(response(THOUGHT, {"text": "Hel"}, {"text": "lo"})))
    assert (line["custom_id"], line["error"], line["response"]["status_code"]) == ("a", None, 200)
    found = ChatCompletion.model_validate(line["response"]["body"])
    assert found.choices[0].message.content == "Hello"
    assert (found.choices[0].finish_reason, found.model, found.created) == ("stop", "gemini-2.5-flash", 0)
    usage = found.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 40, 140)
    assert usage.prompt_tokens_details.cached_tokens == 60
    assert usage.completion_tokens_details.reasoning_tokens == 29


def test_a_call_is_a_tool_call() -> None:
    choice = chat(row_of(response(CALL))).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    call = choice.message.tool_calls[0]
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("find", '{"q":1}')
    assert call.id.startswith("call_")


@pytest.mark.parametrize(("reason", "expected"), [("MAX_TOKENS", "length"), ("SAFETY", "content_filter")])
def test_an_answer_that_was_stopped_says_why(reason: str, expected: str) -> None:
    assert chat(row_of(response({"text": "Hel"}, reason=reason))).choices[0].finish_reason == expected


def test_a_blocked_prompt_is_a_refusal() -> None:
    choice = chat(row_of({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE})).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("content_filter", None)
    assert choice.message.refusal


def test_several_candidates_are_several_choices() -> None:
    body = response({"text": "a"})
    body["candidates"].append({"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP", "index": 1})
    assert [(choice.index, choice.message.content) for choice in chat(row_of(body)).choices] == [(0, "a"), (1, "b")]


def test_probabilities_of_tokens_come_along() -> None:
    token = {"token": "é", "tokenId": 1, "logProbability": -0.5}
    logprobs = {"chosenCandidates": [token], "topCandidates": [{"candidates": [token]}]}
    found = chat(row_of(response({"text": "é"}, logprobsResult=logprobs))).choices[0].logprobs
    assert found is not None
    assert found.content is not None
    assert (found.content[0].token, found.content[0].logprob, found.content[0].bytes) == ("é", -0.5, [195, 169])
    assert found.content[0].top_logprobs[0].logprob == -0.5


def test_a_response_holds_reasoning_text_and_calls() -> None:
    found = responded(row_of(response(THOUGHT, {"text": "Hello"}, CALL)))
    assert [item.type for item in found.output] == ["reasoning", "message", "function_call"]
    assert (found.output_text, found.status, found.created_at) == ("Hello", "completed", 0)
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (100, 40, 140)
    assert found.usage.input_tokens_details.cached_tokens == 60
    assert found.usage.output_tokens_details.reasoning_tokens == 29


def test_a_response_that_was_cut_off_is_incomplete() -> None:
    found = responded(row_of(response({"text": "Hel"}, reason="MAX_TOKENS")))
    assert found.status == "incomplete"
    assert found.incomplete_details is not None
    assert found.incomplete_details.reason == "max_output_tokens"


def test_an_embedding_is_a_list_of_one() -> None:
    row = row_of({"tokenCount": "3", "embedding": {"values": [0.5, -0.25]}})
    found = CreateEmbeddingResponse.model_validate(openai(row, EMBEDDINGS_URL)["response"]["body"])
    assert (found.data[0].embedding, found.usage.prompt_tokens) == ([0.5, -0.25], 3)
    assert found.model == "gemini-2.5-flash"


def test_a_rejection_is_an_invalid_request() -> None:
    line = openai(rejection())
    assert line["response"]["status_code"] == 400
    error = line["response"]["body"]["error"]
    assert error == {
        "message": "Too many.",
        "type": "invalid_request_error",
        "param": "/body/n",
        "code": "out_of_range",
    }


@pytest.mark.parametrize(("number", "status"), [(3, 400), (8, 429), (7, 403), (14, 503)])
def test_an_error_of_the_provider_keeps_its_status(number: int, status: int) -> None:
    line = openai(row_of(None, error={"code": number, "message": "No."}))
    assert (line["response"]["status_code"], line["error"]) == (status, None)
    assert line["response"]["body"]["error"]["message"] == "No."


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (missing("BATCH_EXPIRED", "Late."), "batch_expired"),
        (missing("CANCELLED", "Stopped."), "batch_cancelled"),
        (missing("NO_ANSWER", "Lost."), "no_answer"),
        (Answer(Outcome.EMPTY, "NO_CANDIDATE", "Nothing."), "no_candidate"),
    ],
)
def test_a_line_without_an_answer_has_an_error_and_no_response(found: Answer, code: str) -> None:
    line = openai(written(found))
    assert line["response"] is None
    assert line["error"]["code"] == code


@pytest.mark.parametrize(("key", "custom_id"), [(b'"a"', "a"), (b"12", "12"), (b"null", "line-7")])
def test_every_line_has_a_custom_id(key: bytes, custom_id: str) -> None:
    assert openai(row_of(response({"text": "x"}), key))["custom_id"] == custom_id


# ------------------------------------------------------------------------------------------------- Anthropic
def test_a_text_is_a_message_with_true_usage() -> None:
    found = message(row_of(response(THOUGHT, {"text": "Hello"}, CALL)))
    assert found.type == "succeeded"
    thinking, text, use = found.message.content
    assert isinstance(thinking, ThinkingBlock)
    assert (thinking.thinking, thinking.signature) == ("Hm.", "c2ln")
    assert isinstance(text, TextBlock)
    assert text.text == "Hello"
    assert isinstance(use, ToolUseBlock)
    assert (use.name, use.input) == ("find", {"q": 1})
    assert found.message.stop_reason == "tool_use"
    usage = found.message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (40, 60, 40)
    assert usage.output_tokens_details.thinking_tokens == 29


@pytest.mark.parametrize(
    ("reason", "expected"), [("STOP", "end_turn"), ("MAX_TOKENS", "max_tokens"), ("SAFETY", "refusal")]
)
def test_a_message_says_why_it_stopped(reason: str, expected: str) -> None:
    assert message(row_of(response({"text": "Hel"}, reason=reason))).message.stop_reason == expected


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (rejection(), "invalid_request_error"),
        (row_of(None, error={"code": 8, "message": "No."}), "rate_limit_error"),
        (row_of(None, error={"code": 13, "message": "No."}), "api_error"),
        (written(missing("NO_ANSWER", "Lost.")), "api_error"),
    ],
)
def test_a_failure_is_errored_with_its_kind(row: Json, kind: str) -> None:
    found = message(row)
    assert (found.type, found.error.error.type) == ("errored", kind)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (written(missing("BATCH_EXPIRED", "Late.")), "expired"),
        (row_of(None, error={"code": 4, "message": "Deadline."}), "expired"),
        (written(missing("CANCELLED", "Stopped.")), "canceled"),
        (written(missing("BATCH_CANCELLED", "Stopped.")), "canceled"),
    ],
)
def test_a_request_that_never_ran_expired_or_was_canceled(row: Json, expected: str) -> None:
    assert message(row).type == expected


# ---------------------------------------------------------------------------------------------------- Gemini
def test_gemini_gets_its_own_form_back() -> None:
    body = response({"text": "Hello"})
    assert msgspec.json.decode(answer(gemini, LineForm.GEMINI, row_of(body))) == {"key": "a", "response": body}
    assert msgspec.json.decode(answer(gemini, LineForm.GEMINI_BODY, row_of(body))) == {
        "custom_id": "a",
        "response": body,
    }
    failed = msgspec.json.decode(answer(gemini, LineForm.GEMINI, row_of(None, error={"code": 8, "message": "No."})))
    assert failed == {"key": "a", "error": {"code": 8, "message": "PROVIDER_RESOURCE_EXHAUSTED: No."}}
    assert msgspec.json.decode(answer(gemini, LineForm.GEMINI, rejection()))["error"]["code"] == 3


def test_a_record_gets_the_row() -> None:
    row = row_of(response({"text": "Hello"}))
    assert msgspec.json.decode(answer(gemini, LineForm.RECORDS, row)) == row


# ------------------------------------------------------------------------------------------------ round trip
@pytest.mark.parametrize("dialect", [LineForm.OPENAI, LineForm.ANTHROPIC])
def test_every_line_of_a_sample_comes_back_as_one_line_its_vendor_reads(dialect: LineForm) -> None:
    answered = 0
    for number, line in enumerate(lines(dialect, 500), 1):
        found = translate(gemini, dialect, line)
        key = key_of(dialect, line)
        if isinstance(found, Problem):
            row = msgspec.json.decode(
                rows.rejection_row(number, key, found.code, found.pointer, found.message, found.advice())
            )
        else:
            assert isinstance(found, Translated)
            assert found.key == key
            row = row_of(response({"text": f"Answer {number}"}), key)
        if dialect is LineForm.ANTHROPIC:
            parsed = MessageBatchIndividualResponse.model_validate_json(answer(gemini, dialect, row))
            assert parsed.custom_id == f"ticket-{number}"
            answered += parsed.result.type == "succeeded"
        else:
            result = openai(row)
            assert result["custom_id"] == f"ticket-{number}"
            if result["response"]["status_code"] == 200:
                assert ChatCompletion.model_validate(result["response"]["body"]).choices[0].message.content
                answered += 1
    assert answered == 495


def test_ids_differ_from_line_to_line_and_stay_the_same_when_written_again() -> None:
    row = row_of(response({"text": "Hello"}))
    assert openai(row)["id"] == openai(row)["id"]
    assert openai(row)["id"] != openai(row | {"line": 8})["id"]
