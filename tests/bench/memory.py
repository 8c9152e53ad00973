"""Peak resident memory of each function, every step in a fresh process: `python -m tests.bench.memory submit`.

The process imports the function's own `main.py` and Google's client libraries, as an instance in the cloud holds them,
then handles every message that waits for it on a prepared stack. The emulator runs beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.core import logs
from batchdrop.core.settings import CommonSettings, load
from batchdrop.core.state import names
from batchdrop.handling import Response, answered, on_submit, on_tick, on_write
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.steps.context import Context
from batchdrop.wiring import build
from batchdrop_local.folder.notifying import notify
from batchdrop_local.stack.pusher import envelope
from batchdrop_local.stack.stack import export
from tests.bench.data import MB, upload
from tests.bench.figures import Figure, Size
from tests.bench.stands import MODEL, emulator, folder

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.bench.memory"
LINE_BYTES = 942
SHUFFLED = '{"rows":{"shuffle":true}}'
CASES: dict[Size, tuple[tuple[int, str], ...]] = {
    Size.SMALL: ((10 * MB, ""), (100 * MB, SHUFFLED)),
    Size.FULL: ((10 * MB, ""), (1000 * MB, SHUFFLED), (1000 * MB, ""), (4000 * MB, "")),
}
GOAL_MIB = 256
GROWTH = 1.1
STEPS = 30
CLOUD = ("google.cloud.firestore", "google.cloud.pubsub_v1", "google.cloud.storage")
TOPICS = {"submit": (Topic.UPLOADS, Topic.SHARDS), "poll": (Topic.LOOKS,), "write": (Topic.BATCHES_FINISHED,)}


def run(size: Size) -> Iterator[Figure]:
    """Measure every case; then how much the largest needs more than the one before."""
    before: Mapping[str, float] = {}
    peaks: Mapping[str, float] = {}
    for volume, faults in CASES[size]:
        before, peaks = peaks, measured(volume, faults)
        what = f"{volume // MB:,} MB{' shuffled' if faults else ''}"
        for name in TOPICS:
            context: dict[str, float | str] = {"after import": peaks[f"{name} idle"]}
            yield Figure("peak memory", f"{name}, {what}", peaks[name], "MiB", None, GOAL_MIB, context)
    for name in TOPICS if size is Size.FULL else ():
        yield Figure("peak memory", f"{name}, largest against the one before", peaks[name], "MiB", before[name], GROWTH)


def measured(volume: int, faults: str) -> dict[str, float]:
    """Run one upload, each step of each function in a process of its own; return the highest peaks."""
    with folder() as root, emulator(root, faults) as url, ExitStack() as running:
        variables = {
            "BATCHDROP_LOCAL_DIR": str(root),
            "BATCHDROP_GEMINI_BASE_URL": url,
            "GEMINI_API_KEY": "emulator",
            "BATCHDROP_ENQUEUED_TOKENS": json.dumps({MODEL: 1 << 40}),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "shared")]),
        }
        export(running, variables)
        context = build(load(CommonSettings))
        with context.objects.create("input", "bench/upload.jsonl") as writer:
            for chunk in upload(volume, LINE_BYTES):
                writer.write(chunk)
            info = writer.close()
        notify(context.topics, info)
        return _peaks(context, info)


def _peaks(context: Context[CommonSettings], info: ObjectInfo) -> dict[str, float]:
    peaks: dict[str, float] = {}
    job_id = names.job_id(info.bucket, info.name, info.generation)
    for _ in range(STEPS):
        for name in TOPICS:
            found: dict[str, float] = json.loads(
                subprocess.run([sys.executable, "-m", MODULE, name], check=True, stdout=subprocess.PIPE).stdout
            )
            peaks[name] = max(peaks.get(name, 0.0), found["peak"])
            peaks[f"{name} idle"] = found["idle"]
        stored = context.store.job(job_id)
        if stored is not None and stored.value.state.terminal:
            return peaks
    raise RuntimeError("the job did not end")


def _child(name: str) -> None:
    """Do all that waits for a function, then print what memory it took."""
    for library in CLOUD:
        importlib.import_module(library)
    context = _context(name)
    idle = _peak_mib()
    with Path(os.devnull).open("w") as quiet, logs.to(quiet):
        if name == "poll":
            _checked(answered(lambda: on_tick(context.fresh())))
        handle = on_submit if name == "submit" else on_write
        topics = cast(SqliteTopics, context.topics)
        for topic in TOPICS[name] * 2:
            while message := topics.lease(topic, 600):
                body = json.dumps(envelope(message)).encode()
                _checked(answered(lambda body=body: handle(context.fresh(), body)))
                topics.ack(message)
    sys.stdout.write(json.dumps({"idle": idle, "peak": _peak_mib()}))


def _context(name: str) -> Context[Any]:
    """Return the context a function's own `main.py` builds."""
    spec = importlib.util.spec_from_file_location("main", ROOT / "functions" / name / "main.py")
    if spec is None or spec.loader is None:
        raise RuntimeError(f"there is no function {name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.context()


def _checked(response: Response) -> None:
    if response[1] != 204:
        raise RuntimeError("a message was refused")


def _peak_mib() -> float:
    """Return the highest resident memory; Linux's own mark where there is one, as ru_maxrss survives an exec."""
    status = Path("/proc/self/status")
    marks = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
    kib = int(marks[0].split()[1]) if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kib / 1024, 1)


if __name__ == "__main__":
    _child(sys.argv[1])
