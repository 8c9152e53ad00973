"""Records as JSON lines: each line one object. A record's number is its line's; blank lines are no records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from batchdrop.core import strict_json
from batchdrop.core.limits import limit
from batchdrop.core.problem import Code, Problem
from batchdrop.core.upload.lines import split_lines
from batchdrop.core.upload.tables.entry import Blank, Entry, Place, Record, Unreadable


def read_jsonl(
    chunks: Iterable[bytes],
    place: Place | None = None,
    *,
    max_record_bytes: int = limit("input_line"),
) -> Iterator[Entry]:
    """Yield every line as an entry, blank ones too; never raises, whatever the bytes."""
    place = place or Place()
    for line, size in split_lines(
        chunks, max_line_bytes=max_record_bytes, number=place.number
    ):
        number = place.number
        place.number += 1
        place.offset += size
        if line is None:
            message = f"The record has more than {max_record_bytes} bytes."
            yield Unreadable(number, Problem(Code.LINE_TOO_LONG, "", message))
        elif line.strip():
            yield _read(number, line)
        else:
            yield Blank(number)


def _read(number: int, line: bytes) -> Entry:
    try:
        value = strict_json.loads(line)
    except strict_json.StrictError as error:
        return Unreadable(number, error.problem)
    if not isinstance(value, dict):
        message = "The record is JSON but not an object."
        return Unreadable(
            number,
            Problem(Code.NOT_OBJECT, "", message, 'Write {"field": …, "other": …}.'),
        )
    return Record(number, cast("dict[str, Any]", value))
