"""The wire's JSON as the port's values: total over every state word, and over what is left out.

Our own words on a job: its display name, and the labels `batchdrop_stack`, `batchdrop_shard`, `batchdrop_attempt`. Its
output goes below the object it reads, so that a row's address says what was asked:

    gs://<work>/<job>/staged/<shard>….jsonl                                              the input
    gs://<work>/<job>/staged/<shard>….jsonl.out/<attempt>/prediction-…/predictions.jsonl    a part of the output
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from batchdrop.core.grpc import GRPC_NAMES
from batchdrop.ports import Batch, BatchState, Cause, Failed, Intent
from batchdrop.providers.google import moment

PUBLISHER: Final = "publishers/google/models/"
_STATES: Final = {
    "QUEUED": BatchState.PENDING,
    "PENDING": BatchState.PENDING,
    "UPDATING": BatchState.RUNNING,
    "PAUSED": BatchState.RUNNING,
}
_OUT: Final = ".out/"
_WAITS: Final = frozenset({7, 8, 9})
"""No right yet, no room, agents that are being provisioned: the job read nothing, the same may go again."""


def labels_of(intent: Intent) -> dict[str, str]:
    """Return the labels of a job: keys and values of `[a-z0-9_-]`, 63 at most (page of the REST resource)."""
    _, _, rest = intent.name.partition(".")
    stack, _, shard = rest.partition(".")
    return {
        "batchdrop_stack": folded(stack),
        "batchdrop_shard": folded(shard),
        "batchdrop_attempt": str(intent.attempt),
    }


def folded(text: str) -> str:
    """Return a text in the alphabet of labels."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:63]


def output_of(intent: Intent) -> str:
    """Return where the rows of an attempt go: nowhere else, and nothing else there."""
    return f"{intent.staged}{_OUT}{intent.attempt}/"


def staged_of(part: str) -> str:
    """Return the address of what was asked, by that of a part of the output."""
    return part.rpartition(_OUT)[0]


def part_of(address: str, generation: int) -> str:
    """Return the name of a part: its address and its generation, because an object can be written again."""
    return f"{address}#{generation}"


def parted(name: str) -> tuple[str, int]:
    """Return address and generation of a part's name."""
    address, _, generation = name.rpartition("#")
    return address, int(generation)


def directory(job: dict[str, Any]) -> str:
    """Return where a job's output lies, or will: until that is known, where we wanted it."""
    info: dict[str, Any] = job.get("outputInfo") or {}
    if info.get("gcsOutputDirectory"):
        return f"{info['gcsOutputDirectory']}/"
    config: dict[str, Any] = job.get("outputConfig") or {}
    wanted: dict[str, Any] = config.get("gcsDestination") or {}
    return str(wanted.get("outputUriPrefix") or "")


def batch(job: dict[str, Any], parts: tuple[str, ...] = ()) -> Batch:
    """Read a job; total over every state word (P9)."""
    raw = str(job.get("state") or "")
    state = state_of(raw)
    ended = moment(job.get("endTime")) or moment(job.get("updateTime"))
    return Batch(
        name=str(job["name"]),
        display_name=str(job.get("displayName") or ""),
        model=str(job.get("model") or "").rpartition("/")[2],
        state=state,
        raw_state=raw,
        created_at=moment(job.get("createTime")) or datetime.fromtimestamp(0, UTC),
        ended_at=ended if state.terminal else None,
        parts=parts,
        failed=_failed(job, parts) if state is BatchState.FAILED else None,
        requests_done=_done(job),
    )


def _done(job: dict[str, Any]) -> int | None:
    """Return how many requests have an answer or an error, if the service says so."""
    stats: dict[str, Any] = job.get("completionStats") or {}
    if not stats:
        return None
    return int(stats.get("successfulCount") or 0) + int(stats.get("failedCount") or 0)


def _failed(job: dict[str, Any], parts: tuple[str, ...]) -> Failed:
    """Read why a job failed whole; one that did some of it failed all the same, and its rows are read."""
    error: dict[str, Any] = job.get("error") or {}
    code = int(error.get("code") or 2)
    waits = code in _WAITS and not parts and not _done(job)
    cause = Cause.WAIT if waits else Cause.POISON
    message = str(error.get("message") or "")[:500]
    return Failed(cause, GRPC_NAMES.get(code, "UNKNOWN"), message)


def state_of(raw: str) -> BatchState:
    """Return what a state word means."""
    word = raw.removeprefix("JOB_STATE_")
    if word in _STATES:
        return _STATES[word]
    return BatchState(word) if word in BatchState.__members__ else BatchState.UNKNOWN
