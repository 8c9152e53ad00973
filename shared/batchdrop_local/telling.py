"""What `up` says: one line for each job that arrives, is held, fails or ends, and nothing else.

The records are asked, not the functions: what came in by any client is told, and a job that went on from an earlier
start too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import queries
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.state.why import RELEASABLE
from batchdrop.steps.context import Context
from batchdrop_local.folder.scanning import shown
from batchdrop_local.stack.keeping import kept_up

LOOK_SECONDS: Final = 1.0
LOOK_SHARE: Final = 10
"""A look that takes long is followed by a pause of so many times its length."""
PAGE: Final = 50
_S = JobState
_QUIET: Final = frozenset({_S.RECEIVED, _S.PLANNING, _S.RUNNING, _S.FINALIZING})


class Teller:
    """Says what becomes of the jobs."""

    def __init__(
        self, context: Context[CommonSettings], say: Callable[[str], None]
    ) -> None:
        """Say nothing yet; jobs made from now on have arrived, earlier ones go on."""
        self._context = context
        self._say = say
        self._open: dict[str, str] = {}
        """Of jobs that have not ended: what was said last."""
        self._newest = context.now()
        self._took_up = False
        self._stopped = threading.Event()

    @contextmanager
    def telling(self) -> Generator[None]:
        """Tell what is new until the block ends."""
        with kept_up({"telling": self._step}, self._stopped):
            yield

    def look(self) -> None:
        """Tell what changed since the last look."""
        for job in self._arrived():
            if _was_answered(job):
                continue
            self._open[job.job_id] = ""
            self._line("arrived", job, f"{job.source.bytes:,} bytes  job {job.job_id}")
        for job_id in list(self._open):
            stored = self._context.store.job(job_id)
            if stored is not None:
                self._tell(stored.value)

    def _step(self) -> None:
        begun = time.monotonic()
        if not self._took_up:
            self._take_up()
        self.look()
        self._stopped.wait(max(LOOK_SECONDS, LOOK_SHARE * (time.monotonic() - begun)))

    def _take_up(self) -> None:
        """Say which jobs of earlier starts go on."""
        for stored in self._context.store.jobs(queries.newest_jobs(10 * PAGE)):
            job = stored.value
            if job.created_at <= self._newest and not job.state.terminal:
                self._open[job.job_id] = ""
                self._line("goes on", job, f"job {job.job_id}")
        self._took_up = True

    def _arrived(self) -> list[Job]:
        """Return the jobs made since the last look, oldest first."""
        found: list[Job] = []
        before: datetime | None = None
        while True:
            page = [
                stored.value
                for stored in self._context.store.jobs(
                    queries.newest_jobs(PAGE, before)
                )
            ]
            new = [job for job in page if job.created_at > self._newest]
            found += new
            if len(new) < PAGE:
                break
            before = page[-1].created_at
        if found:
            self._newest = found[0].created_at
        return found[::-1]

    def _tell(self, job: Job) -> None:
        failure = job.failure
        said = f"{job.state.value} {failure.code if failure else ''}"
        if job.state in _QUIET or said == self._open[job.job_id]:
            return
        self._open[job.job_id] = said
        self._line(*_words(job))
        if job.state.terminal:
            del self._open[job.job_id]

    def _line(self, what: str, job: Job, text: str) -> None:
        self._say(
            f"{datetime.now().astimezone():%H:%M:%S}  {what:<8} {shown(job.source.object)}  {text}"
        )


def _was_answered(job: Job) -> bool:
    """True for a job that was only recorded: its upload was answered before the records were lost."""
    return job.state is _S.DONE and job.verdict is None


def _words(job: Job) -> tuple[str, Job, str]:
    failure = job.failure
    reason = (
        f"{failure.code}: {_in_one_line(job, failure.message, failure.fix)}"
        if failure
        else ""
    )
    match job.state:
        case _S.HELD:
            releasable = failure is not None and failure.code in RELEASABLE
            release = (
                f"; `batchdrop release {job.job_id}` lets it run" if releasable else ""
            )
            until = (
                f" (until {job.held_until.astimezone():%Y-%m-%d %H:%M})"
                if job.held_until
                else ""
            )
            return "held", job, f"{reason}{until}{release}"
        case _S.DONE:
            counts = job.counts
            rows = f"{counts.results:,} results, {counts.errors:,} errors, {counts.rejections:,} rejections"
            return "ended", job, f"{job.verdict}: {rows}  {job.manifest}"
        case _S.DUPLICATE:
            return (
                "ended",
                job,
                f"asks the same as job {job.duplicate_of}: not run again",
            )
        case _S.CANCELLED:
            return "ended", job, f"cancelled  {job.manifest or ''}".rstrip()
        case _:
            return "failed", job, f"{job.state.value} {reason}"


def _in_one_line(job: Job, *texts: str) -> str:
    """Return what fits into a line; where a text has more lines, how to see them."""
    first = " ".join(text.partition("\n")[0] for text in texts if text)
    return (
        f"{first} (`batchdrop status {job.job_id}` shows it)"
        if any("\n" in text for text in texts)
        else first
    )
