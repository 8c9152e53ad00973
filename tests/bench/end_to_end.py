"""From the notification to the completion message with a provider that answers at once, on the embedded stack.

Floor: the same object staged as it is, one batch created, its results downloaded and written as they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

from batchdrop.core.settings import CommonSettings
from batchdrop.ports import Batch, BatchKind, Intent, ObjectInfo
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop.steps.context import Context
from batchdrop_local.stack.stack import Stack
from tests.bench.data import MB, lines
from tests.bench.figures import Figure, Size
from tests.bench.local import finished, put, running
from tests.bench.stands import MODEL, downloaded

LINE_BYTES = 540
REQUESTS = {Size.SMALL: (1_000, 10_000), Size.FULL: (1_000, 100_000, 1_000_000)}
MILLION = 1_000_000
GOAL_SECONDS = 300.0


def run(size: Size) -> Iterator[Figure]:
    """Measure one upload of each number of requests."""
    with running() as stack:
        finished(stack, put(stack, "bench/warm.jsonl", lines(10, LINE_BYTES)))
        for count in REQUESTS[size]:
            yield from measured(stack, count)


def measured(stack: Stack, count: int) -> Iterator[Figure]:
    """Measure one upload."""
    info = put(stack, f"bench/{count}.jsonl", lines(count, LINE_BYTES))
    floor = _floor(stack.context, info)
    job, seconds = finished(stack, info)
    if job.counts.results != count:
        raise RuntimeError("a request has no result")
    context: dict[str, float | str] = {"requests/s": count / seconds, "MB/s": info.size / MB / seconds}
    yield Figure("end to end", f"{count:,} requests", seconds, "s", floor, None, context)
    if count == MILLION:
        yield Figure("end to end", f"{count:,} requests, in all", seconds, "s", None, GOAL_SECONDS)


def _floor(context: Context[CommonSettings], info: ObjectInfo) -> float:
    provider, objects = cast("GeminiApi", context.providers["gemini"].batches), context.objects
    begun = time.perf_counter()
    file = provider.stage(objects.read(info.bucket, info.name), size=info.size, name="floor").reference
    batch = provider.create(Intent("floor", MODEL, BatchKind.GENERATE, file, requests=1, timeout_seconds=300))
    if not isinstance(batch, Batch):
        raise TypeError("the emulator refused a batch")
    ended = provider.get(batch.name)
    if ended is None or not ended.state.terminal:
        raise RuntimeError("the emulator did not answer at once")
    downloaded(objects, provider, [ended])
    seconds = time.perf_counter() - begun
    provider.delete(batch.name)
    provider.delete_file(file)
    return seconds
