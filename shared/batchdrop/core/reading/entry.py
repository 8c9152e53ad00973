"""What a reader yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchdrop.core.validation import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """A record: its 1-based number and its fields, all of them values that JSON has."""

    number: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is there but cannot be read."""

    number: int
    problem: Problem


Entry = Row | Unreadable
