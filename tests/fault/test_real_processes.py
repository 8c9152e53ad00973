"""Real processes: functions killed by SIGKILL at random under load, a provider that fails at random, then calm.

Everything is Google's own or over real HTTP: functions-framework, the Pub/Sub and Firestore emulators, a Cloud Storage
server, the Gemini emulator. Afterwards every line of every upload has exactly one row, no batch was paid twice without
being found, cancelled and reported, and nothing is left in a state that is not an end.

Leases and the quarantine are shortened, in the relations they have by default, so that minutes are enough.
"""

from __future__ import annotations

import json
import os
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchdrop.core.state import names, queries
from batchdrop.core.state.job import Job
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators import google_jars
from batchdrop_local.emulators.gemini import CallFault, Faults, RowFaults
from batchdrop_local.stack.emulated import emulated
from batchdrop_local.stack.stack import Options, Stack
from tests.fault.fleet import Fleet
from tests.harness import lines

FULL = os.environ.get("FAULT") == "full"
SEED = int(os.environ.get("SEED", "20261123"))
UPLOADS, LINES, CHAOS_SECONDS = (60, 400, 240.0) if FULL else (8, 150, 24.0)
END_SECONDS = 600.0
SETTINGS = {
    "BATCHDROP_FUNCTION_TIMEOUT_SECONDS": "10",
    "BATCHDROP_CALL_SECONDS": "8",
    "BATCHDROP_LEASE_SECONDS": "11",
    "BATCHDROP_CREATE_TIMEOUT_SECONDS": "3",
    "BATCHDROP_FINISH_TIMEOUT_SECONDS": "2",
    "BATCHDROP_QUARANTINE_SECONDS": "12",
    "BATCHDROP_RECONCILE_SECONDS": "2",
    "BATCHDROP_HOLD_OFF_SECONDS": "1",
    "BATCHDROP_SWEEP_SECONDS": "5",
    "BATCHDROP_EVENT_MINUTES": "0.2",
    "BATCHDROP_ORPHAN_MINUTES": "0.1",
    "BATCHDROP_RANGE_LINES": "60",
    "BATCHDROP_SHARD_REQUESTS": "50",
    "BATCHDROP_MAX_CLAIMS": "1000",
}
ROWS = RowFaults(error_rate=0.03, missing_rate=0.02, empty_rate=0.02, duplicate_rate=0.02, shuffle=True, heal=True)
CALLS = (
    CallFault("create", lose=True, rate=0.2),
    CallFault("create", status=503, rate=0.1),
    CallFault("create", status=429, rate=0.1, retry_seconds=1),
    CallFault("list", status=500, rate=0.2),
    CallFault("list", cut_after_bytes=200, rate=0.1),
    CallFault("upload", drop=True, rate=0.05),
    CallFault("download", cut_after_bytes=20_000, rate=0.2),
    CallFault("*", status=500, rate=0.05),
)
TROUBLE = Faults(
    seed=SEED, running_seconds=1, late_create_seconds=1, list_lag_seconds=2, page_size=7, rows=ROWS, calls=CALLS
)


@pytest.fixture(autouse=True)
def _needs_google() -> None:
    lacking = "; ".join(google_jars.missing())
    if lacking and os.environ.get("BATCHDROP_REQUIRE_EMULATORS") == "1":
        pytest.fail(lacking)
    if lacking:
        pytest.skip(lacking)


def control(stack: Stack, path: str, data: bytes | None = None) -> Any:
    """Ask the emulator's control endpoint, or set something there."""
    request = urllib.request.Request(f"{stack.gemini_url}/control/{path}", data, method="PUT" if data else "GET")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def uploads(stack: Stack, folder: Path) -> Iterator[ObjectInfo]:
    """Upload one file after another."""
    for number in range(UPLOADS):
        path = folder / f"{number}.jsonl"
        path.write_bytes(lines(*(f"upload {number}, line {line}" for line in range(LINES))) + b"not JSON\n")
        yield stack.upload(path, f"team-{number % 3}/{number}.jsonl")


def hurt(stack: Stack, fleet: Fleet, folder: Path, chance: random.Random) -> list[ObjectInfo]:
    """Upload while functions are killed; return what was uploaded."""
    left, found = uploads(stack, folder), list[ObjectInfo]()
    until = time.monotonic() + CHAOS_SECONDS
    while time.monotonic() < until:
        if (info := next(left, None)) is not None:
            found.append(info)
        time.sleep(chance.uniform(0.5, 5))
        fleet.kill_one(chance)
    return [*found, *left]


def at_rest(stack: Stack, fleet: Fleet, infos: list[ObjectInfo]) -> list[Job]:
    """Wait until every upload's job has ended and was cleaned; return the jobs."""
    store = stack.context.store
    until = time.monotonic() + END_SECONDS
    waiting = {names.job_id(info.bucket, info.name, info.generation) for info in infos}
    ended: list[Job] = []
    while waiting and time.monotonic() < until:
        for job_id in sorted(waiting):
            stored = store.job(job_id)
            if stored is not None and stored.value.state.terminal and stored.value.cleaned:
                waiting.remove(job_id)
                ended.append(stored.value)
        fleet.revive()
        time.sleep(0.5)
    assert not waiting, f"did not end: {[store.job(job_id) for job_id in waiting]}"
    return ended


def rows_of(stack: Stack, job: Job) -> list[dict[str, Any]]:
    objects, bucket = stack.context.objects, stack.context.settings.output_bucket
    prefix = names.output_prefix(job.source.object, job.job_id)
    found: list[dict[str, Any]] = []
    for info in objects.list(bucket, prefix=prefix).objects:
        if info.name.endswith(".jsonl"):
            data = b"".join(objects.read(bucket, info.name))
            found += [json.loads(line) for line in data.split(b"\n") if line]
    return found


@pytest.mark.timeout(int(2 * END_SECONDS))
def test_functions_killed_under_load_lose_nothing_and_pay_nothing_twice_in_silence(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    fleet = Fleet(tmp_path / "logs")
    faults = msgspec.json.encode(TROUBLE).decode()
    options = Options(root=tmp_path, faults=faults, settings=SETTINGS, tick_seconds=1.0)
    with emulated(options, lambda _: fleet) as stack:
        infos = hurt(stack, fleet, tmp_path, chance)
        control(stack, "faults", msgspec.json.encode(Faults()))
        jobs = at_rest(stack, fleet, infos)
        outcomes: Counter[str] = Counter()
        reported: set[str] = set()
        for job in jobs:
            rows = rows_of(stack, job)
            assert Counter(row["line"] for row in rows) == Counter(range(1, LINES + 2)), job.source.object
            outcomes.update(row.get("outcome", "rejected") for row in rows)
            shards = [stored.value for stored in stack.context.store.shards(queries.shards_of(job.job_id))]
            assert [shard.shard_id for shard in shards if not shard.state.terminal] == []
            reported |= {shard.shard_id for shard in shards if shard.batch.duplicates}
        stats = control(stack, "stats")
        silent = [name for name in stats["duplicate_display_names"] if name.rpartition(".")[2] not in reported]
        assert not silent, f"paid twice and not reported: {silent}"
        assert not {"PENDING", "RUNNING"} & set(stats["batches"])
        assert sum(fleet.killed.values()) >= CHAOS_SECONDS / 5
        print(f"{len(jobs)} jobs, {len(jobs) * (LINES + 1):,} lines, each with one row: {dict(outcomes)}")
        print(f"killed {fleet.killed}; provider calls {stats['calls']}; batches {stats['batches']}")
        print(f"paid twice, found and reported: {len(reported)}")
