"""One of our rows in, one line in the words of the input's dialect out: a migration is a bucket name."""

from __future__ import annotations

from typing import Final

import msgspec

from batchdrop.dialects.anthropic import reply as anthropic_reply
from batchdrop.dialects.dialect import Json, LineForm
from batchdrop.dialects.neutral import Reply, read
from batchdrop.dialects.openai import reply as openai_reply
from batchdrop.dialects.translate import CHAT_URL

_encode: Final = msgspec.json.encode


def answer(dialect: LineForm, row: Json, url: str = CHAT_URL) -> bytes:
    """Return a result, error or rejection row as the other API would have answered, newline included.

    A pure function of its arguments: no time, no chance. Dialects without answers of their own get the row itself.

    Args:
        dialect: The dialect of the input.
        row: The row, decoded.
        url: Which of OpenAI's addresses the line asked; the row does not say.
    """
    return _encode(_line(dialect, row, url)) + b"\n"


def _line(dialect: LineForm, row: Json, url: str) -> Json:
    if dialect is LineForm.RECORDS:
        return row
    reply = read(row)
    if dialect is LineForm.OPENAI:
        return openai_reply.line(reply, url)
    if dialect is LineForm.ANTHROPIC:
        return anthropic_reply.line(reply)
    name = "custom_id" if dialect is LineForm.GEMINI_BODY else "key"
    return {name: row.get("key"), **_gemini(row, reply)}


def _gemini(row: Json, reply: Reply) -> Json:
    """Return the second half of Gemini's own result line: what the provider answered, or a status."""
    if row.get("response") is not None:
        return {"response": row["response"]}
    fault = reply.fault
    if fault is None:
        return {"response": {}}
    return {
        "error": {"code": fault.number, "message": f"{fault.code}: {fault.message}"}
    }
