"""Commands that act on a job, and what may be typed for a job, a number of them, or a day.

batchdrop cancel JOB     what is answered already is written
batchdrop release JOB    lets a job run that is held for its cost
batchdrop rerun JOB      uploads what an ended job was made of once more, on purpose
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from typing import TYPE_CHECKING, Final

from batchdrop.core.errors import PermanentError

if TYPE_CHECKING:
    from batchdrop.core.settings import CommonSettings
    from batchdrop.core.state.job import Job
    from batchdrop.steps.context import Context
    from batchdrop.store import Stored

MOST_LISTED: Final = 10_000
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_SAID: Final = {
    "cancel": "asked the job to stop; what is answered already is written",
    "release": "asked the job to run",
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `cancel`, `release` and `rerun`."""
    for name, about in (
        ("cancel", "stop a job; what is answered already is written"),
        ("release", "let a job run that is held for its cost"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("job_id")
    again = commands.add_parser(
        "rerun", help="run an ended job's upload once more, and pay for it again"
    )
    again.add_argument("job_id")


def job_of(context: Context[CommonSettings], job_id: str) -> Stored[Job] | None:
    """Return a job; None, said on standard error, for what is no id of one."""
    stored = context.store.job(job_id) if _JOB_ID.fullmatch(job_id) else None
    if stored is None:
        sys.stderr.write("there is no such job\n")
    return stored


def count(text: str) -> int:
    """Read a number of jobs."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_LISTED:
        raise argparse.ArgumentTypeError(f"write a number from 1 to {MOST_LISTED:,}")
    return int(text)


def day(text: str) -> str:
    """Read a day."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError("write a day such as 2026-11-01") from None


def run_ask(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    """Ask for `cancel` or `release`; 1 and a sentence when it makes no sense."""
    from batchdrop.steps.steer import ask

    stored = job_of(context, parsed.job_id)
    if stored is None:
        return 1
    try:
        ask(context, stored, parsed.command)
    except PermanentError as error:
        return _refused(error)
    print(_SAID[parsed.command])
    return 0


def run_rerun(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    """Upload what a job was made of again."""
    from batchdrop.steps.steer import rerun

    stored = job_of(context, parsed.job_id)
    if stored is None:
        return 1
    try:
        job_id = rerun(context, stored.value)
    except PermanentError as error:
        return _refused(error)
    print(f"uploaded {stored.value.source.object!r} again; job {job_id} runs it")
    return 0


def _refused(error: PermanentError) -> int:
    sys.stderr.write(f"{error.sentence}\n")
    return 1
