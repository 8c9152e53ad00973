"""Which dialect a file is in, told from its first lines.

A line votes by the fields that make a form what it is; the most votes win, the earlier line on a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, cast

import msgspec

from batchdrop.dialects.forms import form_of
from batchdrop.dialects.line import Json, LineForm

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


def _vote(raw: bytes) -> LineForm | None:
    try:
        line = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return form_of(cast("Json", line)) if isinstance(line, dict) else None
