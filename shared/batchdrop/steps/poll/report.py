"""Reporting: once a day the poller writes what was spent and saved into the output bucket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from pydantic import Field

from batchdrop.core.errors import ObjectExistsError
from batchdrop.core.logs import log
from batchdrop.core.money.costs import Entry
from batchdrop.core.money.report import page
from batchdrop.core.settings import CommonSettings, PollSettings
from batchdrop.core.state import queries
from batchdrop.core.value import Value
from batchdrop.steps.context import Context

NAME: Final = "_batchdrop/savings.html"
DAYS: Final = 92
"""How far back the page looks: a quarter."""
MARK: Final = "report"


class Written(Value):
    """The day whose page is written."""

    schema_: str = Field(default="batchdrop.report/1", alias="schema")
    day: str = ""

    model_config = Value.model_config | {"populate_by_name": True}


def entries_since(context: Context[CommonSettings], day: str) -> Iterator[Entry]:
    """Yield the ledger's entries from a day on."""
    for _, entry in context.store.costs.found(queries.costs_since(day)):
        yield entry


def write_report(context: Context[PollSettings]) -> bool:
    """Write the page unless today's is written; tell whether it was."""
    marks = context.store.meta(Written)
    today = context.now().date()
    mark = Written(day=today.isoformat())
    if marks.get(MARK) == mark:
        return False
    body = _page(context, today)
    if not _replace(context, body):
        return False
    marks.change(MARK, Written(), lambda _: mark)
    log("report written", bytes=len(body))
    return True


def _page(context: Context[PollSettings], today: date) -> bytes:
    """Return the page of the days up to this one."""
    since = (today - timedelta(days=DAYS)).isoformat()
    title = f"Batchdrop {context.settings.topic_prefix}, {since} to {today}"
    return page(entries_since(context, since), title)


def _replace(context: Context[PollSettings], body: bytes) -> bool:
    """Write the page in place of the last one; False when another tick was faster."""
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
    except ObjectExistsError:
        return False
    return True
