"""Pausing a worker before any port call while the world goes on without it, then letting it act as if nothing was.

    worker   claim --- ... --| paused |------------------------------------ ... the next call, at last
    world                     clock moves, its message comes again, others take over, perhaps to the very end

Everything runs in one thread: the others work inside the paused call. Longer than the quarantine nobody is paused
at the create call itself, as the protocol rules that out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from batchdrop.adapters.local.sqlite_topics import Leased
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.fault.killing import KillableStack, Scenario, begin, finish, killable, paid_twice

CREATE = "GeminiProvider.create"
OVER_A_LEASE = 700.0
OVER_THE_QUARANTINE = 1300.0


class Pause(StrEnum):
    """How long a worker stands still, and what the world does meanwhile."""

    SILENT = "silent"
    """Longer than the quarantine, and nobody notices."""
    TAKEN_OVER = "taken over"
    """No time passes, but others take over what is due and come to rest."""
    LEASE = "longer than the lease"
    END = "to the end"
    """Others bring everything to its end."""


@dataclass
class Pauses:
    """A gate that pauses the worker before the chosen calls, once each."""

    plan: Mapping[int, Pause]
    world: Callable[[Pause], None]
    calls: list[str] = field(default_factory=list[str])
    armed: bool = True

    def begin(self) -> None:
        """Nothing to do."""

    def pass_through(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Do the call, but first let the world go on if this is the place."""
        if not self.armed:
            return call(*args, **options)
        self.calls.append(name)
        pause = self.plan.get(len(self.calls))
        if pause is not None and (name != CREATE or pause in (Pause.LEASE, Pause.TAKEN_OVER)):
            self.armed = False
            try:
                self.world(pause)
            finally:
                self.armed = True
        return call(*args, **options)


class PausableStack(KillableStack):
    """A stack that knows which message is being handled, so that it can come again."""

    handling: Leased | None = None

    def handle(self, message: Leased) -> tuple[str, int]:
        """Handle a message and remember it meanwhile."""
        before, self.handling = self.handling, message
        try:
            return super().handle(message)
        finally:
            self.handling = before

    def go_on(self, pause: Pause) -> None:
        """Do what the world does while a worker is paused."""
        if pause is Pause.SILENT:
            self.advance(OVER_THE_QUARANTINE)
            return
        rounds = 60 if pause is Pause.END else 1
        self.advance(OVER_A_LEASE if pause is Pause.LEASE else 0)
        for _ in range(rounds):
            if self.handling is not None:
                self.handle(self.handling)
            self.tick()
            self.deliver()
            if pause is Pause.END:
                self.advance(60)


def run_paused(
    scenario: Scenario, gemini: GeminiEmulator, folder: Path, plan: Mapping[int, Pause]
) -> tuple[list[str], dict[str, bytes]]:
    """Run a scenario with a worker paused before the chosen calls; return the calls and the output, all checked."""
    gate = Pauses(plan, lambda pause: stack.go_on(pause))  # noqa: PLW0108 - the stack is made next
    stack = killable(gemini, folder, gate, scenario.faults, scenario.overrides, PausableStack)
    stack.hurried = scenario.hurried
    info = begin(stack, scenario)
    output = finish(stack, scenario, info)
    twice = paid_twice(gemini)
    assert not twice, f"paid twice: {twice}"
    return gate.calls, output
