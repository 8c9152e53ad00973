"""Structured logs: one JSON line per state change; the message is a constant, all else a field.

Never content, keys, headers or secrets (P8): fields are ids, states, counts, codes, durations and the
names of our own objects. A field of any other type than the ones below is a programming error.

Cloud Logging reads `severity` and `message` (cloud.google.com/logging/docs/structured-logging).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

Field = str | int | float | bool | None

_streams: list[TextIO] = []


def log(message: str, /, *, severity: str = "INFO", **fields: Field) -> None:
    """Write one JSON line, whole or not at all."""
    line = {"severity": severity, "message": message, "time": datetime.now(UTC).isoformat(), **fields}
    stream = _streams[-1] if _streams else sys.stdout
    stream.write(json.dumps(line, ensure_ascii=True) + "\n")
    stream.flush()


@contextmanager
def to(stream: TextIO) -> Generator[None]:
    """Write log lines to this stream instead of stdout while the block runs."""
    _streams.append(stream)
    try:
        yield
    finally:
        _streams.pop()
