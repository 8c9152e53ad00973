"""Jobs: what one upload asks for, and the pure transitions of its document (`job_state` has the moves)."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import Field

from batchdrop.core.codes import Code
from batchdrop.core.errors import LeaseLostError
from batchdrop.core.state import names
from batchdrop.core.state.caching import CacheUse, Caching
from batchdrop.core.state.collections import IndexValue
from batchdrop.core.state.cursors import (
    Conversion,
    Counts,
    Finalizing,
    Piece,
    PlanCursor,
)
from batchdrop.core.state.job_state import JOB_MOVES, JobState
from batchdrop.core.state.job_steps import (
    Output,
    Passed,
    Records,
    Resolved,
    Result,
    SameRows,
)
from batchdrop.core.state.lease import Leasable, check_move
from batchdrop.core.value import Failure, Value

CANCEL: Final = "cancel"
RELEASE: Final = "release"
"""What a person may want of a job (`Job.wanted`)."""
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


class Job(Leasable):
    """The document of one upload."""

    schema_: Literal["batchdrop.job/1"] | str = Field(
        default="batchdrop.job/1", alias="schema"
    )
    job_id: str
    state: JobState
    source: Source
    metadata: dict[str, str] = Field(default_factory=dict[str, str])
    snapshot_generation: int | None = None
    conversion: Conversion = Conversion()
    records: tuple[Piece, ...] = ()
    """The upload's lines, all of them, when it was not plain JSONL in its provider's language."""
    converted: bool = False
    """The records were written by a conversion: translated or rendered lines, and rejections among them."""
    team: str = ""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    priority: int = 0
    finish: str = "missing"
    """What becomes of lines still open at the deadline: reported `missing`, or answered at once (`standard`)."""
    provider: str = ""
    """The name its provider is configured under."""
    model: str = ""
    """The provider's own name of it."""
    account: str = ""
    """Whose its batches are (`Batches.account`), as it was when the job was planned."""
    dialect: str = ""
    """The form of its lines: its provider's language, until a conversion says otherwise."""
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

    # ---------------------------------------------------------------------------------------------- facts
    @property
    def output_prefix(self) -> str:
        """The folder of its output, ending in a slash."""
        return names.output_prefix(self.source.object, self.job_id)

    @property
    def manifest_name(self) -> str:
        """The output object that makes its output complete."""
        return f"{self.output_prefix}manifest.json"

    @property
    def ran(self) -> bool:
        """True when the output of a finalizing job has rows of its shards: it was not refused, and no duplicate."""
        return self.final_state not in (JobState.REJECTED, JobState.DUPLICATE)

    @property
    def answers_the_same(self) -> bool:
        """True when an ended job's rows are all that another run of the same request could give.

        Rejected lines do not count against it: the same content is rejected again.
        """
        return self.state is JobState.DONE and self.counts.errors == 0

    def deadline_after(self, length: timedelta) -> datetime:
        """Return when a job that may take so long is over: the time it was held is no part of it."""
        return self.created_at + length + timedelta(seconds=self.held_seconds)

    def waits_since(self, code: str) -> datetime | None:
        """Return since when the job has waited for this very thing; None when it waits for something new."""
        return self.held_at if self.held_for in ("", code) else None

    def stopped_by(self, likely: Decimal) -> bool:
        """Tell whether what it may cost is more than its limit, and nobody has let it run all the same."""
        limit = None if self.cost_released else self.max_cost
        return limit is not None and likely > limit

    # ------------------------------------------------------------------------------------------- receiving
    def finished_before(self, now: datetime, manifest: str) -> Job:
        """Its output was complete before the documents were lost: it is over, and was announced then."""
        return self._with(
            state=JobState.DONE,
            manifest=manifest,
            published=True,
            cleaned=True,
            ended_at=now,
            due_at=None,
        )

    def snapshotted(self, now: datetime, generation: int) -> Job:
        """The upload's bytes are ours: planning begins."""
        return self._moved(JobState.PLANNING, now, snapshot_generation=generation)

    # -------------------------------------------------------------------------------------------- planning
    def resolved(self, now: datetime, resolved: Resolved) -> Job:
        """Freeze what applies to it."""
        fields = {
            field.name: getattr(resolved, field.name)
            for field in dataclasses.fields(resolved)
        }
        return self._with(updated_at=now, **fields)

    def converting(self, now: datetime, conversion: Conversion) -> Job:
        """Keep how far its conversion is: progress."""
        return self._with(conversion=conversion, updated_at=now)

    def converted_into(self, now: datetime, records: Records) -> Job:
        """Its lines are work objects now, all of them."""
        return self._with(
            conversion=Conversion(),
            records=records.pieces,
            converted=records.converted,
            dialect=records.dialect,
            dialect_url=records.dialect_url,
            columns=records.columns,
            warnings=(*self.warnings, *records.warnings),
            updated_at=now,
        )

    def unpacked_into(self, now: datetime, pieces: tuple[Piece, ...]) -> Job:
        """Its lines are those that were packed in the upload, as they are."""
        return self._with(conversion=Conversion(), records=pieces, updated_at=now)

    def with_plan(self, now: datetime, plan: PlanCursor) -> Job:
        """Keep how far its planning is: progress."""
        return self._with(plan=plan, updated_at=now)

    def warned(self, now: datetime, warning: str) -> Job:
        """Say something about it in its manifest."""
        return self._with(warnings=(*self.warnings, warning), updated_at=now)

    def planned(self, now: datetime, plan: PlanCursor, passed: Passed) -> Job:
        """Go to RUNNING with the plan: the commit point of planning."""
        return self._moved(
            JobState.RUNNING,
            now,
            plan=plan,
            counts=plan.counts,
            planned_at=now,
            caching=passed.caching,
            estimate=passed.estimate,
            budget_month=passed.budget_month,
        )

    def does_not_run(
        self, now: datetime, plan: PlanCursor, reason: Failure | SameRows
    ) -> Job:
        """Go to its output without a batch: rejected with a reason, or answered by the rows of another job."""
        same = reason if isinstance(reason, SameRows) else None
        moved = self._moved(
            JobState.FINALIZING,
            now,
            plan=plan,
            counts=plan.counts,
            final_state=JobState.DUPLICATE if same else JobState.REJECTED,
            finalizing_at=now,
            failure=reason if isinstance(reason, Failure) else self.failure,
            duplicate_of=same.job_id if same else self.duplicate_of,
            duplicate_manifest=same.manifest if same else self.duplicate_manifest,
        )
        return moved.handed_back(now, now)

    # --------------------------------------------------------------------------------------------- holding
    def held(
        self,
        now: datetime,
        failure: Failure,
        *,
        since: datetime,
        until: datetime | None,
        due_at: datetime,
    ) -> Job:
        """Wait for a person, a recipe or another job.

        Args:
            now: The time.
            failure: What it waits for.
            since: Since when it has waited for this very thing.
            until: When the wait is given up; None while it waits for another job.
            due_at: When it looks again.
        """
        moved = self._moved(
            JobState.HELD,
            now,
            failure=failure,
            held_at=since,
            held_since=now,
            held_until=until,
        )
        return moved.handed_back(now, due_at)

    def said_held(self, now: datetime, code: str) -> Job | None:
        """It was announced that it is held for this; None when it is held no more."""
        return (
            self._with(held_for=code, updated_at=now)
            if self.state is JobState.HELD
            else None
        )

    def resumed(self, now: datetime) -> Job:
        """Go back to PLANNING, where it meets its gates again; released, it passes those of cost.

        Its deadline moves by the time it was held. A job that was not planned yet looks for its recipe again.
        """
        asked = self.wanted == RELEASE
        waited = now - (self.held_since or now)
        return self._moved(
            JobState.PLANNING,
            now,
            failure=None,
            wanted="" if asked else self.wanted,
            cost_released=asked or self.cost_released,
            recipe_digest="" if self.plan.step == 0 else self.recipe_digest,
            deadline_at=self.deadline_at + waited,
            held_since=None,
            held_seconds=self.held_seconds + waited.total_seconds(),
        )

    def asked(self, now: datetime, wanted: str) -> Job:
        """A person wants something of it (`CANCEL`, `RELEASE`): due now."""
        return self._with(wanted=wanted, due_at=now, updated_at=now)

    # --------------------------------------------------------------------------------------------- running
    def queued(self, now: datetime, due_at: datetime) -> Job:
        """Its shards exist and wait in the queue."""
        return self._with(spawned=True).handed_back(now, due_at)

    def due_again(self, now: datetime, due_at: datetime) -> Job | None:
        """Look at it again then; None when it has ended."""
        return (
            None if self.state.terminal else self._with(due_at=due_at, updated_at=now)
        )

    def still_running(self, now: datetime, due_at: datetime) -> Job | None:
        """Look then whether its shards have ended; None when it runs no more."""
        return self.due_again(now, due_at) if self.state is JobState.RUNNING else None

    def with_cache(self, use: CacheUse) -> Job | None:
        """Name a cache in the document; None when it has one, or runs no more."""
        caching = self.caching
        if (
            caching is None
            or not caching.wanted
            or caching.current is not None
            or self.state is not JobState.RUNNING
        ):
            return None
        return self._with(caching=caching.with_use(use))

    def cache_lost(self, now: datetime, name: str) -> Job | None:
        """The provider does not know its cache any more; None when this is not its cache."""
        caching = self.caching
        if caching is None or caching.current is None or caching.current.name != name:
            return None
        return self._with(caching=caching.with_loss(caching.current, now))

    def cache_given_up(self, reason: str) -> Job | None:
        """It runs on without a cache; None when it was to have none."""
        return (
            None
            if self.caching is None
            else self._with(caching=self.caching.given_up(reason))
        )

    # ------------------------------------------------------------------------------------------- finalizing
    def complete(self, now: datetime) -> Job:
        """Every shard is over: its output is made.

        Raises:
            LeaseLostError: Another worker came here first.
        """
        if self.state is not JobState.RUNNING:
            raise LeaseLostError(Code.MOVED_ON)
        final = JobState.CANCELLED if self.wanted == CANCEL else JobState.DONE
        return self._moved(
            JobState.FINALIZING, now, final_state=final, finalizing_at=now, due_at=now
        )

    def with_finalizing(self, now: datetime, finalizing: Finalizing) -> Job:
        """Keep how much of the output exists: progress."""
        return self._with(finalizing=finalizing, updated_at=now)

    def finished(self, now: datetime, result: Result) -> Job:
        """Its output is complete but for the manifest, which is made from this very value."""
        moved = self._moved(
            self.final_state or JobState.DONE,
            now,
            counts=result.counts,
            verdict=result.verdict,
            cost=result.cost,
            tokens=result.tokens,
            manifest=result.manifest,
            ended_at=now,
        )
        return moved.handed_back(now, now)

    # ----------------------------------------------------------------------------------------------- ending
    def ended(self, now: datetime, state: JobState, failure: Failure | None) -> Job:
        """It has no output, or none that is complete; its end is announced when it is due, which is now."""
        return self._moved(state, now, failure=failure, ended_at=now).handed_back(
            now, now
        )

    def announced(self, now: datetime) -> Job:
        """Its end was published.

        Raises:
            LeaseLostError: Another worker published it.
        """
        if self.published:
            raise LeaseLostError(Code.MOVED_ON)
        return self._with(published=True, updated_at=now)

    def tidied(self) -> Job | None:
        """What it needed no more is deleted: nothing is left to do; None when that is known."""
        return None if self.cleaned else self._with(cleaned=True, due_at=None)

    def _moved(self, state: JobState, now: datetime, **changes: object) -> Job:
        """Return the job in another state, if the table of moves allows it."""
        check_move(JOB_MOVES, self.state, state)
        return self._with(state=state, updated_at=now, **changes)


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
