"""Structured logs: one JSON line per state change; the message is a constant, all else a field.

Never content, keys, headers or secrets (P8): fields are ids, states, counts, codes, durations and the
names of our own objects. A field of any other type than the ones below is a programming error.

Cloud Logging reads `severity` and `message` (cloud.google.com/logging/docs/structured-logging).

Monitoring matches some lines by their message and reads numbers from their fields: those stand here as constants.
The values of fields that may become labels of a metric are drawn from small sets; a team or a label never is a field.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, TextIO

Field = str | int | float | bool | None

TICK: Final = "tick"
"""Once for each tick, INFO, by `poll`: the heartbeat of the stack."""
TICK_DONE: Final = ("looked", "ended", "woken", "dispatched", "swept", "failed")
"""Fields of TICK: what the tick did; `swept` is 1 when the sweeps ran, `failed` counts steps that raised."""
TICK_QUEUE: Final = ("queued", "in_flight", "held", "overdue", "oldest_job_seconds")
"""Fields of TICK: shards that wait, shards at the provider, held jobs, jobs past their deadline, and the age of the
oldest job that has not ended (0: there is none); null when the tick could not find out."""
TICK_SWEPT: Final = (
    "swept_uploads",
    "swept_batches",
    "swept_files",
    "swept_caches",
    "swept_work",
    "swept_reservations",
)
"""Fields of TICK: uploads announced again, orphan batches found, files and caches deleted, jobs whose work objects were
deleted, reservations let go."""
JOB_ENDED: Final = "job ended"
"""Once for each job, INFO, by `write`, when its completion was published."""
JOB_ENDED_LABELS: Final = ("state", "verdict", "model")
"""Fields of JOB_ENDED with few values; `verdict` is null unless the job is DONE, `model` unless requests were sent."""
JOB_ENDED_COUNTS: Final = ("results", "errors", "rejections", "seconds", "cost_usd")
"""Fields of JOB_ENDED: rows, seconds from the job's record to its end, dollars (null: not known)."""
OUTCOME_PREFIX: Final = "outcome_"
"""JOB_ENDED has a field of this prefix for each outcome: how many rows have it."""
JOB_OVERDUE: Final = "job is overdue"
"""ERROR, by `poll`: a job is past its deadline and the time its end takes."""

_streams: list[TextIO] = []


def log(message: str, /, *, severity: str = "INFO", **fields: Field) -> None:
    """Write one JSON line, whole or not at all."""
    line = {
        "severity": severity,
        "message": message,
        "time": datetime.now(UTC).isoformat(),
        **fields,
    }
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
