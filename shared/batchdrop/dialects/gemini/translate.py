"""Gemini's lines in their three forms, as requests in the hub's words: these are Gemini's own, so nothing changes."""

from __future__ import annotations

import re
from typing import Final

from batchdrop.core.pointer import join
from batchdrop.core.problem import Code
from batchdrop.dialects.forms import (
    address_of,
    form_of,
    inside,
    mixed,
    posted,
    user_key,
)
from batchdrop.dialects.gemini.check import check_request
from batchdrop.dialects.hub import Hub, Reader, Refused, refuse, text_of
from batchdrop.dialects.line import Json, LineForm

_MODEL_IN_URL: Final = re.compile(r"models/([^/:]+)")


def _enveloped(hub: Hub, line: Json) -> tuple[bytes, Json]:
    request = inside(LineForm.GEMINI, line, "request")
    for name in line:
        if name not in ("key", "request"):
            refuse(
                Code.UNKNOWN_FIELD,
                join("", name),
                "The line has a field besides key and request.",
            )
    return user_key(line, "key"), _as_written(hub, request, "/request")


def _bare(hub: Hub, line: Json) -> tuple[bytes, Json]:
    form = form_of(line)
    if form not in (LineForm.GEMINI_BARE, LineForm.RECORDS):
        mixed(LineForm.GEMINI_BARE, form)
    request = {name: line[name] for name in line if name != "key"}
    return user_key(line, "key"), _as_written(hub, request, "")


def _posted(hub: Hub, line: Json) -> tuple[bytes, Json]:
    body = inside(LineForm.GEMINI_BODY, line, "body")
    posted(hub, line)
    url = text_of(line.get("url") or "", "/url")
    if address_of(url):
        mixed(LineForm.GEMINI_BODY, LineForm.OPENAI)
    model = _MODEL_IN_URL.search(url)
    if model:
        hub.wants = model[1]
    return user_key(line, "custom_id"), _as_written(hub, body, "/body")


def _as_written(hub: Hub, request: Json, pointer: str) -> Json:
    """Return a request, or refuse it for the validator's first finding."""
    problems = check_request(request, "", pointer)[2]
    if problems:
        raise Refused(problems[0])
    model = request.get("model")
    hub.wants = model.removeprefix("models/") if isinstance(model, str) else None
    return request


def from_hub(request: Json) -> Json:
    """Return a request in the hub's words in Gemini's."""
    return request


FORMS: Final[dict[LineForm, Reader]] = {
    LineForm.GEMINI: _enveloped,
    LineForm.GEMINI_BARE: _bare,
    LineForm.GEMINI_BODY: _posted,
}
