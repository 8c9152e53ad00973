"""The OpenAI-compatible batches: lines in OpenAI's form, answered through the same path as all others.

POST, GET /v1beta/openai/batches     GET /v1beta/openai/batches/{batches/id}     POST …/cancel
Files are not part of it: the input is uploaded, and the output downloaded, as Gemini files (wire facts, section 11).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from batchdrop_local.emulators.gemini.api import Api
from batchdrop_local.emulators.gemini.batches import (
    Batch,
    Input,
    State,
    Wanted,
    has_output,
)
from batchdrop_local.emulators.gemini.lines import joined, lines
from batchdrop_local.emulators.gemini.models import check
from batchdrop_local.emulators.gemini.wire import ApiError
from batchdrop_local.emulators.http import Json

_STATUS: Final = {
    "PENDING": "in_progress",
    "RUNNING": "in_progress",
    "SUCCEEDED": "completed",
    "PARTIALLY_SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
_ENDPOINTS: Final = {"/v1/chat/completions": "generate", "/v1/embeddings": "embed"}


class Create(msgspec.Struct):
    """The body of a create call."""

    input_file_id: str
    endpoint: str = "/v1/chat/completions"
    completion_window: str = "24h"
    metadata: dict[str, str] | None = None


class Message(msgspec.Struct):
    """A chat message."""

    role: str = "user"
    content: Any = ""


class Asked(msgspec.Struct):
    """The body of a line."""

    model: str = ""
    messages: list[Message] = []
    input: Any = None
    max_tokens: int | None = None


class Line(msgspec.Struct):
    """A line of the input."""

    custom_id: str
    body: Asked


def answer(api: Api, method: str, path: str, raw: bytes) -> Json:
    """Do one call on `batches` or `batches/{name}[/cancel]`."""
    _, _, name = path.partition("/")
    if not name:
        return _create(api, raw) if method == "POST" else _listed(api)
    if name.endswith("/cancel"):
        name = name.removesuffix("/cancel")
        api.batches.cancel(name)
    return _resource(
        *api.batches.get(name if name.startswith("batches/") else f"batches/{name}")
    )


def results(api: Api, batch: Batch) -> Iterator[bytes]:
    """Yield the results in OpenAI's form, in pieces of about 1 MiB."""
    _, state = api.batches.get(batch.name)
    return joined(_result(row) for row in api.batches.rows(batch, state))


def _create(api: Api, raw: bytes) -> Json:
    try:
        wanted = msgspec.json.decode(raw, type=Create)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ApiError(400, str(error)) from None
    kind = _ENDPOINTS.get(wanted.endpoint)
    if kind is None:
        raise ApiError(400, f"The endpoint {wanted.endpoint} is not supported.")
    path = api.files.path(wanted.input_file_id)
    model = next((_line(raw).body.model for raw in lines(path)), "").removeprefix(
        "models/"
    )
    check(model, api.models)
    source = Wanted(input_config=Input(file_name=wanted.input_file_id))
    batch = api.batches.create(model, kind, source, converted=_converted(path))
    return _resource(batch, State("PENDING", batch.created))


def _listed(api: Api) -> Json:
    found = [
        _resource(batch, state) for batch, state in api.batches.listed() if batch.openai
    ]
    return {"object": "list", "data": found, "has_more": False}


def _converted(path: Path) -> Iterator[bytes]:
    for raw in lines(path):
        line = _line(raw)
        asked = line.body
        request: Json = {
            "contents": [
                {"role": item.role, "parts": _parts(item)} for item in asked.messages
            ]
        }
        if asked.max_tokens:
            request["generationConfig"] = {"maxOutputTokens": asked.max_tokens}
        if asked.input is not None:
            request = {"content": {"parts": [{"text": str(asked.input)}]}}
        yield msgspec.json.encode({"key": line.custom_id, "request": request})


def _parts(message: Message) -> list[Json]:
    if isinstance(message.content, str):
        return [{"text": message.content}]
    parts = msgspec.convert(message.content, list[dict[str, Any]])
    return [{"text": str(part.get("text", ""))} for part in parts]


def _line(raw: bytes) -> Line:
    try:
        return msgspec.json.decode(raw, type=Line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ApiError(
            400, f"The input file is not in OpenAI's batch form. {error}"
        ) from None


def _result(raw: bytes) -> bytes:
    row = msgspec.json.decode(raw, type=Json)
    if "error" in row:
        return (
            msgspec.json.encode(
                {"custom_id": row["key"], "response": None, "error": row["error"]}
            )
            + b"\n"
        )
    response: Json = row["response"]
    body = _completion(response) if "embedding" not in response else _vector(response)
    inner = {"status_code": 200, "body": body}
    return (
        msgspec.json.encode({"custom_id": row["key"], "response": inner, "error": None})
        + b"\n"
    )


def _completion(response: Json) -> Json:
    candidates: list[Json] = response.get("candidates") or [{}]
    content: Json = candidates[0].get("content") or {}
    parts: list[Json] = content.get("parts") or []
    text = "".join(str(part.get("text", "")) for part in parts)
    usage: Json = response["usageMetadata"]
    cut = candidates[0].get("finishReason") == "MAX_TOKENS"
    message = {"role": "assistant", "content": text}
    return {
        "object": "chat.completion",
        "model": response.get("modelVersion"),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "length" if cut else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": usage.get("promptTokenCount", 0),
            "completion_tokens": usage.get("candidatesTokenCount", 0),
            "total_tokens": usage.get("totalTokenCount", 0),
        },
    }


def _vector(response: Json) -> Json:
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": 0,
                "embedding": response["embedding"]["values"],
            }
        ],
    }


def _resource(batch: Batch, state: State) -> Json:
    tally, done = batch.tally, has_output(batch, state)
    return {
        "id": batch.name,
        "object": "batch",
        "endpoint": "/v1/embeddings"
        if batch.kind == "embed"
        else "/v1/chat/completions",
        "completion_window": "24h",
        "created_at": int(batch.created),
        "status": _STATUS.get(state.word, "in_progress"),
        "output_file_id": batch.output if done else None,
        "request_counts": {
            "total": tally.requests,
            "completed": tally.requests - tally.failed if done else 0,
            "failed": tally.failed if done else 0,
        },
    }
