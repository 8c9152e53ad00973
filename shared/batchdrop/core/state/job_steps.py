"""What the steps of a job hand to the transitions that record it: typed, and named as the job's fields are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from batchdrop.core.state.caching import Caching
from batchdrop.core.state.cursors import Counts, Piece
from batchdrop.core.value import Value


class Output(Value):
    """What the output holds besides our rows as JSONL; `dialect` replaces their form."""

    dialect: str = "rows"
    formats: tuple[str, ...] = ("jsonl",)
    join: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a job's recipe and its upload's metadata make of it; the fields are the job's."""

    recipe_object: str
    recipe_name: str
    recipe_digest: str
    provider: str
    model: str
    dialect: str
    account: str
    labels: dict[str, str]
    team: str
    priority: int
    deadline_at: datetime
    finish: str
    policy: str
    max_rounds: int | None
    max_cost: Decimal | None
    cache: str
    output: Output


@dataclass(frozen=True, slots=True)
class Records:
    """The lines that a conversion made of an upload."""

    pieces: tuple[Piece, ...]
    converted: bool
    dialect: str
    dialect_url: str
    columns: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """What the gates of cost found out about a job that passed them."""

    caching: Caching | None
    estimate: dict[str, Any]
    budget_month: str


@dataclass(frozen=True, slots=True)
class SameRows:
    """The job whose rows answer another one, and their manifest."""

    job_id: str
    manifest: str


@dataclass(frozen=True, slots=True)
class Result:
    """What an ended job's output holds, and where its manifest is."""

    counts: Counts
    verdict: str | None
    cost: dict[str, Any] | None
    tokens: dict[str, int]
    manifest: str
