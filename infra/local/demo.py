"""The main job on one machine: a file goes in, rows come out, a summary says what happened.

python -m infra.local.demo [--input FILE] [--model NAME] [--stack embedded|emulators] [--live]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from batchdrop.core import logs, names
from batchdrop.core.jobs import Job
from batchdrop.core.recipes import RECIPE_NAME
from batchdrop.core.settings import CommonSettings
from batchdrop.usecases.context import Context
from infra.local.sample import write_sample
from infra.local.stack import Options, Stack, embedded
from infra.local.watching import View, follow

TIMEOUT_SECONDS = 3600.0
LIVE_TIMEOUT_SECONDS = 48 * 3600.0
SHOWN_FAILURES = 12


def main() -> int:
    """Run the demo; return 0 when every line is accounted for."""
    arguments = _arguments()
    root = (arguments.data or Path(tempfile.mkdtemp(prefix="batchdrop-demo-"))).resolve()
    if arguments.data and root.exists():
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    source = arguments.input or root / "tickets.jsonl"
    if arguments.input is None:
        write_sample(source)
    elif not source.is_file():
        sys.stdout.write(f"there is no file {source}\n")
        return 2
    if arguments.live and not os.environ.get("GEMINI_API_KEY"):
        sys.stdout.write("GEMINI=live needs the environment variable GEMINI_API_KEY\n")
        return 2
    options = Options(root=root, live=arguments.live)
    log = root / "logs" / "functions.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with _logged(log), open_stack(arguments.stack, options) as stack:
        ready = time.monotonic()
        print(f"stack      {arguments.stack}, ready in {ready - started:.1f} s; logs in {log.parent}")
        view = _run(stack, source, arguments.model, arguments.live)
        ok = summarize(stack.context, view, source, ready - started)
        _print_memory(stack)
    print(f"manifest: {_manifest_path(root, view)}")
    return 0 if ok else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run one file through a Batchdrop stack on this machine.")
    parser.add_argument("--input", type=Path, default=None, help="a JSONL file (default: a sample)")
    parser.add_argument("--model", default="", help="the Gemini model (default: the stack's)")
    parser.add_argument("--stack", choices=("embedded", "emulators"), default="embedded")
    parser.add_argument("--live", action="store_true", help="use the real Gemini API")
    parser.add_argument(
        "--data", type=Path, default=None, help="the stack's folder, emptied first (default: a new one)"
    )
    return parser.parse_args()


def open_stack(name: str, options: Options) -> AbstractContextManager[Stack]:
    """Return the stack of that name, to be entered."""
    if name == "embedded":
        return embedded(options)
    from infra.local.emulated import emulated

    return emulated(options)


@contextlib.contextmanager
def _logged(path: Path) -> Generator[None]:
    """Send the functions' log lines to a file; the summary keeps the terminal."""
    with path.open("a", buffering=1) as out, logs.to(out):
        yield


def _run(stack: Stack, source: Path, model: str, live: bool) -> View:
    name = f"demo/{source.name}"
    metadata = {"model": model} if model else {}
    recipe = source.parent / RECIPE_NAME
    if recipe.exists():
        stack.upload(recipe, f"demo/{RECIPE_NAME}", {})
        print(f"recipe     {recipe}")
    info = stack.upload(source, name, metadata)
    print(f"upload     {info.bucket}/{name}  {info.size:,} bytes")
    job_id = names.job_id(info.bucket, name, info.generation)
    return follow(stack.context, job_id, LIVE_TIMEOUT_SECONDS if live else TIMEOUT_SECONDS)


def summarize(context: Context[CommonSettings], view: View, source: Path, start_seconds: float) -> bool:
    """Print what a person wants to know; return whether every line of the input has exactly one row."""
    job = view.job
    counts = job.counts
    total = counts.results + counts.errors + counts.rejections
    ok = job.state.value == "DONE" and total == counts.lines - counts.blank
    print()
    print(f"job        {job.job_id}  {job.state.value} {job.verdict or ''}")
    if job.failure:
        print(f"reason     {job.failure.code}: {job.failure.message} {job.failure.fix}")
    print(f"dialect    {job.dialect}, model {job.model}")
    for warning in job.warnings:
        print(f"warning    {warning}")
    print(f"lines      {counts.lines:,} ({counts.blank} blank)")
    rows = f"{counts.results:,} results + {counts.errors:,} errors + {counts.rejections:,} rejections"
    print(f"rows       {rows} = {total:,}")
    print(f"outcomes   {', '.join(f'{name} {count:,}' for name, count in counts.by_outcome.items())}")
    print(f"batches    {sum(1 for shard in view.shards if shard.batch.name)} in {1 + _rounds(view)} rounds")
    print(f"cost       {_cost(job)}")
    print(f"time       {_times(view, start_seconds)}")
    _print_failures(context, job.manifest)
    return ok


def _cost(job: Job) -> str:
    """Say what the rows would have cost at the provider, and what became of a context cache."""
    if job.cost is None:
        return "nothing was sent"
    amount, standard = job.cost["amount"], job.cost["standard"]
    words = f"unknown: {job.cost['reason']}" if amount is None else f"{amount} USD; sent at once {standard}"
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
    parts = [f"{name} {(end - begin).total_seconds():.1f} s" for name, (begin, end) in marks.items() if begin and end]
    return ", ".join([f"start {start_seconds:.1f} s", *parts])


def _print_failures(context: Context[CommonSettings], manifest: str | None) -> None:
    """Show what failed and why, by code, with the first line of each."""
    if manifest is None:
        return
    bucket, _, name = manifest.partition("/")
    prefix = name.removesuffix("manifest.json")
    body = json.loads(b"".join(context.objects.read(bucket, name)))
    kinds = ("errors", "rejections") if body["output"]["dialect"] == "rows" else ("rejections",)
    found: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for part in body["parts"]:
        if part["name"].startswith(kinds):
            for row in _rows(context, bucket, prefix + part["name"]):
                kind = (row.get("outcome", "rejected"), row["code"])
                found[kind] += 1
                first.setdefault(kind, (row["line"], f"{row.get('pointer', '')} {row['message']}".strip()))
    if found:
        print("not answered:")
    for (outcome, code), count in found.most_common(SHOWN_FAILURES):
        line, message = first[(outcome, code)]
        print(f"  {count:>6,}  {outcome:<9} {code:<28} first at line {line}: {message[:90]}")


def _rows(context: Context[CommonSettings], bucket: str, name: str) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in context.objects.read(bucket, name):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, whole)
    if rest:
        yield json.loads(rest)


def _manifest_path(root: Path, view: View) -> str:
    manifest = view.job.manifest
    return str(root / "buckets" / manifest) if manifest else "none"


def _print_memory(stack: Stack) -> None:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    other = _peak_mib(stack.gemini_pid)
    emulator = f", Gemini emulator {other} MiB" if other else ""
    print(f"memory     peak: stack {own} MiB{emulator}")


def _peak_mib(pid: int | None) -> int | None:
    """Return a process's peak resident memory (Linux: proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status")
    if pid is None or not status.exists():
        return None
    found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) // 1024 if found else None


if __name__ == "__main__":
    sys.exit(main())
