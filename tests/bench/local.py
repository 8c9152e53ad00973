"""The embedded stack as `make up` runs it: functions over HTTP, a pusher, a scheduler; and waiting for a job."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from batchdrop.core import logs
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.ports import ObjectInfo
from batchdrop_local.folder.notifying import notify
from batchdrop_local.stack.stack import Options, Stack, embedded
from tests.bench.stands import TIER, folder

LOOK_SECONDS = 0.01
TICK_SECONDS = 0.1


@contextmanager
def running() -> Generator[Stack]:
    """An embedded stack on a temporary folder."""
    options = {"BATCHDROP_TIER": str(TIER)}
    with (
        folder() as root,
        (root / "log").open("w") as log,
        logs.to(log),
        embedded(Options(root=root, tick_seconds=TICK_SECONDS, settings=options)) as stack,
    ):
        yield stack


def put(stack: Stack, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
    """Put an object into the input bucket, a request of its own whatever it holds; nobody is told."""
    with stack.context.objects.create("input", name, metadata={"again": name}) as writer:
        for chunk in chunks:
            writer.write(chunk)
        return writer.close()


def finished(stack: Stack, info: ObjectInfo) -> tuple[Job, float]:
    """Announce an object and wait until its job has said that it ended; return the job and the seconds."""
    job_id = names.job_id(info.bucket, info.name, info.generation)
    begun = time.perf_counter()
    notify(stack.context.topics, info)
    while True:
        stored = stack.context.store.job(job_id)
        if stored is not None and stored.value.state.terminal and stored.value.published:
            break
        time.sleep(LOOK_SECONDS)
    if stored.value.verdict != "complete":
        raise RuntimeError(f"the job did not end well: {stored.value}")
    return stored.value, time.perf_counter() - begun
