"""One of our rows in, one line in the words of the input's form out: a migration is a bucket name."""

from __future__ import annotations

from typing import Final

import msgspec

from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.forms import CHAT_URL
from batchdrop.dialects.known.written import WRITTEN
from batchdrop.dialects.line import Json, LineForm
from batchdrop.dialects.reply import read

_encode: Final = msgspec.json.encode


def answer(language: Dialect, form: LineForm, row: Json, url: str = CHAT_URL) -> bytes:
    """Return a result, error or rejection row as the other API would have answered, newline included.

    A pure function of its arguments: no time, no chance. Forms without answers of their own get the row itself.

    Args:
        language: The language that the row's answer came in.
        form: The form of the input.
        row: The row, decoded.
        url: Which of OpenAI's addresses the line asked; the row does not say.
    """
    asked = WRITTEN.get(form)
    line = (
        row if asked is None else asked.reply(form, row, read(row, language.said), url)
    )
    return _encode(line) + b"\n"
