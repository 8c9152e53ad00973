"""Intake and write against the same bytes moved by the same clients with no work done on them.

    intake   upload object -> validated, planned, staged     floor: the bytes that are sent, read from a bucket, staged
    write    results at the provider -> output objects       floor: downloaded, written

Results come as the emulator makes them while they are sent, in order or shuffled, and once more replayed from a
file: that floor is the loopback's own, far above any network's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batchdrop.core.state import queries
from batchdrop.core.state.shard import Shard
from batchdrop.ports import Batch, BatchState, ObjectInfo
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop.store import Store
from tests.bench.data import MB, lines, upload
from tests.bench.figures import Figure, Size
from tests.bench.kinds import KINDS, Kind
from tests.bench.stands import Spent, Stand, downloaded, staged, stand

LINE_BYTES = 942
BYTES = {Size.SMALL: 20 * MB, Size.FULL: 1000 * MB}
KIND_BYTES = {Size.SMALL: 5 * MB, Size.FULL: 150 * MB}
INTAKE, IN_ORDER, SHUFFLE, REPLAYED = 3.2, 2.0, 4.0, 6.0
"""Bars: times the floor."""
SHUFFLED = '{"rows":{"shuffle":true}}'


def run(size: Size) -> Iterator[Figure]:
    """Measure intake, then write in three forms; then both for uploads of other kinds."""
    for name, faults, replayed, goal in (
        ("in order", "", False, IN_ORDER),
        ("shuffled", SHUFFLED, False, SHUFFLE),
        ("in order, replayed from a file", "", True, REPLAYED),
    ):
        with stand(faults=faults) as it:
            warm(it)
            info = it.put(upload(BYTES[size], LINE_BYTES))
            taken = intake(it, info)
            if name == "in order":
                yield taken
            yield write(it, info, name, replayed=replayed, goal=goal)
    for kind in KINDS:
        with stand() as it:
            warm(it)
            yield from of_kind(it, kind, KIND_BYTES[size])


def warm(it: Stand) -> None:
    """Run one line, so that no import and no first call is measured: `cold` has those."""
    it.announce(it.put(lines(1, LINE_BYTES), "bench/warm.jsonl"))
    it.deliver()
    it.tick()
    it.deliver()


def of_kind(it: Stand, kind: Kind, size: int) -> Iterator[Figure]:
    """Measure intake of an upload of some kind, then the writing of its results from a file."""
    if kind.recipe:
        it.announce(it.put([kind.recipe], "tables/recipe.yaml"))
        it.deliver()
    info = it.put(kind.upload(size), kind.object)
    yield replace(intake(it, info), what=f"{kind.name}, {_megabytes(info.size)}")
    yield write(it, info, f"{kind.name}, replayed from a file", replayed=True, goal=REPLAYED)


def intake(it: Stand, info: ObjectInfo) -> Figure:
    """Run an upload up to its batches; creating them is the provider's work and not counted."""
    it.tally.clear()
    it.seconds.clear()
    it.cpu.clear()
    it.announce(info)
    it.deliver()
    ours = Spent(it.seconds["submit"] - it.tally.seconds.get("provider.create", 0.0), it.cpu["submit"])
    as_sent = _as_sent(it, info)
    floor = staged(it.stack.objects, it.stack.provider, as_sent).least(
        staged(it.stack.objects, it.stack.provider, as_sent)
    )
    return _figure("intake", _megabytes(info.size), ours, floor, INTAKE, info.size)


def _as_sent(it: Stand, info: ObjectInfo) -> ObjectInfo:
    """Return an object of as many bytes as were sent: a converted upload grows, and its floor with it."""
    size = sum(shard.value.bytes for shard in it.common().store.shards(queries.shards_of(_job_id(it))))
    if size <= info.size:
        return info
    with it.stack.objects.create("floor", f"sent-{info.generation}") as writer:
        for begin in range(0, size, MB):
            writer.write(bytes(min(MB, size - begin)))
        return writer.close()


def write(it: Stand, info: ObjectInfo, name: str, *, replayed: bool, goal: float) -> Figure:
    """Write the results of an upload that is at the provider."""
    it.tick()
    if replayed:
        _replay(it)
    batches = [_batch(shard.value) for shard in it.common().store.shards(queries.shards_of(_job_id(it)))]
    before, size = downloaded(it.stack.objects, it.stack.provider, batches)
    again, _ = downloaded(it.stack.objects, it.stack.provider, batches)
    it.deliver()
    ours, floor = Spent(it.seconds["write"], it.cpu["write"]), before.least(again)
    figure = _figure("write", f"{name}, {_megabytes(size)}", ours, floor, goal, size)
    return replace(figure, context=figure.context | {"rows": it.job(info).counts.results})


def _replay(it: Stand) -> None:
    """Make each batch's results a file that is sent as it is."""
    store: Store = it.common().store
    provider = it.stack.provider
    for stored in store.shards(queries.shards_of(_job_id(it))):
        with it.stack.objects.create("replay", stored.value.shard_id) as writer:
            for part in provider.results(_batch(stored.value)):
                for chunk in part.chunks:
                    writer.write(chunk)
            info = writer.close()
        file = _file(provider, it, info)
        store.save(
            stored,
            stored.value.model_copy(update={"batch": stored.value.batch.model_copy(update={"parts": (file,)})}),
        )
        it.stack.objects.delete("replay", info.name)


def _file(provider: GeminiApi, it: Stand, info: ObjectInfo) -> str:
    return provider.stage(it.stack.objects.read(info.bucket, info.name), size=info.size, name="replay").reference


def _job_id(it: Stand) -> str:
    return it.common().store.jobs(queries.newest_jobs(1))[0].value.job_id


def _batch(shard: Shard) -> Batch:
    ref = shard.batch
    return Batch(ref.name, "", shard.model, BatchState(ref.state), "", shard.created_at, parts=ref.parts)


def _megabytes(size: int) -> str:
    return f"{size / MB:,.0f} MB"


def _figure(bench: str, what: str, ours: Spent, floor: Spent, goal: float, size: int) -> Figure:
    context: dict[str, float | str] = {
        "MB/s": size / MB / ours.wall,
        "floor MB/s": size / MB / floor.wall,
        "CPU s": ours.cpu,
        "CPU ratio": ours.cpu / floor.cpu,
    }
    return Figure(bench, what, ours.wall, "s", floor.wall, goal, context)
