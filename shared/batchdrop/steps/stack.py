"""The stack's identity: who its batches belong to, kept where its documents cannot be lost with it.

    OUTPUT/_batchdrop/stack.json   made once, if absent: the stack's id, and a mark that each heartbeat replaces
    meta/stack                     the same id, and the marks this state wrote

    documents lost    the id is read back from the object: running batches are found again, not paid twice
    documents copied  a restored database is a second stack of one identity: it meets a mark that is not its own
    object damaged    made again from the documents; without them nothing begins until a person restores or deletes it

A stack that meets a fresh mark of another does nothing at the provider; once the mark is old, it takes over. Only a
stack that is certainly alone, which a caller must know and no setting says, need not wait for that (`claim`).

While the stack is paused nothing new goes to the provider: dispatch, staging, create and synchronous calls read the
pause before they begin. Looking, cancelling and writing go on. A pause has an end, so that nothing waits for ever.
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta
from typing import Final

from batchdrop.core.errors import (
    ConfigurationError,
    ObjectExistsError,
    PermanentError,
    TransientError,
)
from batchdrop.core.logs import log
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.value import Value
from batchdrop.core.wire import wire_of
from batchdrop.ports import Batch, ObjectInfo
from batchdrop.steps.context import Context

ID: Final = "stack"
HEARTBEAT = timedelta(minutes=5)
SILENCE = timedelta(minutes=12)
"""A mark older than this is of a stack that does not run any more."""
PAUSED_SECONDS: Final = 60.0
"""After this time whatever found the stack paused looks again."""
MARKS = 6
"""Marks that are remembered: a tick that was paused may write one that a later tick has replaced."""


class Identity(Value):
    """What the object holds."""

    stack_id: str
    created_at: datetime
    mark: str
    marked_at: datetime


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

    def confirmed(self) -> Stack:
        """The object exists and names this id."""
        return self._with(founded=True)

    def marked(self, marks: tuple[str, ...], now: datetime) -> Stack:
        """Know more marks as its own; it is at work."""
        return self._with(
            marks=(*self.marks, *marks)[-MARKS:], marked_at=now, stopped_until=None
        )

    def stopped(self, until: datetime) -> Stack:
        """Do nothing at the provider until then."""
        return self._with(stopped_until=until)

    def restored(self, at: datetime) -> Stack:
        """The documents count as lost."""
        return self._with(recovered_at=at)

    def with_pause(self, pause: Pause | None) -> Stack:
        """Send nothing new for a while, or end that."""
        return self._with(paused=pause)


def stack_id(context: Context[CommonSettings]) -> str:
    """Return this stack's id for display names, the same for ever, also when all documents were lost.

    Raises:
        TransientError: STACK_TWICE, another stack of this identity is at work.
    """
    stack = _stack(context)
    if stack.stopped_until is not None and context.now() < stack.stopped_until:
        raise TransientError(_twice(context), code="STACK_TWICE")
    return stack.stack_id


def wire(context: Context[CommonSettings], job: Job, shard_id: str) -> str:
    """Return what the ids of a shard's lines begin with at its provider."""
    return wire_of(
        stack_id(context),
        shard_id,
        checksum=job.source.crc32c,
        recipe=job.recipe_digest,
        provider=job.provider,
        model=job.model,
    )


def stack_created_at(context: Context[CommonSettings]) -> datetime:
    """Return when the stack first ran: it takes up no object older than that."""
    return _stack(context).created_at or context.now()


def recovered_at(context: Context[CommonSettings]) -> datetime | None:
    """Return when the stack's documents were found to be lost, or restored from a backup; None: never.

    What was uploaded before may have run already: its batches are looked for before the first create.
    """
    return _stack(context).recovered_at


def may_cancel(context: Context[CommonSettings], batch: Batch) -> bool:
    """Tell whether a batch of ours was made by these documents: one that is older may serve another stack."""
    recovered = recovered_at(context)
    return not batch.state.terminal and (
        recovered is None or batch.created_at >= recovered
    )


def paused(context: Context[CommonSettings]) -> bool:
    """Tell whether nothing new may be sent to the provider."""
    found = _stack(context).paused
    return found is not None and context.now() < found.until


def pause(context: Context[CommonSettings], until: datetime, by: str) -> None:
    """Let nothing new be sent until then; again while it is paused: the new end counts."""
    _set_pause(context, Pause(until=until, by=by))


def resume(context: Context[CommonSettings]) -> None:
    """End a pause; nothing happens when there is none."""
    _set_pause(context, None)


def beat(context: Context[CommonSettings]) -> None:
    """Say that this stack is alive, and stop it when another one of its identity is.

    Raises:
        PermanentError: STACK_TWICE, another stack of this identity is at work.
    """
    stack, now = _stack(context), context.now()
    if (
        stack.marked_at is not None
        and now < stack.marked_at + HEARTBEAT
        and stack.stopped_until is None
    ):
        return
    info = context.objects.stat(context.settings.output_bucket, names.identity())
    found = _found(context, info)
    if (
        found is not None
        and found.mark not in stack.marks
        and now < found.marked_at + SILENCE
    ):
        until = found.marked_at + SILENCE
        context.store.meta(Stack).change(ID, stack, lambda seen: seen.stopped(until))
        raise PermanentError(_twice(context), code="STACK_TWICE")
    _mark(context, stack, found, info)


def claim(context: Context[CommonSettings], *, restored: bool = False) -> None:
    """Take the identity at once, whoever marked it last. Only for a stack that is certainly alone.

    If that was a mistake, the other stack meets this mark at its next heartbeat, and stops.

    Args:
        context: Of the stack that starts.
        restored: The documents may be older than what was done with them: they count as lost.

    Raises:
        ConfigurationError: IDENTITY_DAMAGED, and there are no documents that know it.
    """
    stack, now = _stack(context), context.now()
    if restored:
        context.store.meta(Stack).change(ID, stack, lambda seen: seen.restored(now))
    info = context.objects.stat(context.settings.output_bucket, names.identity())
    _mark(context, stack, _found(context, info), info)


def _mark(
    context: Context[CommonSettings],
    stack: Stack,
    found: Identity | None,
    info: ObjectInfo | None,
) -> None:
    """Put a mark of this stack in place of the one that was found; both are known from now on.

    Documents that do not know the one that was found are not those that did what was done last: they count as lost,
    and so do those that find none.
    """
    mark, now = secrets.token_hex(8), context.now()

    def marked(seen: Stack) -> Stack:
        known = found is not None and found.mark in seen.marks
        marked = seen.marked((*((found.mark,) if found else ()), mark), now)
        return marked if known else marked.restored(now)

    context.store.meta(Stack).change(ID, stack, marked)
    identity = Identity(
        stack_id=stack.stack_id,
        created_at=stack.created_at or now,
        mark=mark,
        marked_at=now,
    )
    _write(context, identity, info)


def _set_pause(context: Context[CommonSettings], found: Pause | None) -> None:
    stack = _stack(context)
    context.store.meta(Stack).change(ID, stack, lambda seen: seen.with_pause(found))


def _stack(context: Context[CommonSettings]) -> Stack:
    stack = context.store.meta(Stack).get(ID)
    return stack if stack is not None and stack.founded else _founded(context)


def _founded(context: Context[CommonSettings]) -> Stack:
    """Make the document, then the object; what an older object says counts.

    The document comes first, so that a crash between the two is not taken for lost documents.
    """
    now = context.now()
    mark = secrets.token_hex(8)
    fresh = Stack(stack_id=secrets.token_hex(4), created_at=now, marks=(mark,))
    proposed = context.store.meta(Stack).change(
        ID, Stack(), lambda seen: seen if seen.stack_id else fresh
    )
    mine = Identity(
        stack_id=proposed.stack_id,
        created_at=proposed.created_at or now,
        mark=proposed.marks[0],
        marked_at=now,
    )
    identity = mine if _write(context, mine, None) else _read(context)
    lost = identity.stack_id != proposed.stack_id

    found = proposed.confirmed()
    if lost:
        log(
            "the stack's documents were lost",
            severity="ERROR",
            stack_id=identity.stack_id,
        )
        found = Stack(
            stack_id=identity.stack_id,
            created_at=identity.created_at,
            founded=True,
            recovered_at=now,
            stopped_until=identity.marked_at + SILENCE,
        )
    return context.store.meta(Stack).change(
        ID, Stack(), lambda seen: seen if seen.founded else found
    )


def _write(
    context: Context[CommonSettings], identity: Identity, replaced: ObjectInfo | None
) -> bool:
    """Write the object; False when somebody else was faster."""
    bucket, generation = (
        context.settings.output_bucket,
        replaced.generation if replaced else 0,
    )
    text = json.dumps(
        {"schema": "batchdrop.identity/1", **identity.model_dump(mode="json")}
    ).encode()
    try:
        with context.objects.create(
            bucket,
            names.identity(),
            if_generation_match=generation,
            content_type="application/json",
        ) as writer:
            writer.write(text)
            writer.close()
    except ObjectExistsError:
        return False
    return True


def _found(
    context: Context[CommonSettings], info: ObjectInfo | None
) -> Identity | None:
    """Read the object for a stack whose documents know the identity; None: it is gone or damaged, and made again."""
    try:
        return None if info is None else _read(context)
    except ConfigurationError as error:
        log(
            "the stack's identity was damaged and is written anew",
            severity="ERROR",
            code=error.code,
        )
        return None


def _read(context: Context[CommonSettings]) -> Identity:
    """Read the object.

    Raises:
        ConfigurationError: IDENTITY_DAMAGED, only a person knows what it held; whatever came is delivered again.
    """
    text = b"".join(
        context.objects.read(context.settings.output_bucket, names.identity())
    )
    try:
        return Identity.model_validate(json.loads(text))
    except ValueError:
        raise ConfigurationError(
            f"gs://{context.settings.output_bucket}/{names.identity()} is damaged: restore it, or delete it if no batch"
            " of this stack is running",
            code="IDENTITY_DAMAGED",
        ) from None


def _twice(context: Context[CommonSettings]) -> str:
    return (
        "another stack with this identity is at work on the output bucket"
        f" {context.settings.output_bucket}: stop one of them, or give this one buckets of its own"
    )
