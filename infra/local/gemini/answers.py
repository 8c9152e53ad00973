"""Answers: a pure function of model and request, plausible and cheap, conforming to the schema if there is one.

Token counts are characters / 4, rounded up; the total is the sum of the parts, cached tokens are inside the prompt's.
"""

# JSON of any shape passes through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false

from __future__ import annotations

import base64
import json
import math
import random
import re
import struct
import zlib
from functools import lru_cache
from typing import Any, Final

import msgspec

from infra.local.gemini.requests import Request, either, number, plain

TEXTS: Final = (
    "Thank you for writing to us. We have checked your case and taken the next step.",
    "We are sorry for the trouble. Your request has been passed to the team in charge, and we will confirm by e-mail.",
    "Good news: this can be solved quickly. Please follow the link we have just sent, then try once more.",
    "Thanks for the kind words! We have shared them with everyone here, and they made our day.",
)
_HINTS: Final = (
    ("billing", r"charged|refund|invoice|abgebucht|facture|fattura|pagu|EUR|€"),
    ("delivery", r"parcel|arrive|depot|Paket|colis|pedido|Paczka|届"),
    ("returns", r"return|zurückschicken|devolver|size"),
    ("technical", r"switch|crash|cierra|電源|socket|abîmé"),
    ("account", r"log in|compte|account|password"),
    ("praise", r"brilliant|great|merci|wonderful"),
)
IMAGE_TOKENS: Final = 1290
MEDIA_TOKENS: Final = 258
MAX_DEPTH: Final = 12
VECTORS: Final = 64


def tokens(text: str) -> int:
    """Count the tokens of a text."""
    return -(-len(text) // 4)


def prompt_tokens(request: Request) -> tuple[int, int]:
    """Count text tokens and media tokens of a request."""
    text = media = 0
    for part in request.parts():
        if part.text:
            text += tokens(part.text)
        elif either(part.inlineData, part.inline_data) or either(part.fileData, part.file_data):
            media += MEDIA_TOKENS
    return text, media


def answer_text(request: Request, digest: int, text: str) -> str:
    """Return the text of the answer."""
    config = request.config
    schema = either(config.responseJsonSchema, config.response_json_schema)
    schema = schema or either(config.responseSchema, config.response_schema)
    if schema is not None:
        value = conforming(_schema(schema), text, digest)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    mime = config.responseMimeType or config.response_mime_type
    if mime == "application/json":
        return json.dumps({"answer": TEXTS[digest % len(TEXTS)]})
    return TEXTS[digest % len(TEXTS)]


@lru_cache(maxsize=256)
def _schema(raw: bytes) -> dict[str, Any]:
    decoded: Any = msgspec.json.decode(raw)
    return decoded if isinstance(decoded, dict) else {}


def conforming(schema: dict[str, Any], text: str, digest: int) -> Any:
    """Return a value that conforms to an OpenAPI or JSON schema."""
    definitions: dict[str, Any] = schema.get("$defs") or schema.get("definitions") or schema.get("defs") or {}
    return _value(schema, text, digest, definitions, 0)


def _value(schema: Any, text: str, digest: int, definitions: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    if reference := schema.get("$ref") or schema.get("ref"):
        return _value(definitions.get(str(reference).rsplit("/", 1)[-1]), text, digest, definitions, depth + 1)
    if "enum" in schema:
        return _choice(schema["enum"], text, digest)
    if "const" in schema:
        return schema["const"]
    for word in ("anyOf", "any_of", "oneOf"):
        if schema.get(word):
            return _value(schema[word][0], text, digest, definitions, depth + 1)
    kind = schema.get("type")
    kind = next((item for item in kind if str(item).lower() != "null"), "null") if isinstance(kind, list) else kind
    name = str(kind or ("object" if "properties" in schema else "string")).lower()
    if name == "object":
        return _object(schema, text, digest, definitions, depth)
    if name == "array":
        count = max(int(schema.get("minItems") or schema.get("min_items") or 1), 1)
        item = schema.get("items") or {}
        return [_value(item, text, digest + n, definitions, depth + 1) for n in range(count)]
    return _scalar(name, schema, text, digest)


def _object(schema: dict[str, Any], text: str, digest: int, definitions: dict[str, Any], depth: int) -> dict[str, Any]:
    properties: dict[str, Any] = schema.get("properties") or {}
    required = set(schema.get("required") or properties)
    chosen = [name for name in properties if name in required or depth < 3]
    return {
        name: _value(properties[name], text, digest + index, definitions, depth + 1)
        for index, name in enumerate(chosen)
    }


def _scalar(name: str, schema: dict[str, Any], text: str, digest: int) -> Any:
    if name == "boolean":
        return bool(re.search(r"urgent|pilny|twice|doppelt|!", text)) if text else digest % 2 == 0
    if name in ("integer", "number"):
        found = re.search(r"\d+(?:\.\d+)?", text)
        value: float = float(found[0]) if found else digest % 100
        value = max(value, float(schema.get("minimum", -math.inf)))
        value = min(value, float(schema.get("maximum", math.inf)))
        return int(value) if name == "integer" else value
    if name == "null":
        return None
    return _string(schema, text, digest)


def _string(schema: dict[str, Any], text: str, digest: int) -> str:
    form = str(schema.get("format") or "")
    if form in ("date-time", "date"):
        return "2026-11-20" + ("T12:00:00Z" if form == "date-time" else "")
    words = re.findall(r"[^\W_]{4,}", text) or ["answer"]
    value = words[digest % len(words)]
    shortest = int(schema.get("minLength") or 0)
    value = value.ljust(shortest, "x")
    return value[: int(schema.get("maxLength") or len(value))]


def _choice(options: list[Any], text: str, digest: int) -> Any:
    """Choose by what the text is about, else by hash."""
    names = {str(option).lower(): option for option in options}
    for label, pattern in _HINTS:
        if label in names and re.search(pattern, text):
            return names[label]
    return options[digest % len(options)]


@lru_cache(maxsize=64)
def vectors(dimensions: int) -> tuple[bytes, ...]:
    """Return unit vectors as JSON arrays."""
    found: list[bytes] = []
    for index in range(VECTORS):
        random_ = random.Random(index)
        values = [random_.gauss(0, 1) for _ in range(dimensions)]
        norm = math.sqrt(sum(value * value for value in values)) or 1.0
        found.append(b"[" + b",".join(b"%.8f" % (value / norm) for value in values) + b"]")
    return tuple(found)


@lru_cache(maxsize=16)
def image(digest: int, kib: int) -> bytes:
    """Return a valid PNG as base64, about so large."""
    side = max(8, int(math.sqrt(kib * 1024 / 3))) if kib else 8
    random_ = random.Random(digest)
    noise = random_.randbytes(side * side * 3) if kib else bytes([digest % 256, 90, 160]) * (side * side)
    rows = b"".join(b"\0" + noise[row * side * 3 : (row + 1) * side * 3] for row in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 1)) + _chunk(b"IEND", b"")
    )
    return base64.b64encode(png)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def wants_image(request: Request, model: str) -> bool:
    """Tell whether the answer is an image."""
    modalities = request.config.responseModalities or request.config.response_modalities or []
    return "-image" in model or any(str(item).upper() == "IMAGE" for item in modalities)


def thought_tokens(request: Request, digest: int) -> int:
    """Count the tokens of thoughts: none unless a thinking configuration asks for them."""
    config: dict[str, Any] | None = plain(either(request.config.thinkingConfig, request.config.thinking_config))
    if not config:
        return 0
    budget = config.get("thinkingBudget", config.get("thinking_budget", -1))
    wanted = 20 + digest % 200
    return wanted if int(budget) < 0 else min(wanted, int(budget))


def output_limit(request: Request) -> int | None:
    """Return maxOutputTokens."""
    return number(request.config.maxOutputTokens or request.config.max_output_tokens)
