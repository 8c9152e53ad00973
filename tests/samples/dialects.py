"""Real-looking batch files in every dialect: support tickets, translations, tool calls, images, structured answers.

Every 50th line has something the translation warns of, every 100th something it must refuse; the rest is plain.
The same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from batchdrop.dialects.line import LineForm

Json = dict[str, Any]
PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_TICKETS: Final = (
    "My parcel {n} was due on Monday and has not arrived. Where is it?",
    "I was charged twice for order {n}. Please refund one payment.",
    "Ich kann mich seit gestern nicht mehr anmelden, Kundennummer {n}.",
    "La bouilloire de la commande {n} est arrivée abîmée, que faire ?",
    "Great service, thank you! Order {n} came a day early.",
    "¿Puedo devolver el pedido {n} si ya abrí la caja?",
    "The app says “error {n}” whenever I open my invoices.",
    "注文{n}の配送先を変更したいのですが。",
)
_TEXTS: Final = (
    "Item {n}: press the button twice and wait for the green light.",
    "Warranty card no. {n} must be kept for two years.",
    "Do not wash article {n} above 30 °C.",
)
_SCHEMA: Final[Json] = {
    "type": "object",
    "properties": {
        "category": {"type": "string", "enum": ["billing", "delivery", "return", "technical", "praise"]},
        "urgent": {"type": "boolean"},
        "summary": {"type": "string"},
    },
    "required": ["category", "urgent", "summary"],
    "additionalProperties": False,
}
_LOOKUP: Final[Json] = {
    "type": "object",
    "properties": {"order": {"type": "string", "description": "The order's number"}},
    "required": ["order"],
}
_SORT: Final = "You sort support tickets of a mail order house. Answer in JSON."
_TRANSLATE: Final = "Translate into French. Keep numbers as they are."


@dataclass(frozen=True, slots=True)
class Sample:
    """What was written: how many lines, and the numbers of those to be warned of and to be refused."""

    lines: int
    warned: tuple[int, ...]
    refused: tuple[int, ...]


def write_sample(dialect: LineForm, path: Path, count: int = 500) -> Sample:
    """Write a file of `count` lines in a dialect."""
    with path.open("wb") as out:
        for line in lines(dialect, count):
            out.write(line + b"\n")
    numbers = range(1, count + 1)
    warns = dialect in (LineForm.OPENAI, LineForm.ANTHROPIC)
    warned = tuple(n for n in numbers if n % 50 == 7) if warns else ()
    return Sample(count, warned, tuple(n for n in numbers if n % 100 == 13 and dialect is not LineForm.RECORDS))


def lines(dialect: LineForm, count: int) -> Iterator[bytes]:
    """Yield the lines of a sample, without newlines."""
    for number in range(1, count + 1):
        yield msgspec.json.encode(_MAKERS[dialect](number))


def _ticket(number: int) -> str:
    return _TICKETS[number % len(_TICKETS)].format(n=10_000 + number)


def _text(number: int) -> str:
    return _TEXTS[number % len(_TEXTS)].format(n=number)


# ---------------------------------------------------------------------------------------------------- Gemini
def _gemini_request(number: int) -> Json:
    if number % 100 == 13:
        return {"contents": [{"role": "user", "parts": [{"text": _ticket(number)}]}], "temperature": 0.2}
    parts: list[Json] = [{"text": _ticket(number)}]
    if number % 10 == 4:
        parts.insert(0, {"inlineData": {"mimeType": "image/png", "data": PNG}})
    request: Json = {"contents": [{"role": "user", "parts": parts}], "systemInstruction": {"parts": [{"text": _SORT}]}}
    if number % 3 == 0:
        request["generationConfig"] = {"responseMimeType": "application/json", "responseJsonSchema": _SCHEMA}
    return request


def _gemini(number: int) -> Json:
    return {"key": f"ticket-{number}", "request": _gemini_request(number)}


def _gemini_body(number: int) -> Json:
    url = "/v1beta/models/gemini-2.5-flash:generateContent"
    return {"custom_id": f"ticket-{number}", "method": "POST", "url": url, "body": _gemini_request(number)}


# ---------------------------------------------------------------------------------------------------- OpenAI
def _openai(number: int) -> Json:
    body: Json = {"model": "gpt-4o-mini", **_CHATS[number % len(_CHATS)](number)}
    if number % 50 == 7:
        body |= {"user": "crm-export", "service_tier": "flex"}
    if number % 100 == 13:
        body["logit_bias"] = {"9820": 100}
    return {"custom_id": f"ticket-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def _chat_ticket(number: int) -> Json:
    form = {"type": "json_schema", "json_schema": {"name": "ticket", "strict": True, "schema": _SCHEMA}}
    messages = [{"role": "system", "content": _SORT}, {"role": "user", "content": _ticket(number)}]
    return {"messages": messages, "response_format": form, "temperature": 0}


def _chat_translation(number: int) -> Json:
    messages = [
        {"role": "developer", "content": _TRANSLATE},
        {"role": "user", "content": "Good morning"},
        {"role": "assistant", "content": "Bonjour"},
        {"role": "user", "content": _text(number)},
    ]
    return {"messages": messages, "max_tokens": 2048, "stop": ["\n\n"], "seed": number}


def _chat_tool(number: int) -> Json:
    arguments = msgspec.json.encode({"order": str(number)}).decode()
    call = {"id": f"call_{number}", "type": "function", "function": {"name": "find_order", "arguments": arguments}}
    tool = {"name": "find_order", "description": "Find an order by its number.", "parameters": _LOOKUP}
    messages: list[Json] = [
        {"role": "user", "content": _ticket(number)},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call_{number}", "content": '{"state": "in transit"}'},
    ]
    return {"messages": messages, "tools": [{"type": "function", "function": tool}], "tool_choice": "auto"}


def _chat_image(number: int) -> Json:
    content: list[Json] = [
        {"type": "text", "text": f"What is broken on photo {number}?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    return {"messages": [{"role": "user", "content": content}], "max_completion_tokens": 4096, "top_p": 0.9}


_CHATS: Final[tuple[Callable[[int], Json], ...]] = (_chat_ticket, _chat_translation, _chat_tool, _chat_image)


# ------------------------------------------------------------------------------------------------- Anthropic
def _anthropic(number: int) -> Json:
    params: Json = {"model": "claude-sonnet-4-5", "max_tokens": 4096, **_MESSAGES[number % len(_MESSAGES)](number)}
    if number % 50 == 7:
        cached = {"type": "text", "text": _SORT, "cache_control": {"type": "ephemeral"}}
        params |= {"system": [cached], "metadata": {"user_id": "crm-export"}}
    if number % 100 == 13:
        params["messages"] = [*params["messages"], {"role": "assistant", "content": "{"}]
    return {"custom_id": f"ticket-{number}", "params": params}


def _message_ticket(number: int) -> Json:
    form = {"type": "json_schema", "schema": _SCHEMA}
    messages = [{"role": "user", "content": _ticket(number)}]
    return {"system": _SORT, "messages": messages, "output_config": {"format": form}, "temperature": 0}


def _message_translation(number: int) -> Json:
    messages = [
        {"role": "user", "content": "Good morning"},
        {"role": "assistant", "content": [{"type": "text", "text": "Bonjour"}]},
        {"role": "user", "content": _text(number)},
    ]
    return {"system": _TRANSLATE, "messages": messages, "stop_sequences": ["\n\n"], "top_k": 40}


def _message_tool(number: int) -> Json:
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": "find_order", "input": {"order": str(number)}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "in transit"}
    messages: list[Json] = [
        {"role": "user", "content": _ticket(number)},
        {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, use]},
        {"role": "user", "content": [result]},
    ]
    tool = {"name": "find_order", "description": "Find an order by its number.", "input_schema": _LOOKUP}
    return {"messages": messages, "tools": [tool], "tool_choice": {"type": "auto"}}


def _message_image(number: int) -> Json:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    content: list[Json] = [
        {"type": "image", "source": source},
        {"type": "text", "text": f"What is broken on photo {number}?"},
    ]
    thinking = {"type": "enabled", "budget_tokens": 2048}
    return {"messages": [{"role": "user", "content": content}], "thinking": thinking}


_MESSAGES: Final[tuple[Callable[[int], Json], ...]] = (
    _message_ticket,
    _message_translation,
    _message_tool,
    _message_image,
)


# --------------------------------------------------------------------------------------------------- records
def _record(number: int) -> Json:
    return {"id": number, "subject": f"Ticket {number}", "content": _ticket(number), "channel": "mail"}


_MAKERS: Final[dict[LineForm, Callable[[int], Json]]] = {
    LineForm.GEMINI: _gemini,
    LineForm.GEMINI_BARE: _gemini_request,
    LineForm.GEMINI_BODY: _gemini_body,
    LineForm.OPENAI: _openai,
    LineForm.ANTHROPIC: _anthropic,
    LineForm.RECORDS: _record,
}
