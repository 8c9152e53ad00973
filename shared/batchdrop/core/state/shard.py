r"""Shards: slices of a job sent as one batch each, and the pure transitions of their documents.

       _______________________________________(refused late)
      v                                       |
    QUEUED > STAGING > STAGED > CREATING > SUBMITTED > ENDED > WRITING > SETTLING > WRITTEN
       \________________________________\______________\______________________> SPLIT CANCELLED

A shard's lines are the accepted lines of its ranges (kind `plan`) or a list kept as a work object (a child).
Children of kind `half` stand in for their parent, which writes no rows. Kinds `again`, `longer` and `late` repeat
single lines of a parent that wrote a row for every line; of the rows of a line, the best is kept. A shard says why it
exists (`kind`) and how it runs (`route`): one of route `standard` has no batch, its lines are answered by calls.

A transition is a method: its arguments are typed, and it sets all the fields that belong to its meaning. Those that
follow from a look at a batch name that batch, and change nothing unless the shard waits for this very batch:

    look 1  sees b0 refused ---------> QUEUED, past (b0) --> created again as b1, SUBMITTED
    look 2  sees b0 refused --paused----------------------------------------------> names b0: nothing happens
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import Field

from batchdrop.core.codes import Code
from batchdrop.core.errors import LeaseLostError, PermanentError
from batchdrop.core.provider.batch import Batch, Mark
from batchdrop.core.state.batch import BatchRef, Intent, NoBatch
from batchdrop.core.state.capacity import pool_of
from batchdrop.core.state.collections import IndexValue
from batchdrop.core.state.kind import Child, Route, ShardKind
from batchdrop.core.state.lease import Leasable, check_move
from batchdrop.core.state.segment import Segment, Segments
from batchdrop.core.state.shard_state import SHARD_MOVES, ShardState
from batchdrop.core.value import Failure

DEADLINE: Final = Failure.coded(Code.DEADLINE)


class Shard(Leasable):
    """The document of one shard."""

    schema_: Literal["batchdrop.shard/1"] | str = Field(
        default="batchdrop.shard/1", alias="schema"
    )
    shard_id: str
    job_id: str
    state: ShardState
    kind: ShardKind = ShardKind.PLAN
    """Why it exists."""
    route: Route = Route.BATCH
    """How it runs."""
    batch_kind: str = "generate"
    parent: str | None = None
    round: int = 0
    first_range: int = 0
    last_range: int = 0
    requests: int
    bytes: int
    """Rendered bytes: exact when `measured`, else in proportion to the parent's."""
    attached_bytes: int = 0
    """Of the objects its lines name; of a child in proportion to its parent's."""
    attached: tuple[str, ...] = ()
    """Work objects that list the files those objects became (`steps.attach`)."""
    measured: bool = False
    lists: tuple[str, ...] = ()
    """Work objects that hold the lines of a child, under `list_key`; empty: all lines of the ranges."""
    list_key: str = ""
    tokens: int
    provider: str = ""
    """The name its provider is configured under."""
    model: str
    """The provider's own name of it."""
    wire: str = ""
    """What the ids of its lines begin with at the provider (`core.wire`)."""
    team: str = ""
    priority: int = 0
    queued_at: datetime
    account: str = ""
    """Whose its file and its batch are (`Provider.account`)."""
    file: str | None = None
    file_expires_at: datetime | None = None
    intent: Intent | None = None
    attempts: int = 0
    sought_at: datetime | None = None
    """When a look through all batches last proved that none is this shard's."""
    batch: BatchRef = BatchRef()
    past: tuple[str, ...] = ()
    """Batches that ended without running: never adopted again, and no orphans."""
    batch_deadline_at: datetime | None = None
    cancel_sent_at: datetime | None = None
    segments: tuple[Segment, ...] = ()
    """The last ones, or all (`steps.segment_lists`)."""
    segment_lists: tuple[str, ...] = ()
    """Work objects with the `listed_segments` before them."""
    listed_segments: int = 0
    answers: tuple[str, ...] = ()
    """Work objects with the answers of synchronous calls."""
    results_lost: str = ""
    """Why the batch's results can never be read; empty while they may be."""
    unknown_rows: int = 0
    children: tuple[Child, ...] = ()
    stop: Failure | None = None
    """Set when the open lines must not be sent again: cancelled, past the deadline, refused, poisoned."""
    submitted_at: datetime | None = None
    written_at: datetime | None = None

    model_config = Leasable.model_config | {"populate_by_name": True}

    @property
    def pool(self) -> str:
        """The ledger that its tokens are reserved in, and the queue it waits in."""
        return pool_of(self.provider, self.model)

    @property
    def mark(self) -> Mark | None:
        """Where its account's batches ended before its create, if that was asked."""
        return None if self.intent is None else self.intent.mark

    @property
    def unseen_at(self) -> datetime | None:
        """When a look after the quarantine first showed no batch of its intent."""
        return None if self.intent is None else self.intent.unseen_at

    @property
    def rest_kind(self) -> ShardKind | None:
        """What a child of its other lines is, when its batch was refused for lines that are named: they ran in none."""
        if not self.batch.named_lines:
            return None
        return self.kind if self.kind.repeats else ShardKind.AGAIN

    def lies_ready(self, account: str, until: datetime) -> bool:
        """Tell whether its lines lie ready in this account, and will until then."""
        lasts = self.file_expires_at is None or until < self.file_expires_at
        return bool(self.file) and lasts and self.account == account

    # ------------------------------------------------------------------------------------ queue and staging
    def dispatched(self, now: datetime, due_at: datetime) -> Shard:
        """Go from the queue to STAGING: its capacity is reserved.

        Raises:
            LeaseLostError: Another worker dispatched it.
        """
        self._must_wait()
        return self._moved(ShardState.STAGING, now, due_at=due_at)

    def found_too_large(self, now: datetime) -> Shard:
        """Go from the queue to its end without a batch, to be taken apart: it is above the learnt limit.

        Raises:
            LeaseLostError: Another worker dispatched it.
        """
        self._must_wait()
        return self._moved(
            ShardState.ENDED, now, batch=BatchRef(state=NoBatch.TOO_LARGE), due_at=now
        )

    def with_attached(self, now: datetime, work_object: str) -> Shard:
        """Name one more list of uploaded objects: progress."""
        return self._with(
            attached=(*self.attached, work_object), claims=0, updated_at=now
        )

    def staged(
        self, now: datetime, file: str, expires_at: datetime | None, account: str
    ) -> Shard:
        """Its file is at the provider."""
        return self._moved(
            ShardState.STAGED,
            now,
            file=file,
            file_expires_at=expires_at,
            account=account,
        )

    def still_staged(self, now: datetime, account: str) -> Shard:
        """The file of an earlier attempt is there and lives long enough, or none is needed to look for a batch."""
        return self._moved(ShardState.STAGED, now, account=account)

    def requeued(self, now: datetime) -> Shard:
        """Nothing was created: wait in the queue with the file."""
        self._must_not_run()
        return self._known(ShardState.QUEUED, now, intent=None).handed_back(
            now, self.deadline_at
        )

    def requeued_without_file(self, now: datetime) -> Shard:
        """Wait in the queue and be staged again: the file is of an account that is no longer ours."""
        self._must_not_run()
        return self._moved(ShardState.QUEUED, now, file=None).handed_back(
            now, self.deadline_at
        )

    # --------------------------------------------------------------------------------------------- creating
    def intended(self, now: datetime, intent: Intent) -> Shard:
        """From here on a batch may exist: nobody leaves CREATING but who knows whether it does."""
        return self._moved(
            ShardState.CREATING, now, intent=intent, attempts=intent.attempt
        )

    def not_sent(self, now: datetime) -> Shard:
        """The intent was not followed by a call: the attempt does not count."""
        return self._known(
            ShardState.STAGED, now, intent=None, attempts=self.attempts - 1
        )

    def not_created(self, now: datetime) -> Shard:
        """The call made nothing: the provider said so."""
        return self._known(ShardState.STAGED, now, intent=None)

    def sought_since(self, moment: datetime) -> bool:
        """Tell whether a look for its batch, that showed none, began at that time or later."""
        return self.sought_at is not None and self.sought_at >= moment

    def unseen(self, looked_at: datetime) -> Shard:
        """A look after the quarantine showed no batch of its intent, and another one must say so too."""
        return (
            self
            if self.intent is None
            else self._with(intent=self.intent.unseen(looked_at))
        )

    def proved_lost(self, now: datetime, sought_at: datetime) -> Shard:
        """The call made nothing: a listing begun at that time, after the quarantine, does not show its batch."""
        return self._known(ShardState.STAGED, now, intent=None, sought_at=sought_at)

    def submitted(
        self, now: datetime, batch: BatchRef, batch_deadline_at: datetime
    ) -> Shard:
        """Record the batch as the shard's own; the first recorded adoption is final."""
        moved = self._known(
            ShardState.SUBMITTED,
            now,
            batch=batch.after(self.batch),
            batch_deadline_at=batch_deadline_at,
            submitted_at=now,
        )
        return moved.handed_back(now, min(batch_deadline_at, self.deadline_at))

    def ended_without_batch(self, now: datetime, stop: Failure) -> Shard:
        """Its lines become error rows with the reason; it has no batch, and gets none."""
        ended = self._known(
            ShardState.ENDED, now, stop=stop, batch=BatchRef(state=NoBatch.NONE)
        )
        return ended.handed_back(now, now)

    def cancelled(self, now: datetime, stop: Failure) -> Shard:
        """It has no batch and needs no rows: its parent has one for each of its lines."""
        ended = self._moved(
            ShardState.CANCELLED, now, stop=stop, batch=BatchRef(state=NoBatch.NONE)
        )
        return ended.handed_back(now, None)

    # ------------------------------------------------------------- looked at: only while this batch is recorded
    def seen(self, now: datetime, batch: Batch) -> Shard | None:
        """Keep what the provider says of the shard's batch; None when it is not (any more) this batch that runs."""
        return (
            self._with(batch=self.batch.seen(batch, now), updated_at=now)
            if self._runs(batch.name)
            else None
        )

    def cancel_sent(self, now: datetime, batch: Batch) -> Shard | None:
        """The provider was told to cancel the shard's batch; None when it is not this batch that runs."""
        if not self._runs(batch.name):
            return None
        return self._with(
            batch=self.batch.seen(batch, now),
            cancel_sent_at=self.cancel_sent_at or now,
            updated_at=now,
        )

    def ended(
        self, now: datetime, looked_at: str, batch: Batch | None, due_at: datetime
    ) -> Shard | None:
        """The batch of that name will not change any more; None when it is not this batch that runs.

        `batch` is None when the provider does not know it any more; `due_at` is when the writer is woken again.
        """
        if not self._runs(looked_at):
            return None
        ref = self.batch.gone() if batch is None else self.batch.ended(batch)
        return self._moved(
            ShardState.ENDED, now, batch=ref, stop=self.must_stop(now), due_at=due_at
        )

    def refused_late(self, now: datetime, looked_at: str) -> Shard | None:
        """Go back to the queue with the file: the batch ended without running; None when it is not this one that runs.

        The only way from SUBMITTED to QUEUED. The batch is remembered, so that it is never adopted again.
        """
        if not self._runs(looked_at):
            return None
        queued = self._moved(
            ShardState.QUEUED,
            now,
            past=(*self.past, looked_at),
            batch=BatchRef().after(self.batch),
            intent=None,
            batch_deadline_at=None,
            cancel_sent_at=None,
        )
        return queued.handed_back(now, self.deadline_at)

    def with_duplicate(self, name: str) -> Shard | None:
        """Remember a batch of this shard that is not its own; None when it is, or is known."""
        return (
            None
            if self.knows(name)
            else self._with(batch=self.batch.with_duplicate(name))
        )

    def knows(self, name: str) -> bool:
        """Tell whether a batch stands in the shard: its own, or one that is never adopted."""
        return name in (self.batch.name, *self.never_adopted)

    @property
    def never_adopted(self) -> tuple[str, ...]:
        """Batches of the shard that `find` leaves out: those that ended without running, and reported duplicates."""
        return (*self.past, *self.batch.duplicates)

    def _runs(self, batch: str) -> bool:
        """Tell whether this very batch is the one the shard waits for.

        The look was some time ago: the shard may have ended since, or wait for another batch.
        """
        return self.state is ShardState.SUBMITTED and self.batch.name == batch

    # --------------------------------------------------------------------------------- answers and rows
    def answered(self, now: datetime, work_object: str) -> Shard:
        """Name one more group of synchronous answers: progress."""
        return self._with(
            answers=(*self.answers, work_object), claims=0, updated_at=now
        )

    def without_quota(self) -> Shard:
        """A synchronous call was refused for want of quota once more."""
        return self._with(attempts=self.attempts + 1)

    def writing(self, now: datetime) -> Shard:
        """Its rows are being written."""
        return self._moved(ShardState.WRITING, now)

    def with_segments(self, kept: Segments) -> Shard:
        """Keep the rows written so far."""
        return self._with(
            segments=kept.last, segment_lists=kept.lists, listed_segments=kept.listed
        )

    def with_results_lost(self, now: datetime, reason: str) -> Shard:
        """The batch's results can never be read; a reason that stands already stays when there is no new one."""
        return self._with(results_lost=reason or self.results_lost, updated_at=now)

    def rows_written(
        self,
        now: datetime,
        kept: Segments,
        children: tuple[Child, ...],
        unknown_rows: int,
    ) -> Shard:
        """Every line has a row; its children are named before they exist."""
        moved = self._moved(
            ShardState.SETTLING, now, children=children, unknown_rows=unknown_rows
        )
        return moved.with_segments(kept)

    def taken_apart(self, now: datetime, children: tuple[Child, ...]) -> Shard:
        """Its children stand in for it: it writes no rows."""
        return self._moved(ShardState.SETTLING, now, children=children)

    def abandoned(self, now: datetime) -> Shard:
        """The job ended without it: it names no rows, for their objects may be gone, and no children."""
        return self.rows_written(
            now, Segments(), (), self.unknown_rows
        ).with_results_lost(now, Code.JOB_ENDED)

    def settled(self, now: datetime) -> Shard:
        """Its children exist and its costs are kept: it is over."""
        half = any(child.kind is ShardKind.HALF for child in self.children)
        end = ShardState.SPLIT if half else ShardState.WRITTEN
        return self._moved(end, now, written_at=now, attached=()).handed_back(now, None)

    # ------------------------------------------------------------------------------------------- stopping
    def told_to_stop(self, now: datetime, stop: Failure) -> Shard | None:
        """Its open lines must not be sent again; None when it has ended or was told before.

        Due at once, unless somebody owns it: that step ends with a look at `stop`.
        """
        if self.state.terminal or self.stop is not None:
            return None
        return self._with(
            stop=stop, due_at=self.due_at if self.leased(now) else now, updated_at=now
        )

    def stopped_here(self, now: datetime, stop: Failure) -> Shard:
        """The step that owns it answers no more lines."""
        return self._with(stop=stop, updated_at=now)

    def must_stop(self, now: datetime) -> Failure | None:
        """Return why its lines must not be sent (again): asked for, or past the job's deadline."""
        return self.stop or (DEADLINE if now >= self.deadline_at else None)

    def must_not_go_on(self, now: datetime) -> bool:
        """Tell whether its batch must end: its job was stopped, its time is over, or it is stuck."""
        ends_at = min(self.deadline_at, self.batch_deadline_at or self.deadline_at)
        return self.stop is not None or now >= ends_at

    def ignores_cancel(self, now: datetime, grace: timedelta) -> bool:
        """Tell whether its batch was told to cancel so long ago that it will not."""
        sent_at = self.cancel_sent_at
        return sent_at is not None and now >= sent_at + grace

    def _must_wait(self) -> None:
        if self.state is not ShardState.QUEUED:
            raise LeaseLostError("the shard was dispatched by another worker")

    def _must_not_run(self) -> None:
        if (
            self.state is ShardState.SUBMITTED
        ):  # the way back from there names the batch: `refused_late`
            raise PermanentError("the shard has a batch", code=Code.ILLEGAL_MOVE)

    def _known(self, state: ShardState, now: datetime, **changes: object) -> Shard:
        """Return the shard in another state, also from CREATING: for who knows whether there is a batch."""
        check_move(SHARD_MOVES, self.state, state)
        return self._with(state=state, updated_at=now, **changes)

    def _moved(self, state: ShardState, now: datetime, **changes: object) -> Shard:
        """Return the shard in another state, if the table of moves allows it; never from CREATING."""
        if self.state is ShardState.CREATING:
            raise PermanentError(
                "it is not known whether the shard has a batch", code=Code.ILLEGAL_MOVE
            )
        return self._known(state, now, **changes)


def shard_index(shard: Shard, expire_at: datetime | None) -> dict[str, IndexValue]:
    """Return the indexed fields of a shard's document."""
    return {
        "due_at": shard.due_at,
        "state": shard.state.value,
        "job_id": shard.job_id,
        "pool": shard.pool,
        "team": shard.team,
        "priority_rank": -shard.priority,
        "queued_at": shard.queued_at,
        "expire_at": expire_at,
    }
