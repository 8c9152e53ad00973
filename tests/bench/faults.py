"""What ours and the script lose when something goes wrong: rows without an answer, batches that are paid twice.

A program that gives up, or is killed, is started once more with the same words, as a person does or cron. Nothing is
lost or paid twice by ours; for the script it is measured, not bounded.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.beside import OURS, SCRIPT, Rival, World, world
from tests.bench.data import lines
from tests.bench.figures import Figure, Size
from tests.bench.stands import folder

LINE_BYTES = 374
REQUESTS = {Size.SMALL: 2_000, Size.FULL: 20_000}
STARTS = 2
LOOK_SECONDS = 0.02
END_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the provider, and the call at whose number the program is killed while it waits for the answer."""

    name: str
    faults: str
    kill_at: tuple[str, int] | None = None


TROUBLES = (
    Trouble("1 % failing rows", '{"rows":{"error_rate":0.01,"heal":true}}'),
    Trouble("download cut", '{"calls":[{"call":"download","times":1,"cut_after_bytes":100000}]}'),
    Trouble("create answer lost", '{"calls":[{"call":"create","times":1,"lose":true}]}'),
    Trouble("kill -9 after create", '{"calls":[{"call":"create","times":1,"hang_seconds":600}]}', ("create", 1)),
    Trouble("kill -9 while polling", '{"running_seconds":6}', ("get", 2)),
    Trouble("kill -9 while writing", '{"calls":[{"call":"download","times":1,"delay_seconds":600}]}', ("download", 1)),
)


@dataclass(frozen=True, slots=True)
class Harm:
    """What became of one file."""

    lost: int
    twice: int
    seconds: float
    starts: int


def run(size: Size) -> Iterator[Figure]:
    """Measure every trouble."""
    yield from measured(REQUESTS[size], TROUBLES)


def measured(count: int, troubles: tuple[Trouble, ...]) -> Iterator[Figure]:
    """Let both go through the troubles with a file of so many lines."""
    with folder() as root:
        source = root / "requests.jsonl"
        source.write_bytes(b"".join(lines(count, LINE_BYTES)))
        for trouble in troubles:
            ours, script = (suffered(rival, source, count, trouble) for rival in (OURS, SCRIPT))
            context: dict[str, float | str] = {
                "s": ours.seconds,
                "script's s": script.seconds,
                "starts": ours.starts,
                "script's starts": script.starts,
            }
            yield Figure("faults", f"{trouble.name}: rows lost", ours.lost, "", script.lost, 0)
            yield Figure("faults", f"{trouble.name}: batches paid twice", ours.twice, "", script.twice, 0, context)


def suffered(rival: Rival, source: Path, count: int, trouble: Trouble) -> Harm:
    """Run one of them through a trouble on a fresh provider."""
    with world(source, trouble.faults) as it:
        begun, starts = time.monotonic(), 0
        while starts < STARTS:
            starts += 1
            if _started(rival, it, trouble if starts == 1 else None) == 0:
                break
        seconds = time.monotonic() - begun
        return Harm(count - it.answered(), it.paid_twice(), seconds, starts)


def _started(rival: Rival, it: World, trouble: Trouble | None) -> int:
    """Run the program to its end, or to its death; return its exit code."""
    with (it.target.parent / "said").open("ab") as said:
        command = rival.command(it.source, it.target)
        process = subprocess.Popen(command, env=it.environment(), stdout=said, stderr=said)
        if trouble is not None and trouble.kill_at is not None:
            _await_call(it, process, *trouble.kill_at)
            process.send_signal(signal.SIGKILL)
            it.heal()
        try:
            return process.wait(END_SECONDS)
        finally:
            process.kill()


def _await_call(it: World, process: subprocess.Popen[bytes], call: str, number: int) -> None:
    """Wait until the provider has got a call; a batch that is being created then exists."""
    while process.poll() is None:
        stats = it.stats()
        if stats["calls"].get(call, 0) >= number and stats["batches"]:
            return
        time.sleep(LOOK_SECONDS)
    raise RuntimeError("the program ended before it could be killed")
