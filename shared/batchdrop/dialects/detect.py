"""Which dialect a file is in, told from its first lines.

A line votes by the fields that make a form what it is; the most votes win, the earlier line on a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec

from batchdrop.dialects.dialect import Json, LineForm

LOOKED_AT: Final = 64
"""Lines that are looked at; a file is in one dialect, so a few would do."""


def detect(lines: Iterable[bytes]) -> LineForm | None:
    """Return the dialect of a file from its first lines; None when none of them is a JSON object. Never raises."""
    votes: Counter[LineForm] = Counter()
    seen = 0
    for raw in lines:
        if not raw.strip():
            continue
        found = _vote(raw)
        if found is not None:
            votes[found] += 1
        seen += 1
        if seen == LOOKED_AT:
            break
    return votes.most_common(1)[0][0] if votes else None


def form_of(line: Json) -> LineForm:
    """Return the dialect one decoded line is in."""
    if isinstance(line.get("request"), dict):
        return LineForm.GEMINI
    if "custom_id" in line and isinstance(line.get("params"), dict):
        return LineForm.ANTHROPIC
    body = line.get("body")
    if isinstance(body, dict) and not line.keys().isdisjoint(
        ("custom_id", "url", "method")
    ):
        return (
            LineForm.GEMINI_BODY if _is_gemini(cast("Json", body)) else LineForm.OPENAI
        )
    return LineForm.GEMINI_BARE if _is_gemini(line) else LineForm.RECORDS


def _vote(raw: bytes) -> LineForm | None:
    try:
        line = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return form_of(cast("Json", line)) if isinstance(line, dict) else None


def _is_gemini(body: Json) -> bool:
    """True when an object asks as Gemini is asked; a record may have a text in a field of the same name."""
    contents: Any = body.get("contents")
    if isinstance(contents, list):
        contents = contents[0] if contents else None  # pyright: ignore[reportUnknownVariableType]
    content = contents or body.get("content")  # pyright: ignore[reportUnknownVariableType]
    return isinstance(content, dict) and "parts" in content
