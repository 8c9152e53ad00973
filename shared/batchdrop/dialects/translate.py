"""One line of any dialect in, one Gemini request out, or what is wrong with the line; total over every byte string.

What a translation cannot keep is a warning that names the field; where the answer's meaning hangs on it, a problem.
Nothing is dropped without one of the two. Pointers are into the user's own line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.dialects.anthropic import messages
from batchdrop.dialects.detect import form_of
from batchdrop.dialects.dialect import Json, LineForm, Translated
from batchdrop.dialects.draft import (
    Draft,
    Refused,
    Rule,
    ignored,
    ignored_unless,
    leftovers,
    list_of,
    loads,
    needed,
    object_of,
    read,
    refuse,
    text_of,
    wants,
    word_of,
)
from batchdrop.dialects.gemini.check import check_request
from batchdrop.dialects.openai import chat, responses

CHAT_URL: Final = "/v1/chat/completions"
RESPONSES_URL: Final = "/v1/responses"
EMBEDDINGS_URL: Final = "/v1/embeddings"
_MODEL_IN_URL: Final = re.compile(r"models/([^/:]+)")
_encode: Final = msgspec.json.encode


def translate(dialect: LineForm, raw: bytes) -> Translated | Problem:
    """Return a line's Gemini request, or the first thing wrong with it. Total: it never raises.

    Requests of the three Gemini dialects stay as they are written, in either spelling.
    """
    draft = Draft()
    try:
        line = loads(raw)
        if not isinstance(line, dict):
            refuse(
                Code.NOT_OBJECT,
                "",
                "The line is JSON but not an object.",
                "Write one JSON object on each line.",
            )
        key, request = _READERS[dialect](draft, cast("Json", line))
    except Refused as refused:
        return refused.problem
    return Translated(key, _encode(request), draft.wants, tuple(draft.warnings))


def key_of(dialect: LineForm, raw: bytes) -> bytes:
    """Return the user's key as JSON, `null` when there is none or the line cannot be read. Total."""
    try:
        line = loads(raw)
    except Refused:
        return b"null"
    name = (
        "custom_id"
        if dialect in (LineForm.OPENAI, LineForm.ANTHROPIC, LineForm.GEMINI_BODY)
        else "key"
    )
    key = cast("Json", line).get(name) if isinstance(line, dict) else None
    return _encode(key) if isinstance(key, (str, int, float)) else b"null"


# ---------------------------------------------------------------------------------------------- envelopes
def _gemini(draft: Draft, line: Json) -> tuple[bytes, Json]:
    request = _inside(LineForm.GEMINI, line, "request")
    for name in line:
        if name not in ("key", "request"):
            refuse(
                Code.UNKNOWN_FIELD,
                join("", name),
                "The line has a field besides key and request.",
            )
    return _key(line, "key"), _as_written(draft, request, "/request")


def _bare(draft: Draft, line: Json) -> tuple[bytes, Json]:
    form = form_of(line)
    if form not in (LineForm.GEMINI_BARE, LineForm.RECORDS):
        _mixed(LineForm.GEMINI_BARE, form)
    return _key(line, "key"), _as_written(
        draft, {name: line[name] for name in line if name != "key"}, ""
    )


def _gemini_body(draft: Draft, line: Json) -> tuple[bytes, Json]:
    body = _inside(LineForm.GEMINI_BODY, line, "body")
    _envelope(draft, line)
    url = text_of(line.get("url") or "", "/url")
    if _reader(url) is not None:
        _mixed(LineForm.GEMINI_BODY, LineForm.OPENAI)
    found = _MODEL_IN_URL.search(url)
    if found:
        draft.wants = found[1]
    return _key(line, "custom_id"), _as_written(draft, body, "/body")


def _openai(draft: Draft, line: Json) -> tuple[bytes, Json]:
    body = _inside(LineForm.OPENAI, line, "body")
    url = word_of(line, "url", "")
    reader = _reader(url)
    if reader is None:
        form = form_of(line)
        if form is not LineForm.OPENAI:
            _mixed(LineForm.OPENAI, form)
        refuse(
            Code.NO_EQUIVALENT,
            "/url",
            "The address has no translation.",
            f"Use {', '.join(_URLS)}.",
        )
    _envelope(draft, line)
    return _key(line, "custom_id"), reader(draft, body, "/body")


def _anthropic(draft: Draft, line: Json) -> tuple[bytes, Json]:
    params = _inside(LineForm.ANTHROPIC, line, "params")
    leftovers(draft, line, frozenset({"custom_id", "params"}), "")
    return _key(line, "custom_id"), messages.translate(draft, params, "/params")


def _record(draft: Draft, line: Json) -> tuple[bytes, Json]:
    form = form_of(line)
    if form is not LineForm.RECORDS:
        _mixed(LineForm.RECORDS, form)
    message = "The line is a record, not a request."
    refuse(
        Code.NO_EQUIVALENT,
        "",
        message,
        "Put a recipe with a prompt template into the folder.",
    )


def _inside(dialect: LineForm, line: Json, name: str) -> Json:
    """Return the request inside a line, or refuse a line of another dialect or none."""
    if name not in line:
        form = form_of(line)
        if form not in (dialect, LineForm.RECORDS):
            _mixed(dialect, form)
    return object_of(needed(line, name, ""), f"/{name}")


def _reader(url: str) -> Callable[[Draft, Json, str], Json] | None:
    """Return what reads the bodies sent to one of OpenAI's addresses; Azure writes them without the version."""
    return _URLS.get("/v1/" + url.removeprefix("/").removeprefix("v1/"))


def _envelope(draft: Draft, line: Json) -> None:
    if line.get("method", "POST") not in ("POST", None):
        refuse(Code.BAD_ENUM, "/method", "The method must be POST.")
    leftovers(draft, line, _ENVELOPE, "")


def _mixed(dialect: LineForm, form: LineForm) -> None:
    refuse(
        Code.DIALECT_MIXED,
        "",
        f"The file is in the dialect {dialect}, this line in {form}.",
    )


def _key(line: Json, name: str) -> bytes:
    key = line.get(name)
    if isinstance(key, (dict, list, bool)):
        refuse(Code.WRONG_TYPE, f"/{name}", "The key must be a string or a number.")
    return _encode(key)


def _as_written(draft: Draft, request: Json, pointer: str) -> Json:
    """Return a request that is Gemini's already, or refuse it for the validator's first finding."""
    problems = check_request(request, "", pointer)[2]
    if problems:
        raise Refused(problems[0])
    model = request.get("model")
    draft.wants = model.removeprefix("models/") if isinstance(model, str) else None
    return request


# --------------------------------------------------------------------------------------------- embeddings
def _embedding(draft: Draft, body: Json, pointer: str) -> Json:
    """Return the Gemini request of an OpenAI embedding: one text a line, as Gemini takes one."""
    needed(body, "input", pointer)
    request: Json = {}
    read(draft, body, _EMBEDDING, pointer)
    request["content"] = draft.contents[0]
    if "dimensions" in body and body["dimensions"] is not None:
        request["outputDimensionality"] = body["dimensions"]
        problems = check_request(request)[2]
        if problems:
            refuse(problems[0].code, f"{pointer}/dimensions", problems[0].message)
    return request


def _embedded(draft: Draft, value: Any, pointer: str) -> None:
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
    draft.contents.append({"parts": [{"text": texts[0]}]})


def _nothing(draft: Draft, value: Any, pointer: str) -> None:
    """Leave a field alone that `_embedding` reads itself."""


_EMBEDDING: Final[dict[str, Rule]] = {
    "input": _embedded,
    "model": wants,
    "dimensions": _nothing,
    "encoding_format": ignored_unless("float", "the answer holds numbers, not base64"),
    "user": ignored("Gemini takes no user"),
}
_ENVELOPE: Final = frozenset({"custom_id", "method", "url", "body"})
_URLS: Final[dict[str, Callable[[Draft, Json, str], Json]]] = {
    CHAT_URL: chat.translate,
    RESPONSES_URL: responses.translate,
    EMBEDDINGS_URL: _embedding,
}
_READERS: Final[dict[LineForm, Callable[[Draft, Json], tuple[bytes, Json]]]] = {
    LineForm.GEMINI: _gemini,
    LineForm.GEMINI_BARE: _bare,
    LineForm.GEMINI_BODY: _gemini_body,
    LineForm.OPENAI: _openai,
    LineForm.ANTHROPIC: _anthropic,
    LineForm.RECORDS: _record,
}
