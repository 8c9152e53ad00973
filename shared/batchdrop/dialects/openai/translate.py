"""OpenAI's lines, whichever address they ask, as requests in the hub's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from batchdrop.core.problem import Code
from batchdrop.dialects.foreign.settings import refuse_invalid
from batchdrop.dialects.forms import (
    ADDRESSES,
    CHAT_URL,
    EMBEDDINGS_URL,
    RESPONSES_URL,
    address_of,
    form_of,
    inside,
    mixed,
    posted,
    user_key,
)
from batchdrop.dialects.hub import (
    Hub,
    Reader,
    Rule,
    ignored,
    ignored_unless,
    list_of,
    needed,
    read,
    refuse,
    wants,
    word_of,
)
from batchdrop.dialects.line import Json, LineForm
from batchdrop.dialects.openai import chat, responses


def _line(hub: Hub, line: Json) -> tuple[bytes, Json]:
    body = inside(LineForm.OPENAI, line, "body")
    address = address_of(word_of(line, "url", ""))
    if not address:
        form = form_of(line)
        if form is not LineForm.OPENAI:
            mixed(LineForm.OPENAI, form)
        refuse(
            Code.NO_EQUIVALENT,
            "/url",
            "The address has no translation.",
            f"Use {', '.join(ADDRESSES)}.",
        )
    posted(hub, line)
    return user_key(line, "custom_id"), _BODIES[address](hub, body, "/body")


# --------------------------------------------------------------------------------------------- embeddings
def _embedding(hub: Hub, body: Json, pointer: str) -> Json:
    """Return the request of an embedding: one text a line, as Gemini takes one."""
    needed(body, "input", pointer)
    read(hub, body, _EMBEDDING, pointer)
    request: Json = {"content": hub.contents[0]}
    if body.get("dimensions") is not None:
        request["outputDimensionality"] = body["dimensions"]
        refuse_invalid(request, f"{pointer}/dimensions")
    return request


def _embedded(hub: Hub, value: Any, pointer: str) -> None:
    texts = [value] if isinstance(value, str) else list_of(value, pointer)
    if len(texts) != 1:
        message = f"The line asks for {len(texts)} embeddings; one line gives one."
        refuse(Code.NO_EQUIVALENT, pointer, message, "Write one line for each text.")
    if not isinstance(texts[0], str):
        refuse(
            Code.NO_EQUIVALENT,
            pointer,
            "Tokens are not the same with Gemini.",
            "Give the text itself.",
        )
    hub.contents.append({"parts": [{"text": texts[0]}]})


def _nothing(hub: Hub, value: Any, pointer: str) -> None:
    """Leave a field alone that `_embedding` reads itself."""


_EMBEDDING: Final[dict[str, Rule]] = {
    "input": _embedded,
    "model": wants,
    "dimensions": _nothing,
    "encoding_format": ignored_unless("float", "the answer holds numbers, not base64"),
    "user": ignored("Gemini takes no user"),
}
_BODIES: Final[dict[str, Callable[[Hub, Json, str], Json]]] = {
    CHAT_URL: chat.translate,
    RESPONSES_URL: responses.translate,
    EMBEDDINGS_URL: _embedding,
}
FORMS: Final[dict[LineForm, Reader]] = {LineForm.OPENAI: _line}
