"""What a stack knows of itself: its identity as an object and as a document (`steps.stack` has the time line)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.value import Value

HEARTBEAT: Final = timedelta(minutes=5)
SILENCE: Final = timedelta(minutes=12)
"""A mark older than this is of a stack that does not run any more."""
MARKS: Final = 6
"""Marks that are remembered: a tick that was paused may write one that a later tick has replaced."""


class Identity(Value):
    """What the object holds."""

    stack_id: str
    created_at: datetime
    mark: str
    marked_at: datetime

    @property
    def silent_at(self) -> datetime:
        """From when on the stack that wrote the mark is taken for dead."""
        return self.marked_at + SILENCE


class Pause(Value):
    """Nothing new is sent until then."""

    until: datetime
    by: str


class Stack(Value):
    """What the document holds; an empty one is not founded yet."""

    stack_id: str = ""
    created_at: datetime | None = None
    founded: bool = False
    """The object exists and names this id."""
    recovered_at: datetime | None = None
    """When the documents were lost, for an identity was found that is older, or came from a backup."""
    marks: tuple[str, ...] = ()
    marked_at: datetime | None = None
    stopped_until: datetime | None = None
    """Another stack of this identity is at work."""
    paused: Pause | None = None

    def identity(self, mark: str, now: datetime) -> Identity:
        """Return what the object says once this stack has marked it."""
        return Identity(
            stack_id=self.stack_id,
            created_at=self.created_at or now,
            mark=mark,
            marked_at=now,
        )

    def is_paused(self, now: datetime) -> bool:
        """Tell whether nothing new may be sent."""
        return self.paused is not None and now < self.paused.until

    def is_stopped(self, now: datetime) -> bool:
        """Tell whether another stack of this identity was met, and may be at work still."""
        return self.stopped_until is not None and now < self.stopped_until

    def was_heard(self, now: datetime) -> bool:
        """Tell whether its mark is fresh enough, and nobody else's was met."""
        if self.marked_at is None or self.stopped_until is not None:
            return False
        return now < self.marked_at + HEARTBEAT

    def meets_another(self, found: Identity | None, now: datetime) -> bool:
        """Tell whether a mark that was found is fresh, and of another stack."""
        return (
            found is not None and found.mark not in self.marks and now < found.silent_at
        )

    def founded_as(self, identity: Identity, now: datetime) -> Stack:
        """The object exists; when it names another id, what this document knew of the stack is lost."""
        if identity.stack_id == self.stack_id:
            return self._with(founded=True)
        return Stack(
            stack_id=identity.stack_id,
            created_at=identity.created_at,
            founded=True,
            recovered_at=now,
            stopped_until=identity.silent_at,
        )

    def marked(self, mark: str, found: Identity | None, now: datetime) -> Stack:
        """Its mark takes the place of the one that was found; both are its own from now on, and it is at work.

        Documents that do not know the one that was found are not those that did what was done last: they count as
        lost, and so do those that find none.
        """
        known = found is not None and found.mark in self.marks
        before = () if found is None else (found.mark,)
        marked = self._with(
            marks=(*self.marks, *before, mark)[-MARKS:],
            marked_at=now,
            stopped_until=None,
        )
        return marked if known else marked.restored(now)

    def stopped(self, until: datetime) -> Stack:
        """Do nothing at the provider until then."""
        return self._with(stopped_until=until)

    def restored(self, at: datetime) -> Stack:
        """The documents count as lost."""
        return self._with(recovered_at=at)

    def with_pause(self, pause: Pause | None) -> Stack:
        """Send nothing new for a while, or end that."""
        return self._with(paused=pause)
