"""Ours beside the script and curl: wall, CPU of the client's processes, memory of its largest; in turn, best of some.

All three see the same file. A run that loses a row or pays a batch twice is an error here; `faults` counts those.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.beside import CURL, OURS, SCRIPT, Rival, launched, read_report, world
from tests.bench.data import lines
from tests.bench.figures import Figure, Size
from tests.bench.stands import folder

LINE_BYTES = 374
REQUESTS = {Size.SMALL: (1_000, 10_000), Size.FULL: (1_000, 100_000, 1_000_000)}
ROUNDS = {1_000: 5, 10_000: 3, 100_000: 3, 1_000_000: 2}
SOON = 1_000
"""At this size the start is nearly all: the bar is a difference."""
LATER_SECONDS = 0.3
WALL, CPU, MEMORY = 1.3, 1.5, 0.25
LARGE, LARGEST = 100_000, 1_000_000
"""From the first on, time has a bar; at the second, memory."""
Took = Mapping[str, float]


def run(size: Size) -> Iterator[Figure]:
    """Measure every size of file."""
    for count in REQUESTS[size]:
        yield from measured(count, ROUNDS[count])


def measured(count: int, rounds: int) -> Iterator[Figure]:
    """Run the rivals in turn, so many times, on a file of so many lines."""
    with folder() as root:
        source = root / "requests.jsonl"
        with source.open("wb") as out:
            out.writelines(lines(count, LINE_BYTES))
        took: dict[str, list[Took]] = {}
        for _ in range(rounds):
            for rival in (OURS, SCRIPT, CURL):
                took.setdefault(rival.name, []).append(once(rival, source, count))
    yield from _figures(count, took)


def once(rival: Rival, source: Path, count: int) -> Took:
    """Run one of them on a fresh provider; every line must have come back, paid once."""
    with world(source) as it:
        report = it.target.parent / "report"
        command = launched(rival.command(source, it.target), report)
        done = subprocess.run(command, env=it.environment(), capture_output=True, check=True)
        took = read_report(report)
        if took["code"] or it.answered() != count or it.paid_twice():
            raise RuntimeError(f"{rival.name} did not answer every line once: {done.stdout + done.stderr!r}")
        return took


def _figures(count: int, took: Mapping[str, list[Took]]) -> Iterator[Figure]:
    bars = {"wall": WALL, "cpu": CPU} if count >= LARGE else {}
    bars |= {"mib": MEMORY} if count >= LARGEST else {}
    for name, title, unit in (("wall", "wall", "s"), ("cpu", "CPU", "s"), ("mib", "memory", "MiB")):
        best = {rival: min(run[name] for run in runs) for rival, runs in took.items()}
        middle = {rival: statistics.median(run[name] for run in runs) for rival, runs in took.items()}
        context: dict[str, float | str] = {
            "median": middle[OURS.name],
            "script's": middle[SCRIPT.name],
            "curl": best[CURL.name],
            "runs": len(took[OURS.name]),
        }
        what = f"{count:,} lines: {title}"
        yield Figure("rivals", what, best[OURS.name], unit, best[SCRIPT.name], bars.get(name), context)
        if count == SOON and name == "wall":
            later = best[OURS.name] - best[SCRIPT.name]
            yield Figure("rivals", f"{count:,} lines: later than the script", later, "s", None, LATER_SECONDS)
