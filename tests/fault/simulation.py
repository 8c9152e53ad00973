"""A seeded simulation: several workers at once, and a scheduler that is out to hurt them.

Every port call is a point where the scheduler decides who goes on. It duplicates, delays, reorders and drops
messages, pauses workers until their leases are over, kills them, moves the clock, and lets the provider lose, delay and
refuse calls. After a while the world heals, and every promise must hold. The same seed gives the same run.

One thing the model rules out, as the protocol does: a pause longer than the quarantine between the last look at the
clock and the sending of a create call.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from batchdrop.adapters.local.sqlite_topics import Leased
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator, RowFaults
from tests.fault.killing import Crash, Scenario, check, killable, paid_twice
from tests.harness import PUSHED, lines

MAX_WORKERS = 3
STEPS = 300
MAX_CRASHES = 5
MAX_DROPS = 3
BURSTS = (1, 1, 2, 3, 5, 8, 13, 40)
"""Calls a worker does before somebody else has the turn: short for races, long to get somewhere."""
TIMES = (1, 20, 60, 60, 60, 300, 700, 1300)
"""Seconds: within a lease, over a lease, over the quarantine."""
ALL = 10_000
"""More calls than a function makes."""
MARKS = ("", "", "", "", " [[emulate:error-once=13]]", " [[emulate:missing-once]]", " [[emulate:poison]]")
LOOK = 10
"""Steps between two looks at whether all is over."""
CREATE = "GeminiProvider.create"


@dataclass
class Worker:
    """A function call under way in a thread that moves only when it is told to."""

    number: int
    go: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue[None])
    at: str = ""
    finished: bool = False
    killed: bool = False
    paused_until_step: int = 0


class Turnstile:
    """A trap that stops every port call until its worker is told to go on."""

    def __init__(self) -> None:
        self.current = threading.local()
        self.back: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.calls: list[str] = []
        """Who did what, in order."""
        self.armed = True

    def begin(self) -> None:
        """Nothing to do."""

    def pass_through(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Wait for the turn, then do the call or die."""
        worker: Worker | None = getattr(self.current, "worker", None)
        if worker is None:
            return call(*args, **options)
        worker.at = name
        self.back.put(None)
        worker.go.get()
        if worker.killed:
            raise Crash(name)
        self.calls.append(f"{worker.number} {name}")
        return call(*args, **options)


class Simulation:
    """One seeded run."""

    def __init__(self, seed: int, gemini: GeminiEmulator, folder: Path, **overrides: Any) -> None:
        self.random = random.Random(seed)
        self.gemini = gemini
        self.turnstile = Turnstile()
        self.workers: list[Worker] = []
        self.crashes = self.drops = self.started = 0
        overrides = {"range_lines": 2, "shard_requests": 3, "max_claims": 50, **overrides}
        self.stack = killable(gemini, folder, self.turnstile, Faults(), overrides)

    def run(self) -> None:
        """Hurt, heal, check."""
        texts = [f"t{n}{self.random.choice(MARKS)}" for n in range(self.random.randint(1, 6))]
        self.stack.tick()
        self.gemini.faults = self._faults()
        info = self.stack.upload("team/a.jsonl", lines(*texts))
        for step in range(STEPS):
            self._step(step)
            if step % LOOK == 0 and not self.workers and self._over(info):
                break
        self.heal(info)

    def _over(self, info: ObjectInfo) -> bool:
        job = self.stack.find_or_none(info)
        return job is not None and job.state.terminal and job.cleaned

    def _faults(self) -> Faults:
        """Draw what the provider does wrong."""
        pick = self.random
        calls = [
            CallFault("create", times=pick.randint(0, 2), skip=pick.randint(0, 2), lose=True),
            CallFault("create", times=pick.randint(0, 1), status=429, retry_seconds=pick.choice([1, 120])),
            CallFault("create", times=pick.randint(0, 1), status=503),
            CallFault("list", times=pick.randint(0, 2), status=500),
            CallFault("list", times=pick.randint(0, 1), cut_after_bytes=30),
            CallFault("get", times=pick.randint(0, 2), drop=True),
            CallFault("download", times=pick.randint(0, 2), cut_after_bytes=pick.choice([0, 50])),
            CallFault("upload", times=pick.randint(0, 1), drop=True),
            CallFault("cancel", times=pick.randint(0, 1), drop=True),
        ]
        pick.shuffle(calls)
        return Faults(
            running_seconds=pick.choice([0, 0, 100]),
            late_create_seconds=pick.choice([0, 0, 200]),
            list_lag_seconds=pick.choice([0, 0, 200]),
            page_size=pick.choice([0, 1]),
            rows=RowFaults(shuffle=pick.random() < 0.5, duplicate_rate=pick.choice([0, 0.5])),
            calls=tuple(fault for fault in calls if fault.times),
        )

    def _step(self, number: int) -> None:
        pick = self.random.random()
        movable = [worker for worker in self.workers if worker.paused_until_step <= number]
        room = len(self.workers) < MAX_WORKERS
        if pick < 0.64 and movable:
            self.go_on(self.random.choice(movable), self.random.choice(BURSTS))
        elif pick < 0.82 and room:
            if not self.deliver() and not self.workers:
                self.idle()
        elif pick < 0.87 and room:
            self.start(self.stack.tick)
        elif pick < 0.91 and self.workers:
            self.random.choice(self.workers).paused_until_step = number + self.random.randint(3, 30)
        elif pick < 0.93 and self.workers and self.crashes < MAX_CRASHES:
            self.kill(self.random.choice(self.workers))
        else:
            self.pass_time(self.random.choice(TIMES))

    def idle(self) -> None:
        """Nobody works and no message waits: only time and the scheduler bring the stack on."""
        if self.random.random() < 0.5:
            self.start(self.stack.tick)
        else:
            self.pass_time(self.random.choice(TIMES))

    def others(self) -> None:
        """Let somebody else than those under way handle a message to its end, or tick, or let a minute pass."""
        paused = list(self.workers)
        if not self.deliver():
            self.pass_time(60)
            self.start(self.stack.tick)
        for worker in list(self.workers):
            if worker not in paused:
                self.go_on(worker, ALL)

    def deliver(self) -> bool:
        """Let a worker take a message, or two the same one; sometimes it is lost. Return whether there was one."""
        topics = list(PUSHED)
        self.random.shuffle(topics)
        for topic in topics:
            message = self.stack.topics.lease(topic, 0)
            if message is None:
                continue
            if self.drops < MAX_DROPS and self.random.random() < 0.03:
                self.drops += 1
                self.stack.topics.ack(message)
                return True
            handle = partial(self._handle, message)
            self.start(handle)
            if self.random.random() < 0.15 and len(self.workers) < MAX_WORKERS:
                self.start(handle)
            return True
        return False

    def _handle(self, message: Leased) -> None:
        status = self.stack.handle(message)[1]
        if status == 204:
            self.stack.topics.ack(message)

    def start(self, work: Callable[[], None]) -> None:
        """Let a worker go to its first call."""
        self.started += 1
        worker = Worker(self.started)

        def body() -> None:
            self.turnstile.current.worker = worker
            worker.go.get()
            try:
                work()
            except Crash:
                pass
            finally:
                worker.finished = True
                self.turnstile.back.put(None)

        threading.Thread(target=body, daemon=True).start()
        self.workers.append(worker)
        self.move(worker)

    def move(self, worker: Worker) -> None:
        """Let a worker do one call and come to the next."""
        worker.go.put(None)
        self.turnstile.back.get()
        if worker.finished:
            self.workers.remove(worker)

    def go_on(self, worker: Worker, calls: int) -> None:
        """Let a worker do so many calls, or what it has left."""
        for _ in range(calls):
            if not worker.finished:
                self.move(worker)

    def kill(self, worker: Worker) -> None:
        """Let a worker die where it is."""
        self.crashes += 1
        worker.killed = True
        self.go_on(worker, ALL)

    def pass_time(self, seconds: float) -> None:
        """Let the clocks go on, but for a call on its way to the provider no longer than such a call takes."""
        at_create = any(worker.at == CREATE for worker in self.workers)
        self.stack.advance(min(seconds, 20) if at_create else seconds)

    def heal(self, info: ObjectInfo) -> None:
        """End what is under way, in any order, then let the stack come to rest and check it."""
        while self.workers:
            self.move(self.random.choice(self.workers))
        self.gemini.faults = Faults()
        job = self.stack.run(info, rounds=5000)
        check(self.stack, job, Scenario("simulation", b""))
        twice = paid_twice(self.gemini)
        assert not twice, f"paid twice: {twice}"
