"""Many one-line uploads at once: seconds until the last manifest, and what each costs in calls.

    python -m tests.bench.many --uploads 1000 --stack embedded|emulators --limit 100

Seconds are those of a stack as `up` runs it, with room for every batch at once, then with the limit of 100 in flight.
Calls are counted in a second run (`counted`): for a one-line upload, ticks meanwhile included, and for a shard of an
upload that has one for each line.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from batchdrop.core import logs
from batchdrop.core.state import names
from batchdrop.ports import ObjectInfo
from batchdrop_local.choosing import open_stack
from batchdrop_local.emulators import google_jars
from batchdrop_local.folder.notifying import notify
from batchdrop_local.stack.stack import Options, Stack
from tests.bench.beside import control
from tests.bench.counted import counted_stack
from tests.bench.counting import Tally
from tests.bench.data import line, lines
from tests.bench.figures import Figure, Size, table
from tests.bench.local import put
from tests.bench.stands import TIER, folder

LINE_BYTES = 374
UPLOADS = {Size.SMALL: 100, Size.FULL: 1_000}
EMULATED = {Size.SMALL: 30, Size.FULL: 300}
COUNTED = {Size.SMALL: 30, Size.FULL: 100}
LIMIT: Final = 100
"""Batches in flight, the provider's documented limit."""
NO_LIMIT: Final = 4_000
"""As many as a ledger holds."""
BAR_SECONDS = {"embedded": 0.025, "emulators": 0.120}
"""Of an upload: 25 s and 120 s for a thousand."""
ROOM = f'{{"max_batches":{NO_LIMIT}}}'
LOOK_SECONDS = 0.05
END_SECONDS = 1200.0

COUNTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "documents read": ("calls", ("documents.get",)),
    "queries": ("calls", ("documents.query", "documents.count")),
    "documents queried": ("documents", ("documents.query",)),
    "documents written": ("calls", ("documents.create", "documents.replace")),
    "- races lost of these": ("lost", ("documents.create", "documents.replace")),
    "documents deleted": ("calls", ("documents.delete",)),
    "messages published": ("calls", ("topics.publish",)),
    "leases tried": ("calls", ("topics.lease",)),
    **{f"objects: {verb}": ("calls", (f"objects.{verb}",)) for verb in ("create", "copy", "read", "stat")},
    **{f"objects: {verb}": ("calls", (f"objects.{verb}",)) for verb in ("list", "delete")},
}


def run(size: Size) -> Iterator[Figure]:
    """Measure the embedded stack, and Google's emulators where they are installed."""
    stacks = {"embedded": UPLOADS[size]} | ({} if google_jars.missing() else {"emulators": EMULATED[size]})
    for stack, uploads in stacks.items():
        for limit in (NO_LIMIT, LIMIT):
            yield timed(stack, uploads, limit)
        yield from counts(stack, COUNTED[size])


def timed(stack: str, uploads: int, limit: int) -> Figure:
    """Put so many uploads into the bucket at once and wait for the last manifest."""
    with (
        folder() as root,
        (root / "log").open("w") as log,
        logs.to(log),
        open_stack(stack, _options(root, BATCHDROP_MAX_BATCHES=limit)) as it,
    ):
        seconds = _answered(it, uploads)
    what = f"{uploads:,} uploads, {stack}" + ("" if limit >= uploads else f", {limit} batches in flight")
    bar = BAR_SECONDS[stack] * uploads if limit >= NO_LIMIT else None
    return Figure("many", what, seconds, "s", None, bar, {"ms an upload": seconds / uploads * 1e3})


def counts(stack: str, count: int) -> Iterator[Figure]:
    """Count the calls for so many one-line uploads, and for an upload of so many shards."""
    uploads, http = _counted(stack, count, 1)
    shards, http_of_shards = _counted(stack, 1, count)
    for name, (kind, ports) in COUNTS.items():
        one, other = (sum(getattr(tally, kind)[port] for port in ports) for tally in (uploads, shards))
        yield Figure(f"counts, {stack}", name, one / count, "", None, None, {"a shard": other / count})
    yield Figure(
        f"counts, {stack}", "provider calls", http / count, "", None, None, {"a shard": http_of_shards / count}
    )


def _counted(stack: str, uploads: int, shards: int) -> tuple[Tally, int]:
    """Return what the functions called until all is tidied up, and how many calls the provider got."""
    tally = Tally()
    with folder() as root, (root / "log").open("w") as log, logs.to(log):
        options = _options(root, BATCHDROP_MAX_BATCHES=NO_LIMIT, BATCHDROP_SHARD_REQUESTS=1)
        with counted_stack(stack, options, tally) as it:
            _answered(it, uploads, shards, cleaned=True)
            calls: dict[str, int] = control(str(it.gemini_url), "stats")["calls"]
    kinds = {name for name in calls if not any(other.startswith(f"{name}.") for other in calls)}
    return tally, sum(calls[name] for name in kinds)


def _options(root: Path, **settings: int) -> Options:
    words = {name: str(value) for name, value in settings.items()} | {"BATCHDROP_TIER": str(TIER)}
    return Options(root=root, faults=ROOM, settings=words, say=lambda _: None)


def _answered(it: Stack, uploads: int, shards: int = 1, *, cleaned: bool = False) -> float:
    """Put uploads of so many lines into the bucket and wait for the last one's end, or until all is tidied up."""
    begun = time.perf_counter()
    infos = [_announced(it, number, shards) for number in range(uploads)]
    for info in infos:
        _await(it, info, begun + END_SECONDS, cleaned=cleaned)
    return time.perf_counter() - begun


def _announced(it: Stack, number: int, shards: int) -> ObjectInfo:
    one = [line(number, LINE_BYTES) + b"\n"]
    info = put(it, f"many/{number}.jsonl", one if shards == 1 else lines(shards, LINE_BYTES))
    if not it.notifies:
        notify(it.context.topics, info)
    return info


def _await(it: Stack, info: ObjectInfo, deadline: float, *, cleaned: bool) -> None:
    job_id = names.job_id(info.bucket, info.name, info.generation)
    while time.perf_counter() < deadline:
        stored = it.context.store.job(job_id)
        job = None if stored is None else stored.value
        if job is not None and job.state.terminal and (job.cleaned if cleaned else job.published):
            if job.verdict != "complete":
                raise RuntimeError(f"an upload did not end well: {job}")
            return
        time.sleep(LOOK_SECONDS)
    raise TimeoutError("the uploads did not end")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Many one-line uploads at once.")
    parser.add_argument("--uploads", type=int, default=1_000)
    parser.add_argument("--stack", choices=list(BAR_SECONDS), default="embedded")
    parser.add_argument("--limit", type=int, default=NO_LIMIT, help="batches in flight")
    parser.add_argument("--counts", action="store_true", help="count calls instead")
    typed = parser.parse_args()
    if typed.counts:
        print(table(list(counts(typed.stack, typed.uploads))))
    else:
        print(table([timed(typed.stack, typed.uploads, typed.limit)]))


if __name__ == "__main__":
    main()
