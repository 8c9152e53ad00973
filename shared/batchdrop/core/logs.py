"""Structured logs: one JSON line per state change; the message is a constant, all else a field.

Never content, keys, headers or secrets (P8): fields are ids, states, counts, codes, durations and the
names of our own objects. A field of any other type than the ones below is a programming error.

Cloud Logging reads `severity` and `message` (cloud.google.com/logging/docs/structured-logging).
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

Field = str | int | float | bool | None


def log(message: str, /, *, severity: str = "INFO", **fields: Field) -> None:
    """Write one JSON line to stdout, whole or not at all."""
    line = {"severity": severity, "message": message, "time": datetime.now(UTC).isoformat(), **fields}
    sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
    sys.stdout.flush()
