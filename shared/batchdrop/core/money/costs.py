"""The ledger: one entry for each shard, written once; and what many entries say together.

An entry holds tokens and amounts of the rows a shard wrote, whatever became of the batch: partial, expired, cancelled
and redone work cost what their rows say. It is keyed by the shard, so a message delivered again changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import Field

from batchdrop.core.money.prices import (
    CURRENCY,
    Overrides,
    Processing,
    plain,
    price,
    source,
)
from batchdrop.core.money.usage import REQUESTS, compact, tokens
from batchdrop.core.value import Value

ENTRY_SCHEMA: Final = "batchdrop.ledger/1"
UNSEEN: Final = "WORK_UNSEEN"
"""A batch was cancelled, expired or its results are lost: what it did without a row we cannot know."""

CACHE_MADE: Final = "cache_made"
CACHE_KEPT: Final = "cache_token_hours"
"""In the entry of a job's context caches: tokens written once, and tokens times hours kept."""


class Entry(Value):
    """What one shard (or a job's context caches) used and cost; amounts are digits or null with a reason."""

    schema_: str = Field(default=ENTRY_SCHEMA, alias="schema")
    shard_id: str
    job_id: str
    day: str
    team: str = ""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    model: str
    processing: str
    redo: bool = False
    usage: dict[str, int] = Field(default_factory=dict[str, int])
    amount: Decimal | None = None
    standard: Decimal | None = None
    """What the same rows would have cost sent at once."""
    failed: Decimal | None = None
    """The part of `amount` that rows cost which are no results."""
    currency: str = CURRENCY
    reason: str = ""
    flags: tuple[str, ...] = ()
    source: str = ""

    model_config = Value.model_config | {"populate_by_name": True}


@dataclass(frozen=True, slots=True)
class Work:
    """What a shard did, as its record tells."""

    shard_id: str
    job_id: str
    team: str
    labels: Mapping[str, str]
    model: str
    processing: Processing
    redo: bool
    usage: Mapping[str, int]
    failed: Mapping[str, int]
    unseen: bool
    at: datetime


def entry(work: Work, overrides: Overrides | None = None) -> Entry:
    """Price a shard's work: a pure function of it and of the price source."""
    cost = price(work.usage, work.model, work.processing, work.at, overrides)
    failed = price(work.failed, work.model, work.processing, work.at, overrides)
    standard = price(work.usage, work.model, Processing.STANDARD, work.at, overrides)
    return Entry(
        shard_id=work.shard_id,
        job_id=work.job_id,
        day=work.at.date().isoformat(),
        team=work.team,
        labels=dict(work.labels),
        model=work.model,
        processing=work.processing.value,
        redo=work.redo,
        usage=compact(work.usage),
        amount=cost.amount,
        standard=standard.amount,
        failed=failed.amount,
        reason=cost.reason,
        flags=(*cost.flags, *((UNSEEN,) if work.unseen else ())),
        source=source(),
    )


@dataclass(slots=True)
class Sum:
    """Many entries together; an entry without an amount is counted, never taken for nothing."""

    entries: int = 0
    unpriced: int = 0
    requests: int = 0
    amount: Decimal = Decimal(0)
    standard: Decimal = Decimal(0)
    failed: Decimal = Decimal(0)
    redo: Decimal = Decimal(0)
    input: int = 0
    cached: int = 0
    output: int = 0

    def add(self, found: Entry) -> None:
        """Add one entry."""
        self.entries += 1
        self.requests += found.usage.get(REQUESTS, 0)
        self.input += tokens(found.usage, "input", "cached")
        self.cached += tokens(found.usage, "cached")
        self.output += tokens(found.usage, "output", "thoughts")
        if found.amount is None:
            self.unpriced += 1
            return
        self.amount += found.amount
        self.standard += found.standard if found.standard is not None else found.amount
        self.failed += found.failed or Decimal(0)
        self.redo += found.amount if found.redo else Decimal(0)

    @property
    def saved(self) -> Decimal:
        """What sending the same rows at once would have cost more."""
        return self.standard - self.amount

    @property
    def cached_share(self) -> float:
        """Which share of input tokens came from a cache."""
        return self.cached / self.input if self.input else 0.0


def left_of(most: Decimal, entries: Iterable[Entry]) -> Decimal:
    """Return what is left of an amount after costs; what has no price counts as nothing."""
    spent = sum((each.amount or Decimal(0) for each in entries), Decimal(0))
    return max(most - spent, Decimal(0))


def job_cost(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return what a job cost, for its manifest and message."""
    total, reasons, flags = Sum(), Counter[str](), set[str]()
    for found in entries:
        total.add(found)
        flags.update(found.flags)
        if found.reason:
            reasons[found.reason] += 1
    known = not total.unpriced
    return {
        "amount": plain(total.amount) if known else None,
        "currency": CURRENCY,
        "reason": "" if known else ", ".join(sorted(reasons)),
        "standard": plain(total.standard) if known else None,
        "saved": plain(total.saved) if known else None,
        "failed": plain(total.failed) if known else None,
        "redo": plain(total.redo) if known else None,
        "flags": sorted(flags),
        "source": source(),
    }


def job_tokens(entries: Iterable[Entry]) -> dict[str, int]:
    """Return a job's tokens by class, those of its context caches too."""
    total: Counter[str] = Counter()
    for found in entries:
        total.update(found.usage)
    total.pop(REQUESTS, None)
    return compact(total)


# ---------------------------------------------------------------------------------------------------- tables
BY: Final = ("team", "model", "day", "job", "label:NAME")
COLUMNS: Final = (
    "requests",
    "amount",
    "standard",
    "saved",
    "failed",
    "redo",
    "cached",
    "unpriced",
)


def savings(entries: Iterable[Entry], by: str) -> dict[str, Sum]:
    """Add entries up by team, model, day, job or `label:NAME`, in the order of the names; `` is none."""
    found: dict[str, Sum] = {}
    for one in entries:
        found.setdefault(_key(one, by), Sum()).add(one)
    return dict(sorted(found.items()))


def _key(found: Entry, by: str) -> str:
    if by.startswith("label:"):
        return found.labels.get(by.removeprefix("label:"), "")
    return str(getattr(found, "job_id" if by == "job" else by))


def as_json(table: Mapping[str, Sum], by: str) -> list[dict[str, Any]]:
    """Return a table for programs: amounts are digits in text."""
    return [
        {by: name, "currency": CURRENCY, **_cells(total)}
        for name, total in table.items()
    ]


def as_csv(table: Mapping[str, Sum], by: str) -> str:
    """Return a table for a spreadsheet; a name cannot be a formula."""
    from batchdrop.core.result.tables.csv import safe

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([by, *COLUMNS, "currency"])
    for name, total in table.items():
        writer.writerow([safe(name), *_cells(total).values(), CURRENCY])
    return out.getvalue()


def as_text(table: Mapping[str, Sum], by: str) -> str:
    """Return a table for a person."""
    width = max([len(by), 5, *(len(json.dumps(name)) for name in table)])
    total = Sum()
    lines = [
        f"{by:<{width}} {'requests':>12} {'paid':>14} {'at once':>14} {'saved':>14} {'failed':>12} {'cached':>7}"
    ]
    for name, one in table.items():
        lines.append(
            _line(json.dumps(name, ensure_ascii=False)[1:-1] or "(none)", one, width)
        )
        for column in (
            "requests",
            "amount",
            "standard",
            "failed",
            "input",
            "cached",
            "unpriced",
        ):
            setattr(total, column, getattr(total, column) + getattr(one, column))
    lines.append(_line("total", total, width))
    if total.unpriced:
        lines.append(f"{total.unpriced:,} batches have no price and are in no amount.")
    return "\n".join(lines) + "\n"


def _line(name: str, total: Sum, width: int) -> str:
    amounts = " ".join(
        f"{amount:>14,.6f}" for amount in (total.amount, total.standard, total.saved)
    )
    return f"{name:<{width}} {total.requests:>12,} {amounts} {total.failed:>12,.6f} {total.cached_share:>7.1%}"


def _cells(total: Sum) -> dict[str, Any]:
    return {
        "requests": total.requests,
        "amount": plain(total.amount),
        "standard": plain(total.standard),
        "saved": plain(total.saved),
        "failed": plain(total.failed),
        "redo": plain(total.redo),
        "cached": round(total.cached_share, 6),
        "unpriced": total.unpriced,
    }
