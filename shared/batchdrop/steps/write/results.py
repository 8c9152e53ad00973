"""The results of a shard, one after the other, whoever gave them: its batch, or the calls made for it.

A result belongs to the shard when its id carries the shard's wire; anything else is yielded as line 0 and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from batchdrop.core.result.kept import read_kept
from batchdrop.core.result.order import Item, merged, runs
from batchdrop.core.result.result import Result
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.shard import Shard
from batchdrop.core.upload.lines import split_blocks
from batchdrop.core.wire import line_of
from batchdrop.ports import Batch, BatchKind, BatchState
from batchdrop.steps import work
from batchdrop.steps.context import Context

Writing = Context[WriteSettings]
Reader = Callable[[bytes], tuple[int, Result]]

_UNREADABLE: Final = b"?"
"""Stands for a result over the limit: it is counted, and belongs to no line."""


def results(context: Writing, shard: Shard) -> Iterator[Item[Result]]:
    """Stream the results in the order they come in."""
    read = _reader(context, shard)
    for raw in _raw(context, shard):
        number, result = read(raw)
        yield number, len(raw), result


def sorted_results(context: Writing, shard: Shard) -> Iterator[Item[Result]]:
    """Spill sorted runs of one window each to WORK, then merge them."""
    read = _reader(context, shard)
    numbered = ((read(raw)[0], len(raw), raw) for raw in _raw(context, shard))
    spilled: list[str] = []
    for index, run in enumerate(runs(numbered, context.settings.window_bytes)):
        name = names.run(shard.shard_id, shard.fence, index)
        work.put(context, name, (item[2] + b"\n" for item in run))
        spilled.append(name)
    return merged([_run(context, read, name) for name in spilled])


def _run(context: Writing, read: Reader, name: str) -> Iterator[Item[Result]]:
    for raw in work.lines(context, name):
        number, result = read(raw)
        yield number, len(raw), result


def _reader(context: Writing, shard: Shard) -> Reader:
    """Return what tells a line of results: its input line, 0 for nobody's, and the result."""
    if shard.route.asks:
        return read_kept
    envelope = context.provider_of(shard).envelope(
        shard.model, BatchKind(shard.batch_kind)
    )

    def read(raw: bytes) -> tuple[int, Result]:
        found = envelope.read(raw)
        return (
            (0, Result())
            if found is None
            else (line_of(shard.wire, found[0]), found[1])
        )

    return read


def _raw(context: Writing, shard: Shard) -> Iterator[bytes]:
    if shard.route.asks:
        for name in shard.answers:
            yield from work.lines(context, name)
        return
    if not shard.batch.parts or shard.results_lost:
        return
    for part in context.provider_of(shard).batches.results(_batch(shard)):
        for block in split_blocks(
            part.chunks, max_line_bytes=context.settings.max_row_bytes
        ):
            yield from (_UNREADABLE if line is None else line for line in block.lines)


def _batch(shard: Shard) -> Batch:
    """Return the batch as it was last seen."""
    return Batch(
        name=shard.batch.name,
        display_name="",
        model=shard.model,
        state=shard.batch.state
        if isinstance(shard.batch.state, BatchState)
        else BatchState.UNKNOWN,
        raw_state=shard.batch.raw_state,
        created_at=shard.batch.created_at or shard.created_at,
        parts=shard.batch.parts,
    )
