"""Cursors: where a job's conversion, planning and finalizing continue, and what they counted so far."""

from __future__ import annotations

from pydantic import Field

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

    def ended(self, identity: str, counts: Counts) -> PlanCursor:
        """All lines were read."""
        return self._with(identity=identity, counts=counts)


class Finalizing(Value):
    """Where finalizing continues: ranges below `next_range` have their output parts."""

    next_range: int = 0
    lists: tuple[str, ...] = ()
