"""Labels and the filter of lists: `labels.team="a" AND NOT displayName="b"`, also state and createTime.

Grammar: docs "Method: batchPredictionJobs.list" (read in a stored copy 2026-11-23); labels: 64 of them, keys and values
of lower-case letters, digits, `_` and `-`, 63 characters at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from batchdrop_local.emulators.gemini.wire import ApiError

_LABEL: Final = re.compile(r"[a-z0-9_-]{0,63}")
_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MAX_LABELS: Final = 64
_TERM: Final = re.compile(
    r'(NOT\s+|-)?(labels\.[a-z0-9_-]+|labels\."[^"]+"|displayName|display_name|state|createTime|create_time)'
    r'\s*(=|!=|<|>|<=|>=|:)\s*(?:"([^"]*)"|([^\s"]+))'
)
_CAMEL: Final = {"display_name": "displayName", "create_time": "createTime"}
_COMPARE: Final[dict[str, Callable[[str, str], bool]]] = {
    "=": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    "<": lambda have, want: have < want,
    ">": lambda have, want: have > want,
    "<=": lambda have, want: have <= want,
    ">=": lambda have, want: have >= want,
    ":": lambda have, want: want in ("*", have) and bool(have),
}


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse with 400 what is no set of labels."""
    plain = all(
        _KEY.fullmatch(key) and _LABEL.fullmatch(value) for key, value in labels.items()
    )
    if not plain or len(labels) > MAX_LABELS:
        raise ApiError(400, "Invalid labels.")


def matches(text: str, fields: Mapping[str, str]) -> bool:
    """Tell whether an entry passes a filter; `fields` has what it can ask for by name.

    Raises:
        ApiError: 400, it is no filter.
    """
    alternatives = re.split(r"\s+OR\s+", text.strip())
    verdicts = [
        [_term(term, fields) for term in re.split(r"\s+AND\s+", alternative)]
        for alternative in alternatives
    ]
    return any(all(verdict) for verdict in verdicts)


def _term(term: str, fields: Mapping[str, str]) -> bool:
    match = _TERM.fullmatch(term.strip().strip("()"))
    if match is None:
        raise ApiError(400, f"Invalid filter: {term!r}.")
    name = _CAMEL.get(match[2], match[2].replace('"', ""))
    wanted = match[4] if match[4] is not None else match[5]
    return _COMPARE[match[3]](fields.get(name, ""), wanted) != bool(match[1])
