"""Rows that Gemini answered, in neutral words; and rows in Gemini's own words.

Token counts: candidates do not include thoughts, the prompt includes what was cached
(ai.google.dev/gemini-api/docs/tokens; real output in the wire facts: 8 + 11 + 829 = 848).
"""

from __future__ import annotations

from typing import Any

from batchdrop.dialects.gemini.answer import BLOCKED
from batchdrop.dialects.line import Json, LineForm
from batchdrop.dialects.reply import (
    Call,
    Choice,
    Reply,
    Said,
    Usage,
    list_of,
    object_of,
)


def said(row: Json, digest: str) -> Said:
    """Return what the answer in a row says; ids that it lacks begin with the digest."""
    response = object_of(row.get("response"))
    counts = object_of(row.get("usage") or response.get("usageMetadata"))
    return Said(
        model=str(response.get("modelVersion") or ""),
        usage=_usage(counts, response),
        choices=_choices(response, digest, blocked=row.get("outcome") == "blocked"),
        embedding=object_of(response.get("embedding")).get("values"),
    )


def _choices(response: Json, digest: str, *, blocked: bool) -> list[Choice]:
    """Return the candidates; a blocked prompt has none and gets one that says so."""
    candidates = [object_of(each) for each in list_of(response.get("candidates"))]
    found = [_choice(each, f"{digest}{at}") for at, each in enumerate(candidates)]
    if blocked and not found:
        return [Choice(None, [], [], "SAFETY", blocked=True)]
    return found


def _choice(candidate: Json, stem: str) -> Choice:
    content = object_of(candidate.get("content"))
    parts = [object_of(part) for part in list_of(content.get("parts"))]
    written = [part for part in parts if "text" in part]
    texts = [str(part["text"]) for part in written if not part.get("thought")]
    reason = str(candidate.get("finishReason", "STOP"))
    return Choice(
        text="".join(texts) if texts else None,
        thoughts=[_thought(part) for part in written if part.get("thought")],
        calls=_calls(parts, stem),
        reason=reason,
        logprobs=object_of(candidate.get("logprobsResult")) or None,
        blocked=reason in BLOCKED,
    )


def _thought(part: Json) -> tuple[str, str]:
    return str(part["text"]), str(part.get("thoughtSignature", ""))


def _calls(parts: list[Json], stem: str) -> list[Call]:
    wanted = [
        object_of(part["functionCall"]) for part in parts if "functionCall" in part
    ]
    return [
        Call(
            str(call.get("id") or f"call_{stem}{index}"),
            str(call.get("name", "")),
            object_of(call.get("args")),
        )
        for index, call in enumerate(wanted)
    ]


def _usage(counts: Json, response: Json) -> Usage:
    thoughts = _count(counts.get("thoughtsTokenCount"))
    prompt = _count(counts.get("promptTokenCount")) + _count(
        counts.get("toolUsePromptTokenCount")
    )
    return Usage(
        prompt=prompt or _count(response.get("tokenCount")),
        cached=_count(counts.get("cachedContentTokenCount")),
        output=_count(counts.get("candidatesTokenCount")) + thoughts,
        thoughts=thoughts,
    )


def _count(value: Any) -> int:
    """Read a token count, which proto-JSON may write as a string."""
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else 0


def reply(form: LineForm, row: Json, found: Reply, url: str) -> Json:
    """Return a row as Gemini's own result line: what the provider answered, or a status."""
    return {form.key: row.get("key"), **_half(row, found)}


def _half(row: Json, found: Reply) -> Json:
    if row.get("response") is not None:
        return {"response": row["response"]}
    fault = found.fault
    if fault is None:
        return {"response": {}}
    return {
        "error": {"code": fault.number, "message": f"{fault.code}: {fault.message}"}
    }
