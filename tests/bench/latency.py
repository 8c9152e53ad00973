"""Latency of a small upload on a warm local stack: until its batch exists, and from the provider's end to the manifest.

There is no floor but the tick: the provider's end is seen by the next one, and here one comes every 0.1 s.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from batchdrop.core.state import queries
from batchdrop.core.state.job import Job
from batchdrop_local.stack.stack import Stack
from tests.bench.data import lines
from tests.bench.figures import Figure, Size
from tests.bench.local import TICK_SECONDS, finished, put, running

UPLOADS = {Size.SMALL: 5, Size.FULL: 20}
REQUESTS = 10


def run(size: Size) -> Iterator[Figure]:
    """Measure one upload after the other, the first one unmeasured."""
    with running() as stack:
        finished(stack, put(stack, "bench/warm.jsonl", lines(REQUESTS, 540)))
        times = [_one(stack, number) for number in range(UPLOADS[size])]
    created, written = (sorted(column) for column in zip(*times, strict=True))
    tick: dict[str, float | str] = {"tick s": TICK_SECONDS}
    yield Figure("latency", "upload -> batch created", statistics.median(created), "s", None, 2.0, {"max": created[-1]})
    yield Figure(
        "latency", "provider done -> manifest", statistics.median(written), "s", None, 1.0, {"max": written[-1]} | tick
    )


def _one(stack: Stack, number: int) -> tuple[float, float]:
    info = put(stack, f"bench/{number}.jsonl", lines(REQUESTS, 540))
    job, _ = finished(stack, info)
    return _times(stack, job)


def _times(stack: Stack, job: Job) -> tuple[float, float]:
    shard = stack.context.store.shards(queries.shards_of(job.job_id))[0].value
    created, done, ended = shard.submitted_at, shard.batch.ended_at, job.ended_at
    if created is None or done is None or ended is None:
        raise RuntimeError("a time is missing")
    return (created - job.source.uploaded_at).total_seconds(), (ended - done).total_seconds()
