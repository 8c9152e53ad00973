"""What a hostile case is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """An upload, the recipe beside it, and what the model answers to its lines."""

    name: str
    make: Callable[[], bytes]
    suffix: str = ".jsonl"
    recipe: bytes = b""
    answer: Callable[[], str] | None = None


def line(**fields: Any) -> bytes:
    """Return an upload of one line."""
    return json.dumps(fields).encode() + b"\n"


def asked(config: dict[str, Any]) -> bytes:
    """Return an upload of one request with these generation settings."""
    request = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config}
    return line(key="k", request=request)
