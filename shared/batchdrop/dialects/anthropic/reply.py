"""Answers in Anthropic's words: a line of a message batch's results.

    answered, truncated, blocked   succeeded, with a message (stop_reason end_turn, tool_use, max_tokens, refusal)
    never run                      expired or canceled
    all else                       errored

Ids come from the row's content, so the same row gives the same bytes. Input tokens are without the cached ones, which
are counted apart, as Anthropic counts. Shapes: anthropic 2.12.0, types/message.py,
types/messages/message_batch_individual_response.py.
"""

from __future__ import annotations

from typing import Final

from batchdrop.dialects.line import Json, LineForm
from batchdrop.dialects.reply import Choice, Fault, Reply

_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""docs.anthropic.com/en/api/errors; the others are api_error."""


def reply(form: LineForm, row: Json, found: Reply, url: str) -> Json:
    """Return a row as a line of Anthropic's batch results."""
    return {"custom_id": found.custom_id, "result": _result(found)}


def _result(reply: Reply) -> Json:
    if reply.fault is None:
        return {"type": "succeeded", "message": _message(reply)}
    if reply.fault.ended:
        return {"type": reply.fault.ended}
    return {"type": "errored", "error": _error(reply.fault, reply.digest)}


def _error(fault: Fault, digest: str) -> Json:
    where = f" ({fault.pointer})" if fault.pointer else ""
    error = {
        "type": _ERRORS.get(fault.status, "api_error"),
        "message": f"{fault.code}: {fault.message}{where}",
    }
    return {"type": "error", "error": error, "request_id": f"req_{digest}"}


def _message(reply: Reply) -> Json:
    choice = reply.choices[0] if reply.choices else Choice(None, [], [], "STOP")
    usage = reply.usage
    return {
        "id": f"msg_{reply.digest}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": _content(choice),
        "stop_reason": _stop(choice),
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage.prompt - usage.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached,
            "output_tokens": usage.output,
            "output_tokens_details": {"thinking_tokens": usage.thoughts},
            "service_tier": "batch",
        },
    } | ({"files": reply.files} if reply.files else {})


def _content(choice: Choice) -> list[Json]:
    blocks: list[Json] = [
        {"type": "thinking", "thinking": text, "signature": signature}
        for text, signature in choice.thoughts
    ]
    if choice.text is not None:
        blocks.append({"type": "text", "text": choice.text})
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in choice.calls
    ]
    return blocks


def _stop(choice: Choice) -> str:
    if choice.reason == "MAX_TOKENS":
        return "max_tokens"
    if choice.blocked:
        return "refusal"
    return "tool_use" if choice.calls else "end_turn"
