"""Reporting: once a day the poller writes what was spent and saved into the output bucket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from batchdrop.core.errors import ConflictError, ObjectExistsError
from batchdrop.core.logs import log
from batchdrop.core.money.costs import Entry
from batchdrop.core.money.report import page
from batchdrop.core.settings import CommonSettings, PollSettings
from batchdrop.core.state import queries
from batchdrop.ports import Collection
from batchdrop.steps.context import Context

NAME: Final = "_batchdrop/savings.html"
DAYS: Final = 92
"""How far back the page looks: a quarter."""
MARK: Final = "report"


def entries_since(context: Context[CommonSettings], day: str) -> Iterator[Entry]:
    """Yield the ledger's entries from a day on."""
    for document in context.store.documents.query(queries.costs_since(day)):
        yield Entry.model_validate(document.data)


def write_report(context: Context[PollSettings]) -> bool:
    """Write the page unless today's is written; tell whether it was."""
    records, today = context.store.documents, context.now().date()
    mark = records.get(Collection.META, MARK)
    if mark is not None and mark.data.get("day") == today.isoformat():
        return False
    data = {"schema": "batchdrop.report/1", "day": today.isoformat()}
    since = (today - timedelta(days=DAYS)).isoformat()
    body = page(entries_since(context, since), f"Batchdrop {context.settings.topic_prefix}, {since} to {today}")
    bucket = context.settings.output_bucket
    there = context.objects.stat(bucket, NAME)
    try:
        with context.objects.create(
            bucket,
            NAME,
            if_generation_match=there.generation if there else 0,
            content_type="text/html; charset=utf-8",
        ) as writer:
            writer.write(body)
            writer.close()
        if mark is None:
            records.create(Collection.META, MARK, index={}, data=data)
        else:
            records.replace(mark, index={}, data=data)
    except (ConflictError, ObjectExistsError):
        return False
    log("report written", bytes=len(body))
    return True
