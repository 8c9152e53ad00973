"""Lost events: an upload without a job is announced again, at a cost that does not grow with the uploads there were.

A pass walks the whole listing of INPUT, some pages a sweep, and looks only at uploads of a window of time:

      clean                      until = begin of the pass - event_minutes
    ----|---------------------------|-----------------------------> time of creation
        have a job   looked at       may still have their event on the way

Where documents were lost, nothing older than the loss is waited for: its event was answered, or is lost as well.

A whole pass makes the window's uploads known: the next one begins at `until`, or at the oldest upload that had no job.
An object becomes visible when it is created, never under an earlier time, so nothing appears behind `clean`; SKEW is
taken off for clocks that differ. A place that was not kept costs announcements twice, which is harmless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import names
from batchdrop.core.upload.kinds import ANSWERED, form_of, is_upload
from batchdrop.core.value import Value
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context
from batchdrop.steps.next import announce
from batchdrop.steps.refusals import is_refused
from batchdrop.steps.stack import recovered_at, stack_created_at

Sweeping = Context[PollSettings]
SKEW: Final = timedelta(minutes=5)


class Pass(Value):
    """Where a pass stands, and up to when the passes before it were clean."""

    token: str | None = None
    clean: datetime | None = None
    until: datetime | None = None
    """Set while a pass is under way."""
    unknown: datetime | None = None
    """When the oldest upload without a job was created that this pass met."""

    def met(self, lost: Iterable[datetime]) -> Pass:
        """Uploads created at these times have no job."""
        times = (*lost, self.unknown) if self.unknown else lost
        return self._with(unknown=min(times, default=None))

    def at(self, token: str, until: datetime) -> Pass:
        """One more page was looked at."""
        return self._with(token=token, until=until)

    def over(self, until: datetime, oldest: datetime) -> Pass:
        """The last page was looked at: the next pass looks at what is later than what this one made known."""
        clean = (self.unknown or until) - SKEW
        return Pass(clean=max(clean, oldest))


def find_lost_uploads(context: Sweeping, walk: Pass, found: Counter[str]) -> Pass:
    """Announce lost uploads of some pages; return the place to keep for the next sweep."""
    oldest = _oldest(context, walk)
    for _ in range(context.settings.sweep_pages):
        if context.time_left.over():
            break
        walk = _page(context, walk, oldest, found)
        if walk.token is None:
            break
    return walk


def _page(context: Sweeping, walk: Pass, oldest: datetime, found: Counter[str]) -> Pass:
    """Look at one page; after the last one the pass is over."""
    until = walk.until or _until(context)
    bucket = context.settings.input_bucket
    page = context.objects.list(bucket, page_token=walk.token)
    window = (info for info in page.objects if oldest < info.created_at < until)
    lost = [info.created_at for info in window if _announced(context, info)]
    found["swept_uploads"] += len(lost)
    walk = walk.met(lost)
    if page.next_token is None:
        return walk.over(until, oldest)
    return walk.at(page.next_token, until)


def _until(context: Sweeping) -> datetime:
    """Return up to when an upload must have a job."""
    minutes = context.settings.event_minutes
    until = context.now() - timedelta(minutes=minutes)
    return max(until, recovered_at(context) or until)


def _oldest(context: Sweeping, walk: Pass) -> datetime:
    """Return from when on uploads are looked at: older ones are known, from before the stack, or too old to run."""
    days = context.settings.sweep_days
    oldest = context.now() - timedelta(days=days)
    return max(oldest, stack_created_at(context), walk.clean or oldest)


def _announced(context: Sweeping, info: ObjectInfo) -> bool:
    """Announce an object if it is an upload without a job and without an answer; return whether it is one."""
    if form_of(info.name) not in ANSWERED:
        return False
    job_id = names.job_id(info.bucket, info.name, info.generation)
    if context.store.job(job_id) is not None:
        return False
    if not is_upload(info.name) and is_refused(context, info):
        return False
    log("upload without a job", severity="WARNING", job_id=job_id)
    announce(context, info, "sweep")
    return True
