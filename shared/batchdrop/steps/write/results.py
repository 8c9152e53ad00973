"""The results of a shard, one after the other, whoever gave them: its batch, or the calls made for it.

A result belongs to the shard when its id carries the shard's wire; anything else is yielded as line 0 and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final, Self

from batchdrop.core.result.join import InputLine
from batchdrop.core.result.kept import read_kept
from batchdrop.core.result.order import Item, merged, runs
from batchdrop.core.result.plain import Plain
from batchdrop.core.result.result import Result
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state import names
from batchdrop.core.state.shard import Shard
from batchdrop.core.upload.lines import split_blocks
from batchdrop.core.wire import line_ids, line_of
from batchdrop.ports import Batch, BatchKind, BatchState
from batchdrop.steps import work
from batchdrop.steps.context import Context

Writing = Context[WriteSettings]
Reader = Callable[[bytes], tuple[int, Result]]
PlainReader = Callable[[Sequence[bytes], Sequence[InputLine]], list[Plain | None]]
"""Reads for each result the plain answer to the line at its place, None where it is anything else."""

_UNREADABLE: Final = b"?"
"""Stands for a result over the limit: it is counted, and belongs to no line."""


class Incoming:
    """The results in the order they come in, told one by one; those at hand can be looked at before."""

    def __init__(self, blocks: Iterator[list[bytes]], read: Reader) -> None:
        """Read nothing yet."""
        self._blocks = blocks
        self._read = read
        self._block: list[bytes] = []
        self._next = 0
        self.passed = 0
        """How many results are behind."""

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Item[Result]:
        """Return the next result, told by itself."""
        if not self._fill():
            raise StopIteration
        raw = self._block[self._next]
        self.skip(1)
        number, result = self._read(raw)
        return number, len(raw), result

    def at_hand(self, most: int) -> list[bytes]:
        """Return the next results as they came, some at most; none at the end only."""
        self._fill()
        return self._block[self._next : self._next + most]

    def skip(self, count: int) -> None:
        """Leave results behind that were at hand."""
        self._next += count
        self.passed += count

    def _fill(self) -> bool:
        while self._next >= len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return False
            self._block, self._next = block, 0
        return True


def results(context: Writing, shard: Shard) -> Incoming:
    """Stream the results in the order they come in."""
    return Incoming(_blocks(context, shard), _reader(context, shard))


def plain_reader(context: Writing, shard: Shard) -> PlainReader | None:
    """Return what reads plain answers of a batch many at once; None where the provider or its language cannot."""
    bodies = context.provider_of(shard).bodies
    plain_answers = context.language_of(shard).plain_answers
    if bodies is None or plain_answers is None or shard.route.asks:
        return None
    wire = shard.wire.encode()

    def read(raws: Sequence[bytes], lines: Sequence[InputLine]) -> list[Plain | None]:
        ids = line_ids(wire, [line.number for line in lines])
        return plain_answers.plain(bodies(raws, ids), lines)

    return read


def sorted_results(context: Writing, shard: Shard) -> Iterator[Item[Result]]:
    """Spill sorted runs of one window each to WORK, then merge them."""
    read = _reader(context, shard)
    spilled = _spilled(context, shard, read)
    return merged([_run(context, read, name) for name in spilled])


def _spilled(context: Writing, shard: Shard, read: Reader) -> list[str]:
    """Write the runs; return their work objects."""
    spilled: list[str] = []
    lines = _raw(context, shard)
    numbered = ((read(raw)[0], len(raw), raw) for raw in lines)
    for run in runs(numbered, context.settings.window_bytes):
        name = names.run(shard.shard_id, shard.fence, len(spilled))
        work.put(context, name, (raw + b"\n" for _, _, raw in run))
        spilled.append(name)
    return spilled


def _run(context: Writing, read: Reader, name: str) -> Iterator[Item[Result]]:
    for raw in work.lines(context, name):
        number, result = read(raw)
        yield number, len(raw), result


def _reader(context: Writing, shard: Shard) -> Reader:
    """Return what tells a line of results: its input line, 0 for nobody's, and the result."""
    if shard.route.asks:
        return read_kept
    provider = context.provider_of(shard)
    envelope = provider.envelope(
        shard.model,
        BatchKind(shard.batch_kind),
    )

    def read(raw: bytes) -> tuple[int, Result]:
        opened = envelope.read(raw)
        if opened is None:
            return 0, Result()
        id, result = opened
        return line_of(shard.wire, id), result

    return read


def _raw(context: Writing, shard: Shard) -> Iterator[bytes]:
    return chain.from_iterable(_blocks(context, shard))


def _blocks(context: Writing, shard: Shard) -> Iterator[list[bytes]]:
    """Stream the lines of the answers to calls, or those of the batch's parts: neighbours in one list."""
    if shard.route.asks:
        for name in shard.answers:
            for raw in work.lines(context, name):
                yield [raw]
    elif shard.batch.parts and not shard.results_lost:
        yield from _of_batch(context, shard)


def _of_batch(context: Writing, shard: Shard) -> Iterator[list[bytes]]:
    longest = context.settings.max_row_bytes
    batches = context.provider_of(shard).batches
    for part in batches.results(_batch(shard)):
        for block in split_blocks(part.chunks, max_line_bytes=longest):
            yield [_UNREADABLE if line is None else line for line in block.lines]


def _batch(shard: Shard) -> Batch:
    """Return the batch as it was last seen."""
    ref = shard.batch
    return Batch(
        name=ref.name,
        display_name="",
        model=shard.model,
        state=ref.state if isinstance(ref.state, BatchState) else BatchState.UNKNOWN,
        raw_state=ref.raw_state,
        created_at=ref.created_at or shard.created_at,
        parts=ref.parts,
    )
