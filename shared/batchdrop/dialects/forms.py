"""Forms of lines: what stands around a request, and which form a line is in."""

from __future__ import annotations

from typing import Any, Final, NoReturn, cast

import msgspec

from batchdrop.core.problem import Code
from batchdrop.dialects.hub import Hub, leftovers, needed, object_of, refuse
from batchdrop.dialects.line import Json, LineForm

CHAT_URL: Final = "/v1/chat/completions"
RESPONSES_URL: Final = "/v1/responses"
EMBEDDINGS_URL: Final = "/v1/embeddings"
ADDRESSES: Final = (CHAT_URL, RESPONSES_URL, EMBEDDINGS_URL)
"""OpenAI's; a body sent to one of them is its language, whatever it looks like."""
_POSTED: Final = frozenset({"custom_id", "method", "url", "body"})
_encode: Final = msgspec.json.encode


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


def _is_gemini(body: Json) -> bool:
    """True when an object asks as Gemini is asked; a record may have a text in a field of the same name."""
    contents: Any = body.get("contents")
    if isinstance(contents, list):
        contents = contents[0] if contents else None  # pyright: ignore[reportUnknownVariableType]
    content = contents or body.get("content")  # pyright: ignore[reportUnknownVariableType]
    return isinstance(content, dict) and "parts" in content


def address_of(url: str) -> str:
    """Return the one of OpenAI's addresses that a line means, empty for none; Azure leaves out the version."""
    address = "/v1/" + url.removeprefix("/").removeprefix("v1/")
    return address if address in ADDRESSES else ""


def inside(dialect: LineForm, line: Json, name: str) -> Json:
    """Return the request inside a line, or refuse a line of another dialect or none."""
    if name not in line:
        form = form_of(line)
        if form not in (dialect, LineForm.RECORDS):
            mixed(dialect, form)
    return object_of(needed(line, name, ""), f"/{name}")


def posted(hub: Hub, line: Json) -> None:
    """Look at what stands beside the body of a line that is an HTTP call; warn of it, or refuse the line."""
    if line.get("method", "POST") not in ("POST", None):
        refuse(Code.BAD_ENUM, "/method", "The method must be POST.")
    leftovers(hub, line, _POSTED, "")


def mixed(dialect: LineForm, form: LineForm) -> NoReturn:
    """Refuse a line of another form than its file."""
    refuse(
        Code.DIALECT_MIXED,
        "",
        f"The file is in the dialect {dialect}, this line in {form}.",
    )


def user_key(line: Json, name: str) -> bytes:
    """Return the user's key as JSON, or refuse the line."""
    key = line.get(name)
    if isinstance(key, (dict, list, bool)):
        refuse(Code.WRONG_TYPE, f"/{name}", "The key must be a string or a number.")
    return _encode(key)
