"""A tick: what it asks of the provider and of the store, and that finished jobs do not slow it down.

The floor is asking the provider for each batch in flight and nothing else; with finished jobs in the store it is the
same tick without them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

from batchdrop.core.state import queries
from tests.bench.data import lines
from tests.bench.figures import Figure, Size
from tests.bench.stands import Stand, stand

IN_FLIGHT = (1, 100)
FINISHED = 100_000
TICKS = 15
SETTLING = 3
"""Ticks until nothing changes: the first sweep, the batches' states seen, one to be sure."""
HELD = '{"hold_state":"RUNNING"}'
WRITES = frozenset({"documents.create", "documents.replace", "documents.delete"})
_COPY = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO {table} SELECT printf('%032x', n), {columns} FROM {table}, numbers WHERE id = ?"""


def run(size: Size) -> Iterator[Figure]:
    """Measure ticks with few and many batches in flight, then with many finished jobs beside them."""
    for count in IN_FLIGHT:
        with stand(faults=HELD, shard_requests=1, sweep_seconds=1e6) as it:
            it.announce(it.put([b'{"request":{}}\n'], "bench/finished.jsonl"))
            it.announce(it.put(lines(count, 200)))
            it.deliver()
            for _ in range(SETTLING):
                it.tick()
            seconds = _ticks(it)
            what = f"{count} in flight"
            yield Figure("tick", what, seconds * 1e3, "ms", _looks(it) * 1e3, None, _counts(it))
            yield from _limits(it, what, count)
            _add_finished(it)
            more = _ticks(it)
            what = f"{what}, {FINISHED:,} finished jobs"
            yield Figure("tick", what, more * 1e3, "ms", seconds * 1e3, 1.2, _counts(it))


def _ticks(it: Stand) -> float:
    """Return the seconds of the fastest of several ticks; a busy machine makes the others."""
    times: list[float] = []
    for _ in range(TICKS):
        it.tally.clear()
        times.append(it.tick())
    return min(times)


def _looks(it: Stand) -> float:
    """Ask the provider for every batch in flight; return the seconds."""
    batches = [entry.value.batch.name for entry in it.common().store.shards(queries.submitted(1000))]
    times: list[float] = []
    for _ in range(TICKS):
        begun = time.perf_counter()
        for name in batches:
            it.stack.provider.get(name)
        times.append(time.perf_counter() - begun)
    it.tally.clear()
    it.tick()
    return min(times)


def _limits(it: Stand, what: str, count: int) -> Iterator[Figure]:
    yield Figure("tick", f"{what}: provider calls", it.tally.of("provider"), "", None, count)
    yield Figure("tick", f"{what}: writes without a change", _writes(it), "", None, 0)


def _counts(it: Stand) -> dict[str, float | str]:
    reads = it.tally.of("documents") - _writes(it)
    return {"provider calls": it.tally.of("provider"), "store reads": reads, "writes": _writes(it)}


def _writes(it: Stand) -> int:
    return sum(it.tally.calls[name] for name in WRITES)


def _add_finished(it: Stand) -> None:
    """Copy an ended job, and a shard marked as written, many times over; their content is never read."""
    store = it.common().store
    job = next(entry for entry in store.jobs(queries.newest_jobs(10)) if entry.value.state.terminal)
    shard = store.shards(queries.submitted(1))[0]
    jobs = "version, write_id, '{}', NULL, object_name, created_at, expire_at"
    shards = (
        "version, write_id, '{}', NULL, 'WRITTEN', printf('%032x', n), model, team, priority_rank, queued_at, queued_at"
    )
    with sqlite3.connect(it.root / "records.sqlite", timeout=60) as database:
        database.execute(_COPY.format(table="jobs", columns=jobs), (FINISHED, job.document.id))
        database.execute(_COPY.format(table="shards", columns=shards), (FINISHED, shard.document.id))
    database.close()
