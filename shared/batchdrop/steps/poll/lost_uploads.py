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

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings
from batchdrop.core.state import names
from batchdrop.core.upload.kinds import ANSWERED, form_of, is_upload
from batchdrop.core.value import Value
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.steps.context import Context
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

    def at(self, token: str, until: datetime, unknown: datetime | None) -> Pass:
        """One more page was looked at."""
        return self._with(token=token, until=until, unknown=unknown)


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
    page = context.objects.list(context.settings.input_bucket, page_token=walk.token)
    window = [
        info
        for info in page.objects
        if oldest < info.created_at < until and form_of(info.name) in ANSWERED
    ]
    lost = [info for info in window if _announce_unless_known(context, info)]
    found["swept_uploads"] += len(lost)
    times = [info.created_at for info in lost]
    unknown = min([*times, walk.unknown] if walk.unknown else times, default=None)
    if page.next_token is None:
        return Pass(clean=max((unknown or until) - SKEW, oldest))
    return walk.at(page.next_token, until, unknown)


def _until(context: Sweeping) -> datetime:
    """Return up to when an upload must have a job."""
    until = context.now() - timedelta(minutes=context.settings.event_minutes)
    return max(until, recovered_at(context) or until)


def _oldest(context: Sweeping, walk: Pass) -> datetime:
    """Return from when on uploads are looked at: older ones are known, from before the stack, or too old to run."""
    oldest = context.now() - timedelta(days=context.settings.sweep_days)
    return max(oldest, stack_created_at(context), walk.clean or oldest)


def _announce_unless_known(context: Sweeping, info: ObjectInfo) -> bool:
    """Announce an upload that has no job; return whether it has none."""
    from batchdrop.steps.plan.refuse import is_refused  # and all dialects

    job_id = names.job_id(info.bucket, info.name, info.generation)
    if context.store.job(job_id) is not None or (
        not is_upload(info.name) and is_refused(context, info)
    ):
        return False
    log("upload without a job", severity="WARNING", job_id=job_id)
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": info.bucket,
        "objectId": info.name,
        "objectGeneration": str(info.generation),
    }
    context.topics.publish(
        Topic.UPLOADS, json.dumps({"sweep": True}).encode(), attributes
    )
    return True
