"""Segments: the rows that a shard wrote of one range, as work objects."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from batchdrop.core.value import Value


class SegmentFile(Value):
    """One work object with rows of one range; no object when there are no rows."""

    object: str = ""
    rows: int = 0
    bytes: int = 0
    crc32c: str = ""
    generation: int = 0


class Segment(Value):
    """What a shard wrote of one range; lines in `open_list` go to children that may answer better."""

    range: int
    results: SegmentFile = SegmentFile()
    errors: SegmentFile = SegmentFile()
    by_outcome: dict[str, int] = Field(default_factory=dict[str, int])
    files: int = 0
    file_bytes: int = 0
    usage: dict[str, int] = Field(default_factory=dict[str, int])
    failed: dict[str, int] = Field(default_factory=dict[str, int])
    """Tokens by class of all rows, and of those that are no results."""
    open_list: str = ""
    open: dict[str, int] = Field(default_factory=dict[str, int])

    @property
    def row_files(self) -> tuple[tuple[str, SegmentFile], ...]:
        """Its work objects that hold rows, each with what the rows are."""
        both = (("results", self.results), ("errors", self.errors))
        return tuple((what, file) for what, file in both if file.rows)


@dataclass(frozen=True, slots=True)
class Segments:
    """What a shard's document keeps of its segments: the last ones, and the work objects with those before."""

    last: tuple[Segment, ...] = ()
    lists: tuple[str, ...] = ()
    listed: int = 0
