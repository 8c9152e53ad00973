"""Records as JSON lines: each line one object. A record's number is its line's; blank lines are none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from batchdrop.core.limits import limit
from batchdrop.core.lines import split_lines
from batchdrop.core.reading.entry import Entry, Row, Unreadable
from batchdrop.core.validation import Code, Problem, strict


def read_jsonl(chunks: Iterable[bytes], *, max_record_bytes: int = limit("input_line")) -> Iterator[Entry]:
    """Yield every non-blank line as a record; never raises, whatever the bytes."""
    for number, (line, _) in enumerate(split_lines(chunks, max_line_bytes=max_record_bytes), 1):
        if line is None:
            message = f"The record has more than {max_record_bytes} bytes."
            yield Unreadable(number, Problem(Code.LINE_TOO_LONG, "", message))
        elif line.strip():
            yield _read(number, line)


def _read(number: int, line: bytes) -> Entry:
    try:
        value = strict.loads(line)
    except strict.StrictError as error:
        return Unreadable(number, error.problem)
    if not isinstance(value, dict):
        message = "The record is JSON but not an object."
        return Unreadable(number, Problem(Code.NOT_OBJECT, "", message, 'Write {"field": …, "other": …}.'))
    return Row(number, cast("dict[str, Any]", value))
