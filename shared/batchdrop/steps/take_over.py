"""Take-over: a stack that starts alone on its documents takes its identity, and lets every lease go.

A lease is for the case that its owner may still act, as a mark is for another stack that may live. Who knows that
nobody else is there need not wait for the end of either: the fence is moved, so that even a mistake about being alone
meets the rules of `core.state.lease`, and the document is due at once. A shard in CREATING stays there: only a look at
the provider tells whether its batch was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, TypeVar

from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.steps.context import Context
from batchdrop.steps.stack import claim
from batchdrop.store import Stored

LIMIT: Final = 100_000
_AGES: Final = timedelta(days=3650)
"""Everything that has a next step is due within this time."""

R = TypeVar("R", Job, Shard)


def take_over(context: Context[CommonSettings], *, restored: bool = False) -> int:
    """Let go every lease in the documents; return how many there were. Only for a stack that is certainly alone.

    Args:
        context: Of the stack that starts.
        restored: The documents may be older than what was done with them, as those of a backup are.

    Raises:
        ConfigurationError: IDENTITY_DAMAGED, and the leases are as they were.
    """
    claim(context, restored=restored)
    end = context.now() + _AGES
    jobs = _let_go(context, context.store.due_jobs(end, LIMIT))
    shards = _let_go(context, context.store.due_shards(end, LIMIT))
    if jobs + shards:
        log(
            "leases of a dead stack taken over",
            severity="WARNING",
            jobs=jobs,
            shards=shards,
        )
    return jobs + shards


def _let_go(context: Context[CommonSettings], documents: Iterable[Stored[R]]) -> int:
    """Let go the leases of documents; return how many had one."""
    now = context.now()
    count = 0
    for stored in documents:
        changed = context.store.change_if(stored, lambda value: value.taken_over(now))
        count += changed is not None
    return count
