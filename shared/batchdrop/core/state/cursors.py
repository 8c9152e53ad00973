"""Cursors: where a job's conversion, planning and finalizing continue, and what they counted so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from batchdrop.core.state.identity import Content
from batchdrop.core.value import Value


class Piece(Value):
    """One of the work objects that together are one stream of bytes."""

    name: str
    bytes: int
    generation: int | None = None


class Conversion(Value):
    """Where converting continues: everything before the place in `state` is in the pieces already written."""

    step: int = 0
    pieces: tuple[Piece, ...] = ()
    unpacked: tuple[Piece, ...] = ()
    """A Parquet file that came as gzip, undone whole."""
    state: str = ""
    """Work object: the place in the source, and what was found before it."""

    def after(self, pieces: tuple[Piece, ...], state: str) -> Conversion:
        """One more step is done."""
        return self._with(step=self.step + 1, pieces=pieces, state=state)


class Counts(Value):
    """Lines of the upload and what became of them. results + errors + rejections = lines - blank."""

    lines: int = 0
    blank: int = 0
    rejections: int = 0
    results: int = 0
    errors: int = 0
    by_outcome: dict[str, int] = Field(default_factory=dict[str, int])
    duplicate_keys: int | None = 0
    """Lines whose key an earlier line has; None: too many keys, not checked."""
    missing_keys: int = 0

    @property
    def verdict(self) -> str:
        """Whether every line of the upload has an answer: `complete` or `partial`."""
        return "partial" if self.errors or self.rejections else "complete"

    def planned(
        self,
        *,
        lines: int,
        blank: int,
        rejections: int,
        missing_keys: int,
        duplicate_keys: int | None,
    ) -> Counts:
        """Count what planning saw: `lines` in all, the others since the last step."""
        return self._with(
            lines=lines,
            blank=self.blank + blank,
            rejections=self.rejections + rejections,
            missing_keys=self.missing_keys + missing_keys,
            duplicate_keys=duplicate_keys,
        )

    def with_duplicate_keys(self, duplicate_keys: int | None) -> Counts:
        """Count the lines whose key an earlier line has."""
        return self._with(duplicate_keys=duplicate_keys)

    def answered(self, results: int, errors: int, by_outcome: dict[str, int]) -> Counts:
        """Count the rows of the output."""
        return self._with(results=results, errors=errors, by_outcome=by_outcome)


@dataclass(frozen=True, slots=True)
class Cut:
    """What one planning step cut, added up."""

    ranges: int
    shards: int
    requests: int
    tokens: int
    bytes: int


class PlanCursor(Value):
    """Where planning continues: everything before `offset` is in the plan parts already written."""

    step: int = 0
    offset: int = 0
    line: int = 1
    ranges: int = 0
    shards: int = 0
    counts: Counts = Counts()
    requests: int = 0
    tokens: int = 0
    bytes: int = 0
    """Of the rendered requests."""
    batch_kind: str = ""
    hashed: int = 0
    content: str = ""
    """Bytes whose checksum is in `content`, which planning goes on with (`identity.Content`)."""
    attached: str = ""
    """Checksum of the objects that the lines so far name."""
    identity: str = ""
    """What the job asks, known when all lines were read: planning is over then, its gates are next."""
    agreeing: tuple[int, ...] | None = ()
    """Lines by how far they agree with the first one (`beginnings.Watch`)."""
    parts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    checksum: str = ""
    """sha256 over the plan parts, chained; RUNNING with it is the commit point of planning."""

    def read_to(self, line: int, offset: int, content: Content) -> PlanCursor:
        """All lines before this one, which begins at that byte, were read."""
        return self._with(
            line=line, offset=offset, hashed=content.end, content=content.chained
        )

    def with_part(self, name: str, cut: Cut, checksum: str) -> PlanCursor:
        """One more step is done: its ranges and shards stand in that plan part.

        Args:
            name: The work object.
            cut: What it holds.
            checksum: Of the plan, with this part.
        """
        return self._with(
            step=self.step + 1,
            ranges=self.ranges + cut.ranges,
            shards=self.shards + cut.shards,
            requests=self.requests + cut.requests,
            tokens=self.tokens + cut.tokens,
            bytes=self.bytes + cut.bytes,
            parts=(*self.parts, name),
            checksum=checksum,
        )

    def with_lines(self, batch_kind: str, attached: str, counts: Counts) -> PlanCursor:
        """Keep what the lines so far are, what they attach, and how many there are."""
        return self._with(batch_kind=batch_kind, attached=attached, counts=counts)

    def with_keys(self, name: str) -> PlanCursor:
        """One more work object holds the hashes of keys."""
        return self._with(keys=(*self.keys, name))

    def agreed(self, counts: Sequence[int] | None) -> PlanCursor:
        """Keep how far the lines so far agree; None: they share nothing that is worth a cache."""
        return self._with(agreeing=None if counts is None else tuple(counts))

    def or_further(self, other: PlanCursor) -> PlanCursor:
        """Return the one of two that has read more; this one when they have read the same."""
        return other if other.offset > self.offset else self

    def ended(self, identity: str, counts: Counts) -> PlanCursor:
        """All lines were read."""
        return self._with(identity=identity, counts=counts)


class Finalizing(Value):
    """Where finalizing continues: ranges below `next_range` have their output parts."""

    next_range: int = 0
    lists: tuple[str, ...] = ()

    def up_to(self, next_range: int, name: str | None) -> Finalizing:
        """Ranges below that one have their parts, new ones stand in one more work object, if there are any."""
        lists = self.lists if name is None else (*self.lists, name)
        return self._with(next_range=next_range, lists=lists)
