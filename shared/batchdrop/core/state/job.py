r"""Jobs: what one upload asks for, and the pure transitions of its record.

    RECEIVED > PLANNING > [HELD] > RUNNING > FINALIZING > DONE
        \_________\_________\________\__________\____> REJECTED DUPLICATE GONE CANCELLED FAILED

A DONE job's verdict (complete, partial) comes from its rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from batchdrop.core.state.lease import Leasable, check_move
from batchdrop.core.value import Failure, Value
from batchdrop.ports import IndexValue


class JobState(StrEnum):
    """Where a job is."""

    RECEIVED = "RECEIVED"
    PLANNING = "PLANNING"
    HELD = "HELD"
    RUNNING = "RUNNING"
    FINALIZING = "FINALIZING"
    DONE = "DONE"
    REJECTED = "REJECTED"
    DUPLICATE = "DUPLICATE"
    GONE = "GONE"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        """True when nothing will happen to the job any more."""
        return not JOB_MOVES[self]


_S = JobState
_STOPS = frozenset({_S.REJECTED, _S.GONE, _S.CANCELLED, _S.FAILED})
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _S.RECEIVED: frozenset({_S.PLANNING}) | _STOPS,
    _S.PLANNING: frozenset({_S.HELD, _S.RUNNING, _S.FINALIZING}) | _STOPS,
    _S.HELD: frozenset({_S.PLANNING, _S.RUNNING, _S.FINALIZING}) | _STOPS,
    _S.RUNNING: frozenset({_S.FINALIZING, _S.FAILED}),
    _S.FINALIZING: frozenset({_S.DONE, _S.REJECTED, _S.DUPLICATE, _S.CANCELLED, _S.FAILED}),
    _S.DONE: frozenset(),
    _S.REJECTED: frozenset(),
    _S.DUPLICATE: frozenset(),
    _S.GONE: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.FAILED: frozenset(),
}


GRACE: Final = timedelta(hours=2)
"""How long after a job's deadline a step may go on failing with what time could heal, until the job is given up."""


class Source(Value):
    """The upload: one object generation, as it was when the job began."""

    bucket: str
    object: str
    generation: int
    crc32c: str
    bytes: int
    content_type: str = ""
    content_encoding: str = ""
    uploaded_at: datetime


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


class Finalizing(Value):
    """Where finalizing continues: ranges below `next_range` have their output parts."""

    next_range: int = 0
    lists: tuple[str, ...] = ()


class CacheUse(Value):
    """A context cache the job made; `lost_at` is set when the provider did not know it any more."""

    name: str
    tokens: int
    created_at: datetime
    lost_at: datetime | None = None


class Caching(Value):
    """What was decided about a context cache, and the caches that were made for it."""

    wanted: bool
    reason: str
    """A key of `money.caching.SENTENCES`."""
    pattern: str = ""
    """Work object: a line that begins with what is shared, of which the cache holds `depth` units."""
    depth: int = 0
    requests: int = 0
    tokens: int = 0
    hours: float = 0
    spared: Decimal | None = None
    cost: Decimal | None = None
    """Dollars it was expected to spare in input, and to cost to make and to keep."""
    uses: tuple[CacheUse, ...] = ()

    @property
    def current(self) -> CacheUse | None:
        """The cache that requests name now."""
        return self.uses[-1] if self.wanted and self.uses and self.uses[-1].lost_at is None else None


class Output(Value):
    """What the output holds besides our rows as JSONL; `dialect` replaces their form."""

    dialect: str = "rows"
    formats: tuple[str, ...] = ("jsonl",)
    join: bool = False


class Job(Leasable):
    """The record of one upload."""

    schema_: Literal["batchdrop.job/1"] | str = Field(default="batchdrop.job/1", alias="schema")
    job_id: str
    state: JobState
    source: Source
    metadata: dict[str, str] = Field(default_factory=dict[str, str])
    snapshot_generation: int | None = None
    conversion: Conversion = Conversion()
    records: tuple[Piece, ...] = ()
    """The upload's lines, all of them, when it was not plain Gemini JSONL."""
    converted: bool = False
    """The records were written by a conversion: translated or rendered lines, and rejections among them."""
    team: str = ""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    priority: int = 0
    finish: str = "missing"
    """What becomes of lines still open at the deadline: reported `missing`, or answered at once (`standard`)."""
    model: str = ""
    dialect: str = "gemini"
    dialect_url: str = ""
    columns: str = ""
    """Work object: the fields of joined records in order and what they hold, for the columns of tables."""
    recipe_name: str = ""
    recipe_object: str = ""
    recipe_digest: str = ""
    policy: str = ""
    max_rounds: int | None = None
    max_cost: Decimal | None = None
    cache: str = "auto"
    caching: Caching | None = None
    output: Output = Output()
    held_at: datetime | None = None
    held_for: str = ""
    held_until: datetime | None = None
    """When the wait is given up and the job rejected; None while it waits for another job."""
    held_since: datetime | None = None
    """When it was held last; `held_at` is the first time."""
    held_seconds: float = 0
    """How long it was held in all: its deadline has moved by that."""
    budget_month: str = ""
    estimate: dict[str, Any] | None = None
    tokens: dict[str, int] = Field(default_factory=dict[str, int])
    cost_released: bool = False
    """A person let it run over its gates of cost."""
    plan: PlanCursor = PlanCursor()
    spawned: bool = False
    finalizing: Finalizing = Finalizing()
    final_state: JobState | None = None
    wanted: str = ""
    verdict: str | None = None
    failure: Failure | None = None
    counts: Counts = Counts()
    cost: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    duplicate_of: str | None = None
    """The job whose rows answer this one, and their manifest."""
    duplicate_manifest: str | None = None
    manifest: str | None = None
    published: bool = False
    cleaned: bool = False
    planned_at: datetime | None = None
    finalizing_at: datetime | None = None
    ended_at: datetime | None = None

    model_config = Leasable.model_config | {"populate_by_name": True}

    def moved(self, state: JobState, now: datetime, **changes: Any) -> Job:
        """Return the job in another state, if the table of moves allows it."""
        check_move(JOB_MOVES, self.state, state)
        return self.with_(state=state, updated_at=now, **changes)


def job_index(job: Job, expire_at: datetime | None) -> dict[str, IndexValue]:
    """Return the indexed fields of a job's document; `open_…` are set until it ends."""
    ended = job.state.terminal
    return {
        "due_at": job.due_at,
        "object_name": job.source.object,
        "created_at": job.created_at,
        "state": job.state.value,
        "open_since_at": None if ended else job.created_at,
        "open_until_at": None if ended else job.deadline_at,
        "expire_at": expire_at,
    }
