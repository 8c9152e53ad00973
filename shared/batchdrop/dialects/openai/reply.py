"""Answers in OpenAI's words: a line of a batch's output or error file.

    answered, truncated, blocked    response with status 200 and a body for the address that was asked
    rejected, refused by Gemini     response with that status and an error body
    never answered                  no response, an error

`created` is 0 and ids come from the row's content, so the same row gives the same bytes. Shapes: openai 3.54.0,
types/chat/chat_completion.py, types/responses/response.py, types/create_embedding_response.py; the line:
platform.openai.com/docs/api-reference/batch/request-output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from batchdrop.dialects.forms import CHAT_URL, EMBEDDINGS_URL, RESPONSES_URL
from batchdrop.dialects.line import Json, LineForm
from batchdrop.dialects.reply import Choice, Fault, Reply, Usage

_encode: Final = msgspec.json.encode


def reply(form: LineForm, row: Json, found: Reply, url: str) -> Json:
    """Return a row as a line of OpenAI's batch output."""
    return {
        "id": f"batch_req_{found.digest}",
        "custom_id": found.custom_id,
        **_halves(found, url),
    }


def _halves(reply: Reply, url: str) -> Json:
    fault = reply.fault
    if fault is None:
        return {
            "response": _response(reply, 200, _BODIES.get(url, _completion)(reply)),
            "error": None,
        }
    if fault.ended or fault.status == 500:
        code = (
            f"batch_{fault.ended}".replace("canceled", "cancelled")
            if fault.ended
            else fault.code.lower()
        )
        return {"response": None, "error": {"code": code, "message": fault.message}}
    return {
        "response": _response(reply, fault.status, {"error": _error(fault)}),
        "error": None,
    }


def _response(reply: Reply, status: int, body: Json) -> Json:
    return {"status_code": status, "request_id": f"req_{reply.digest}", "body": body}


def _error(fault: Fault) -> Json:
    kind = "invalid_request_error" if fault.status in (400, 404, 409) else "api_error"
    return {
        "message": fault.message,
        "type": kind,
        "param": fault.pointer,
        "code": fault.code.lower(),
    }


# ------------------------------------------------------------------------------------------ chat completions
def _completion(reply: Reply) -> Json:
    return {
        "id": f"chatcmpl-{reply.digest}",
        "object": "chat.completion",
        "created": 0,
        "model": reply.model,
        "choices": [
            _choice(choice, index, reply.files)
            for index, choice in enumerate(reply.choices)
        ],
        "usage": {
            "prompt_tokens": reply.usage.prompt,
            "completion_tokens": reply.usage.output,
            "total_tokens": reply.usage.prompt + reply.usage.output,
            "prompt_tokens_details": {"cached_tokens": reply.usage.cached},
            "completion_tokens_details": {"reasoning_tokens": reply.usage.thoughts},
        },
    }


def _choice(choice: Choice, index: int, files: list[Any]) -> Json:
    refusal = (
        "The provider's filter stopped the answer."
        if choice.blocked and choice.text is None
        else None
    )
    message: Json = {"role": "assistant", "content": choice.text, "refusal": refusal}
    if choice.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": _encode(call.arguments).decode(),
                },
            }
            for call in choice.calls
        ]
    if files:
        message["files"] = files
    return {
        "index": index,
        "message": message,
        "logprobs": {"content": _logprobs(choice.logprobs), "refusal": None}
        if choice.logprobs
        else None,
        "finish_reason": _finish(choice),
    }


def _finish(choice: Choice) -> str:
    if choice.reason == "MAX_TOKENS":
        return "length"
    if choice.blocked:
        return "content_filter"
    return "tool_calls" if choice.calls else "stop"


def _logprobs(result: Json) -> list[Json]:
    """Return the chosen tokens with their probabilities and, where asked for, those of their rivals."""
    rivals: list[Json] = result.get("topCandidates") or []
    found: list[Json] = []
    for index, chosen in enumerate(result.get("chosenCandidates") or []):
        others: list[Json] = (
            rivals[index].get("candidates") or [] if index < len(rivals) else []
        )
        found.append(
            {**_token(chosen), "top_logprobs": [_token(other) for other in others]}
        )
    return found


def _token(candidate: Json) -> Json:
    token = str(candidate.get("token", ""))
    return {
        "token": token,
        "logprob": candidate.get("logProbability", 0.0),
        "bytes": list(token.encode()),
    }


# -------------------------------------------------------------------------------------------------- responses
def _answered(reply: Reply) -> Json:
    choice = reply.choices[0] if reply.choices else Choice(None, [], [], "STOP")
    why = (
        "max_output_tokens"
        if choice.reason == "MAX_TOKENS"
        else "content_filter"
        if choice.blocked
        else None
    )
    return {
        "id": f"resp_{reply.digest}",
        "object": "response",
        "created_at": 0,
        "status": "incomplete" if why else "completed",
        "error": None,
        "incomplete_details": {"reason": why} if why else None,
        "instructions": None,
        "metadata": {},
        "model": reply.model,
        "output": _output(choice, reply, "incomplete" if why else "completed"),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _response_usage(reply.usage),
    }


def _output(choice: Choice, reply: Reply, status: str) -> list[Json]:
    items: list[Json] = []
    if choice.thoughts:
        summary = [
            {"type": "summary_text", "text": text} for text, _ in choice.thoughts
        ]
        items.append(
            {"id": f"rs_{reply.digest}", "type": "reasoning", "summary": summary}
        )
    if choice.text is not None or reply.files:
        tokens = _logprobs(choice.logprobs) if choice.logprobs else []
        content = {
            "type": "output_text",
            "text": choice.text or "",
            "annotations": [],
            "logprobs": tokens,
        }
        message = {
            "id": f"msg_{reply.digest}",
            "type": "message",
            "role": "assistant",
            "status": status,
        }
        items.append(
            {**message, "content": [content]}
            | ({"files": reply.files} if reply.files else {})
        )
    items += [
        {
            "id": f"fc_{reply.digest}{index}",
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": _encode(call.arguments).decode(),
            "status": "completed",
        }
        for index, call in enumerate(choice.calls)
    ]
    return items


def _response_usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thoughts},
        "total_tokens": usage.prompt + usage.output,
    }


# ------------------------------------------------------------------------------------------------- embeddings
def _embeddings(reply: Reply) -> Json:
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": reply.embedding or []}
        ],
        "model": reply.model,
        "usage": {
            "prompt_tokens": reply.usage.prompt,
            "total_tokens": reply.usage.prompt,
        },
    }


_BODIES: Final[dict[str, Callable[[Reply], Json]]] = {
    CHAT_URL: _completion,
    RESPONSES_URL: _answered,
    EMBEDDINGS_URL: _embeddings,
}
