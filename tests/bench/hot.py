"""Hot documents and a full tick, simulated: the code is ours, time is virtual, the services are as far as in the cloud.

    hot     10,000 one-line uploads an hour, at most 100 batches in flight, a tick a minute, every service with its
            instances: how often one document is written, by kind, over the worst minute
    tick    10,000 batches in flight: how long a tick is, and at how many of them it did not look

A document takes about one sustained write a second; bursts may be faster (cloud.google.com/firestore/quotas, "maximum
write rate to a document", a soft limit; read at second hand on 2026-11-25).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from batchdrop.core import logs
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import names, queries
from batchdrop.core.state.capacity import is_pool
from batchdrop.ports import Batch, BatchKind, Collection, Intent
from batchdrop.steps.poll.tick import tick
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.bench.data import line
from tests.bench.far import Far, Key, Writes
from tests.bench.figures import Figure, Size
from tests.bench.fleet import Fleet
from tests.bench.stands import MODEL, TIER, folder
from tests.bench.virtual import Schedule
from tests.harness import Stack, TestClock, direct_provider, make_stack, wrapped

LINE_BYTES = 374
AN_HOUR: Final = 10_000
IN_FLIGHT: Final = 100
SIMULATED_SECONDS = {Size.SMALL: 120.0, Size.FULL: 600.0}
BATCHES = {Size.SMALL: 1_000, Size.FULL: 10_000}
MADE: Final = 200
"""Batches of the full tick that the emulator really has, it counts all before each create: shards share them."""
SUSTAINED: Final = 1.0
"""Writes a second."""
TICK_SECONDS: Final = 480.0
SETTINGS: Final[Mapping[str, Any]] = {"tier": TIER, "max_batches": IN_FLIGHT, "budgets": {"stack": 1_000_000}}
HELD = Faults(hold_state="RUNNING", max_batches=100_000)


def run(size: Size) -> Iterator[Figure]:
    """Simulate the uploads, then a tick."""
    yield from hot(SIMULATED_SECONDS[size])
    yield from full_tick(BATCHES[size])


def hot(seconds: float) -> Iterator[Figure]:
    """Let uploads come for so many seconds, and the stack come to rest."""
    clock = Schedule()
    with folder() as root, _quiet(), GeminiEmulator(data_dir=root / "gemini", clock=clock.timestamp) as gemini:
        fleet = Fleet(root, direct_provider(gemini), clock, SETTINGS)
        uploads = round(AN_HOUR * seconds / 3600)
        for number in range(uploads):
            fleet.upload(number * 3600 / AN_HOUR, f"hot/{number}.jsonl", line(number, LINE_BYTES) + b"\n")
        clock.run()
    context: dict[str, float | str] = {"uploads": uploads, "done": len(fleet.done)}
    yield Figure("hot", "median until the end", fleet.median_seconds(), "s", None, None, context)
    yield from _rates(fleet.writes)


def _rates(writes: Writes) -> Iterator[Figure]:
    kinds: defaultdict[str, list[Key]] = defaultdict(list)
    for key in writes.times:
        kinds[_kind_of(key)].append(key)
    for kind, keys in sorted(kinds.items()):
        hottest = max(keys, key=writes.sustained)
        context: dict[str, float | str] = {
            "documents": len(keys),
            "writes of the hottest": len(writes.times[hottest]),
            "lost": writes.lost[hottest],
        }
        yield Figure("hot", f"{kind}, writes a second", writes.sustained(hottest), "", None, SUSTAINED, context)


def _kind_of(key: Key) -> str:
    """Return what a document is: those whose id says what they are count each by itself."""
    kind, id = key
    if kind == Collection.CAPACITY:
        return f"{kind}, {'a model' if is_pool(id) else 'the account'}"
    return f"{kind}/{id}" if kind == Collection.META else kind


def full_tick(count: int) -> Iterator[Figure]:
    """Let a tick meet so many batches that run."""
    with folder() as root, _quiet(), GeminiEmulator(data_dir=root / "gemini", faults=HELD) as gemini:
        near = replace(make_stack(root, gemini, tier=TIER, call_seconds=TICK_SECONDS), provider=direct_provider(gemini))
        _fill(near, count)
        clock = Ahead(near.clock)
        far: dict[str, Any] = {
            name: Far(port, getattr(near, name), clock, Writes())
            for name, port in (("objects", "objects"), ("documents", "documents"), ("provider", "provider"))
        }
        before = near.clock.now()
        done = tick(wrapped(near, **far).context(PollSettings))
        seconds = (near.clock.now() - before).total_seconds()
    what = f"a tick, {count:,} batches in flight"
    yield Figure("hot", what, seconds, "s", None, TICK_SECONDS, {"looked": done["looked"], "failed": done["failed"]})
    yield Figure("hot", f"{what}: not looked at", count - done["looked"], "", None, 0)


class Ahead:
    """A test's clock that can be slept on: it goes ahead."""

    def __init__(self, clock: TestClock) -> None:
        self._clock = clock
        self._start = clock.now()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return (self._clock.now() - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Go ahead."""
        self._clock.ahead += timedelta(seconds=seconds)


def _fill(stack: Stack, count: int) -> None:
    """Send one upload, then make its shard so many times in all, with batches that run."""
    data = line(1, LINE_BYTES) + b"\n"
    info = stack.upload("tick/a.jsonl", data)
    stack.deliver()
    stack.tick()
    store = stack.context(PollSettings).store
    (stored,) = store.shards(queries.shards_of(names.job_id(info.bucket, info.name, info.generation)))
    shard = stored.value
    file = stack.provider.stage([data], size=len(data), name="tick").reference
    made = [_created(stack, number, file) for number in range(min(count, MADE))]
    for number in range(1, count):
        batch = shard.batch.model_copy(update={"name": made[number % len(made)]})
        store.add(shard.model_copy(update={"shard_id": f"{number:032x}", "batch": batch}))


def _created(stack: Stack, number: int, file: str) -> str:
    made = stack.provider.create(Intent(f"tick.{number}", MODEL, BatchKind.GENERATE, file, requests=1))
    if not isinstance(made, Batch):
        raise TypeError("the emulator refused a batch")
    return made.name


@contextmanager
def _quiet() -> Generator[None]:
    with folder() as root, (root / "log").open("w") as log, logs.to(log):
        yield
