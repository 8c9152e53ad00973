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
from collections.abc import Callable
from datetime import datetime
from typing import Final

from batchdrop.core.codes import Code
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
from batchdrop.core.state.stack import Identity, Pause, Stack
from batchdrop.core.wire import wire_of
from batchdrop.ports import Batch, ObjectInfo
from batchdrop.steps.context import Context

ID: Final = "stack"
PAUSED_SECONDS: Final = 60.0
"""After this time whatever found the stack paused looks again."""


def stack_id(context: Context[CommonSettings]) -> str:
    """Return this stack's id for display names, the same for ever, also when all documents were lost.

    Raises:
        TransientError: STACK_TWICE, another stack of this identity is at work.
    """
    stack = _stack(context)
    if stack.is_stopped(context.now()):
        raise TransientError(_twice(context), code=Code.STACK_TWICE)
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
    if batch.state.terminal:
        return False
    return recovered is None or batch.created_at >= recovered


def paused(context: Context[CommonSettings]) -> bool:
    """Tell whether nothing new may be sent to the provider."""
    return _stack(context).is_paused(context.now())


def pause(context: Context[CommonSettings], until: datetime, by: str) -> None:
    """Let nothing new be sent until then; again while it is paused: the new end counts."""
    paused = Pause(until=until, by=by)
    _change(context, _stack(context), lambda seen: seen.with_pause(paused))


def resume(context: Context[CommonSettings]) -> None:
    """End a pause; nothing happens when there is none."""
    _change(context, _stack(context), lambda seen: seen.with_pause(None))


def beat(context: Context[CommonSettings]) -> None:
    """Say that this stack is alive, and stop it when another one of its identity is.

    Raises:
        PermanentError: STACK_TWICE, another stack of this identity is at work.
    """
    stack = _stack(context)
    now = context.now()
    if stack.was_heard(now):
        return
    info = context.objects.stat(context.settings.output_bucket, names.identity())
    found = _found(context, info)
    if found is not None and stack.meets_another(found, now):
        _change(context, stack, lambda seen: seen.stopped(found.silent_at))
        raise PermanentError(_twice(context), code=Code.STACK_TWICE)
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
    stack = _stack(context)
    now = context.now()
    if restored:
        _change(context, stack, lambda seen: seen.restored(now))
    info = context.objects.stat(context.settings.output_bucket, names.identity())
    _mark(context, stack, _found(context, info), info)


def _mark(
    context: Context[CommonSettings],
    stack: Stack,
    found: Identity | None,
    info: ObjectInfo | None,
) -> None:
    """Put a mark of this stack in place of the one that was found: in the document first, then in the object."""
    mark = secrets.token_hex(8)
    now = context.now()
    _change(context, stack, lambda seen: seen.marked(mark, found, now))
    _write(context, stack.identity(mark, now), info)


def _stack(context: Context[CommonSettings]) -> Stack:
    stack = context.store.meta(Stack).get(ID)
    if stack is None or not stack.founded:
        return _founded(context)
    return stack


def _change(
    context: Context[CommonSettings], empty: Stack, transition: Callable[[Stack], Stack]
) -> Stack:
    return context.store.meta(Stack).change(ID, empty, transition)


def _founded(context: Context[CommonSettings]) -> Stack:
    """Make the document, then the object; what an older object says counts.

    The document comes first, so that a crash between the two is not taken for lost documents.
    """
    now = context.now()
    fresh = Stack(
        stack_id=secrets.token_hex(4),
        created_at=now,
        marks=(secrets.token_hex(8),),
    )
    proposed = _change(context, Stack(), lambda seen: seen if seen.stack_id else fresh)
    mine = proposed.identity(proposed.marks[0], now)
    identity = mine if _write(context, mine, None) else _read(context)
    founded = proposed.founded_as(identity, now)
    if identity.stack_id != proposed.stack_id:
        log(
            "the stack's documents were lost",
            severity="ERROR",
            stack_id=founded.stack_id,
        )
    return _change(context, Stack(), lambda seen: seen if seen.founded else founded)


def _write(
    context: Context[CommonSettings], identity: Identity, replaced: ObjectInfo | None
) -> bool:
    """Write the object; False when somebody else was faster."""
    body = {"schema": "batchdrop.identity/1", **identity.model_dump(mode="json")}
    try:
        with context.objects.create(
            context.settings.output_bucket,
            names.identity(),
            if_generation_match=replaced.generation if replaced else 0,
            content_type="application/json",
        ) as writer:
            writer.write(json.dumps(body).encode())
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
    bucket, name = context.settings.output_bucket, names.identity()
    text = b"".join(context.objects.read(bucket, name))
    try:
        return Identity.model_validate(json.loads(text))
    except ValueError:
        raise ConfigurationError(
            f"gs://{bucket}/{name} is damaged: restore it, or delete it if no batch"
            " of this stack is running",
            code=Code.IDENTITY_DAMAGED,
        ) from None


def _twice(context: Context[CommonSettings]) -> str:
    return (
        "another stack with this identity is at work on the output bucket"
        f" {context.settings.output_bucket}: stop one of them, or give this one buckets of its own"
    )
