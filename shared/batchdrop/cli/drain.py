"""The commands `drain` and `resume`: before a stack is destroyed, or while nothing new may be sent."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchdrop.core.settings import CommonSettings
    from batchdrop.steps.context import Context
    from batchdrop.steps.drain import Left

TIMEOUT_SECONDS = 3600.0


def add_commands(commands: Any) -> None:
    """Add the two commands to a parser's commands."""
    drain = commands.add_parser(
        "drain", help="cancel all jobs and wait until nothing is at the provider"
    )
    drain.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS,
        help="seconds to wait at most (default 3600)",
    )
    drain.add_argument(
        "--by",
        default=os.environ.get("USER", ""),
        help="who asks for it (default: the user's name)",
    )
    commands.add_parser("resume", help="end the pause that `drain` began")


def run_drain(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    """Drain the stack; 0 when nothing is left, 1 when something is after the time."""
    from batchdrop.steps.drain import drain

    left = drain(context, parsed.by, parsed.timeout, time.sleep, _tell)
    if left.nothing():
        print(
            "nothing is left at the provider; the stack sends nothing new for 24 hours, or until `batchdrop resume`"
        )
        return 0
    for job in left.jobs:
        sys.stderr.write(f"{job.job_id}  {job.state.value}\n")
    sys.stderr.write(
        "the time is over and this is left; run `batchdrop drain` again to go on waiting\n"
    )
    return 1


def run_resume(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    """End the pause; shards that waited go on within a minute."""
    from batchdrop.steps.stack import resume

    resume(context)
    print("the stack sends again")
    return 0


def _tell(left: Left) -> None:
    states = (
        ", ".join(f"{count} {state}" for state, count in left.states().items())
        or "none"
    )
    print(
        f"jobs: {states}; batches at the provider: {left.batches()}; context caches: {left.caches()}",
        flush=True,
    )
