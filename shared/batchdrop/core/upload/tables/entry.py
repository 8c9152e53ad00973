"""What a reader yields, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchdrop.core.problem import Problem


@dataclass(frozen=True, slots=True)
class Record:
    """A record: its 1-based number and its fields, all of them values that JSON has."""

    number: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is there but cannot be read."""

    number: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class Blank:
    """A line that has a number and holds no record."""

    number: int


Entry = Record | Unreadable | Blank


@dataclass(slots=True)
class Place:
    """Where a reader stands: it moves behind each entry before it yields it, so reading can go on there later.

    A reader that is given the bytes from `offset` on and a copy of the place yields what it would have yielded next.
    """

    number: int = 1
    """Of the next entry; in a Parquet file all that is needed."""
    offset: int = 0
    """Its first byte."""
    header: tuple[str, ...] = ()
    """A table's names, once they were read."""
    reread: int = 0
    """How much of a table was read twice because of its quotes."""
