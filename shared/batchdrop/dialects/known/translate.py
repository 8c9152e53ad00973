"""One line of any form in, one request of the job's language out, or what is wrong with the line. Total.

What a translation cannot keep is a warning that names the field; where the answer's meaning hangs on it, a problem.
Nothing is dropped without one of the two. Pointers are into the user's own line.
"""

from __future__ import annotations

from typing import Final, NoReturn, cast

import msgspec

from batchdrop.core.problem import Code, Problem
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.forms import form_of, mixed
from batchdrop.dialects.hub import Hub, Reader, Refused, loads, refuse
from batchdrop.dialects.known.written import WRITTEN
from batchdrop.dialects.line import Json, LineForm, Translated

_encode: Final = msgspec.json.encode


def translate(language: Dialect, form: LineForm, raw: bytes) -> Translated | Problem:
    """Return the request of a line in a language, or the first thing wrong with the line. Never raises."""
    hub = Hub()
    try:
        key, request = _READERS[form](hub, _object(raw))
        return Translated(
            key, _encode(language.from_hub(request)), hub.wants, tuple(hub.warnings)
        )
    except Refused as refused:
        return refused.problem


def key_of(form: LineForm, raw: bytes) -> bytes:
    """Return the user's key as JSON, `null` when there is none or the line cannot be read. Total."""
    try:
        line = loads(raw)
    except Refused:
        return b"null"
    key = cast("Json", line).get(form.key) if isinstance(line, dict) else None
    return _encode(key) if isinstance(key, (str, int, float)) else b"null"


def _object(raw: bytes) -> Json:
    """Return a decoded line, or refuse it."""
    line = loads(raw)
    if not isinstance(line, dict):
        refuse(
            Code.NOT_OBJECT,
            "",
            Code.NOT_OBJECT.sentence,
            "Write one JSON object on each line.",
        )
    return cast("Json", line)


def _record(hub: Hub, line: Json) -> NoReturn:
    form = form_of(line)
    if form is not LineForm.RECORDS:
        mixed(LineForm.RECORDS, form)
    refuse(
        Code.NO_EQUIVALENT,
        "",
        "The line is a record, not a request.",
        "Put a recipe with a prompt template into the folder.",
    )


_READERS: Final[dict[LineForm, Reader]] = {
    **{form: WRITTEN[form].FORMS[form] for form in WRITTEN},
    LineForm.RECORDS: _record,
}
