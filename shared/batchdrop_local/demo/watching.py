"""What a person sees while a job runs: a line that moves on a terminal, a line per change in a log."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names, queries
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.state.shard import Shard
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context
from batchdrop.steps.refusals import is_refused

LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class View:
    """A job and its shards at one moment."""

    job: Job
    shards: tuple[Shard, ...]

    def line(self) -> str:
        """Say where the job is, in one line."""
        job = self.job
        states = Counter(shard.state.value for shard in self.shards)
        shown = "  ".join(f"{state} {count}" for state, count in sorted(states.items()))
        counts = job.plan.counts
        planned = (
            f"  {counts.lines:,} lines, {job.plan.requests:,} requests"
            if job.plan.step
            else ""
        )
        return f"{job.state.value:<10}{planned}  {shown}".rstrip()


def follow(
    context: Context[CommonSettings],
    job_id: str,
    timeout_seconds: float,
    meanwhile: Callable[[], None],
) -> View:
    """Show a job's progress until its completion is published, or it is held; return the last view.

    Args:
        context: The stack's.
        job_id: The job.
        timeout_seconds: How long to wait at most.
        meanwhile: Called between two looks, in this thread.

    Raises:
        TimeoutError: The job has not ended in time.
    """
    started = time.monotonic()
    terminal = sys.stdout.isatty()
    shown = ""
    while time.monotonic() - started < timeout_seconds:
        view = look(context, job_id)
        if view is not None:
            line = view.line()
            if terminal or line != shown:
                _show(f"{time.monotonic() - started:7.1f} s  {line}", terminal)
                shown = line
            if (
                view.job.state.terminal and view.job.published
            ) or view.job.state is JobState.HELD:
                if terminal:
                    sys.stdout.write("\n")
                return view
        meanwhile()
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"job {job_id} did not end within {timeout_seconds:.0f} s")


class UploadRefusedError(Exception):
    """The upload was answered with a refusal; the message is its code, sentence and cure."""


def check_not_refused(context: Context[CommonSettings], info: ObjectInfo) -> None:
    """Raise UploadRefusedError when the stack refused an object."""
    if is_refused(context, info):
        name = names.refusal(info.bucket, info.name)
        body = json.loads(
            b"".join(context.objects.read(context.settings.output_bucket, name))
        )
        raise UploadRefusedError(f"{body['code']}: {body['message']} {body['fix']}")


def look(context: Context[CommonSettings], job_id: str) -> View | None:
    """Read a job and its shards."""
    stored = context.store.job(job_id)
    if stored is None:
        return None
    shards = context.store.shards(queries.shards_of(job_id))
    return View(stored.value, tuple(entry.value for entry in shards))


def _show(text: str, terminal: bool) -> None:
    sys.stdout.write(f"\r\x1b[2K{text}" if terminal else f"{text}\n")
    sys.stdout.flush()
