"""Uploads of other kinds than short native lines: shared instructions, media, OpenAI's lines, a CSV with a recipe.

A number in front of what is said makes each line another one; the rest is the same text, so that making them is cheap.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.bench.data import MB

MARK = b"00000000"
SAYS = "00000000. The order arrived late and the box was open. Please refund the amount or send it again."
RULES = "You sort tickets of a shop. Read the whole ticket, think of what the customer wants, then name one kind. " * 15
SCHEMA = {"type": "OBJECT", "properties": {"kind": {"type": "STRING"}, "urgent": {"type": "BOOLEAN"}}}
PICTURE = base64.b64encode(bytes(range(256)) * 12).decode()
RECIPE = b'model: gemini-2.5-flash-lite\nkey: id\nprompt: "Which kind of ticket is this? {{ text }}"\n'


@dataclass(frozen=True, slots=True)
class Kind:
    """A form of upload; `line` holds MARK wherever the number of the line goes."""

    name: str
    object: str
    line: bytes
    head: bytes = b""
    recipe: bytes = b""

    def upload(self, size: int) -> Iterator[bytes]:
        """Yield an upload of about `size` bytes in chunks of about 1 MB."""
        yield self.head
        numbers = iter(range(1, size // len(self.line) + 2))
        while some := list(itertools.islice(numbers, MB // len(self.line) + 1)):
            yield b"".join([self.line.replace(MARK, b"%08d" % number) for number in some])


def _native(parts: list[dict[str, Any]], **more: Any) -> bytes:
    request = {"contents": [{"role": "user", "parts": parts}], **more}
    return _json({"key": MARK.decode(), "request": request})


def _json(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _openai() -> bytes:
    messages = [{"role": "system", "content": RULES[:200]}, {"role": "user", "content": SAYS}]
    body = {"model": "gemini-2.5-flash-lite", "messages": messages, "max_tokens": 256}
    return _json({"custom_id": MARK.decode(), "method": "POST", "url": "/v1/chat/completions", "body": body})


SHARED = Kind(
    "shared instructions",
    "bench/shared.jsonl",
    _native(
        [{"text": SAYS}],
        systemInstruction={"parts": [{"text": RULES}]},
        generationConfig={"responseMimeType": "application/json", "responseSchema": SCHEMA},
    ),
)
MEDIA = Kind(
    "media",
    "bench/media.jsonl",
    _native([{"inlineData": {"mimeType": "image/png", "data": PICTURE}}, {"text": SAYS}]),
)
OPENAI = Kind("OpenAI", "bench/openai.jsonl", _openai())
CSV = Kind(
    "CSV with a recipe",
    "tables/tickets.csv",
    b"%b,%b\n" % (MARK, SAYS.replace(",", " ").encode()),
    head=b"id,text\n",
    recipe=RECIPE,
)
NATIVE: tuple[Kind, ...] = (SHARED, MEDIA)
KINDS: tuple[Kind, ...] = (SHARED, MEDIA, OPENAI, CSV)
