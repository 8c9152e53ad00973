"""What a person wants to know when a demo's job has ended, or is held."""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from batchdrop.core.limits import KIB, MIB
from batchdrop.core.recipe.recipe import RECIPE_NAME
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.steps.context import Context
from batchdrop.steps.plan.hold import MISSING
from batchdrop_local.demo.watching import View
from batchdrop_local.stack.stack import Stack

SHOWN_FAILURES: Final = 12
EXAMPLE: Final = """\
model: gemini-2.5-flash-lite
prompt: "Sort this into a category: {{ text }}"
labels: [positive, negative, mixed]"""
"""A recipe as short as one can be; `text` stands for a field of the records."""


def summarize(
    context: Context[CommonSettings],
    view: View,
    start_seconds: float,
    *,
    live: bool,
    folder: Path,
) -> bool:
    """Print it; return whether every line of the input has exactly one row.

    Args:
        context: The stack's.
        view: The job at its end.
        start_seconds: How long the stack took to start.
        live: Whether the answers are real.
        folder: Where the input lies, and its recipe should.
    """
    job = view.job
    counts = job.counts
    total = counts.results + counts.errors + counts.rejections
    ok = job.state.value == "DONE" and total == counts.lines - counts.blank
    print()
    print(f"job        {job.job_id}  {job.state.value} {job.verdict or ''}")
    if job.failure:
        print(f"reason     {job.failure.code}: {job.failure.message} {job.failure.fix}")
    if job.failure and job.failure.code == MISSING:
        print(
            f"           Write these three lines to {folder / RECIPE_NAME}, with your own words and fields:"
        )
        print(
            "".join(f"               {line}\n" for line in EXAMPLE.splitlines()), end=""
        )
    print(f"dialect    {job.dialect}, model {job.model}")
    for warning in job.warnings:
        print(f"warning    {warning}")
    print(f"lines      {counts.lines:,} ({counts.blank} blank)")
    rows = f"{counts.results:,} results + {counts.errors:,} errors + {counts.rejections:,} rejections"
    print(f"rows       {rows} = {total:,}")
    print(
        f"outcomes   {', '.join(f'{name} {count:,}' for name, count in counts.by_outcome.items())}"
    )
    print(
        f"batches    {sum(1 for shard in view.shards if shard.batch.name)} in {1 + _rounds(view)} rounds"
    )
    print(f"Gemini     {'the real API' if live else 'emulator, answers made up'}")
    print(f"cost       {_cost(job, live)}")
    print(f"time       {_times(view, start_seconds)}")
    _print_failures(context, job.manifest)
    return ok


def _cost(job: Job, live: bool) -> str:
    """Say what the rows cost at the provider, or real ones would have, and what became of a context cache."""
    if job.cost is None:
        return "nothing was sent"
    amount, standard = job.cost["amount"], job.cost["standard"]
    words = (
        f"unknown: {job.cost['reason']}"
        if amount is None
        else f"{amount} USD; sent at once {standard}"
    )
    words = words if live else f"nothing; real answers of this size: {words}"
    return f"{words}; cache: {job.caching.reason}" if job.caching else words


def _rounds(view: View) -> int:
    return max((shard.round for shard in view.shards), default=0)


def _times(view: View, start_seconds: float) -> str:
    job = view.job
    marks = {
        "planning": (job.created_at, job.planned_at),
        "batches and rows": (job.planned_at, job.finalizing_at),
        "output": (job.finalizing_at, job.ended_at),
    }
    parts = [
        f"{name} {(end - begin).total_seconds():.1f} s"
        for name, (begin, end) in marks.items()
        if begin and end
    ]
    return ", ".join([f"start {start_seconds:.1f} s", *parts])


def _print_failures(context: Context[CommonSettings], manifest: str | None) -> None:
    """Show what failed and why, by code, with the first line of each."""
    if manifest is None:
        return
    bucket, _, name = manifest.partition("/")
    prefix = name.removesuffix("manifest.json")
    body = json.loads(b"".join(context.objects.read(bucket, name)))
    kinds = (
        ("errors", "rejections")
        if body["output"]["dialect"] == "rows"
        else ("rejections",)
    )
    found: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for part in body["parts"]:
        if part["name"].startswith(kinds):
            for row in _rows(context, bucket, prefix + part["name"]):
                kind = (row.get("outcome", "rejected"), row["code"])
                found[kind] += 1
                first.setdefault(
                    kind,
                    (row["line"], f"{row.get('pointer', '')} {row['message']}".strip()),
                )
    if found:
        print("not answered:")
    for (outcome, code), count in found.most_common(SHOWN_FAILURES):
        line, message = first[(outcome, code)]
        print(
            f"  {count:>6,}  {outcome:<9} {code:<28} first at line {line}: {message[:90]}"
        )


def _rows(
    context: Context[CommonSettings], bucket: str, name: str
) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in context.objects.read(bucket, name):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, whole)
    if rest:
        yield json.loads(rest)


def manifest_path(root: Path, view: View) -> str:
    """Return the path of the job's manifest in a stack's folder."""
    manifest = view.job.manifest
    return str(root / "buckets" / manifest) if manifest else "none"


def print_memory(stack: Stack) -> None:
    """Print the peak memory of this process and of the Gemini emulator."""
    own = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * maxrss_unit(sys.platform)
        // MIB
    )
    other = _peak_mib(stack.gemini_pid)
    emulator = f", Gemini emulator {other} MiB" if other else ""
    print(f"memory     peak: stack {own} MiB{emulator}")


def maxrss_unit(platform: str) -> int:
    """Return the bytes in a unit of `ru_maxrss`: KiB on Linux, bytes on macOS (getrusage(2) of each)."""
    return 1 if platform == "darwin" else KIB


def _peak_mib(pid: int | None) -> int | None:
    """Return a process's peak resident memory (Linux: proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status")
    if pid is None or not status.exists():
        return None
    found = [
        line for line in status.read_text().splitlines() if line.startswith("VmHWM")
    ]
    return int(found[0].split()[1]) // 1024 if found else None
