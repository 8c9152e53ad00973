"""The lines of a shard, read from the job's snapshot by byte range: for rendering and for rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from batchdrop.core.result.join import InputLine
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard, ShardKind
from batchdrop.core.upload.cut import RangePlan, decode_plan
from batchdrop.core.upload.lines import BOM, each_line, gathered, whole_lines
from batchdrop.core.wire import line_id
from batchdrop.dialects.dialect import Beginning
from batchdrop.ports import BatchKind
from batchdrop.steps import pieces, work
from batchdrop.steps.context import Context

Any_ = Context[CommonSettings]
Made = TypeVar("Made")
AT_ONCE: Final = 256
"""Lines that are identified at once where a range has gaps."""
NO_FILES: Final[Mapping[str, str]] = MappingProxyType({})


class _Line(msgspec.Struct, frozen=True):
    line: int


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_lists = msgspec.json.Decoder(dict[str, list[int]]).decode


def all_ranges(context: Any_, job: Job) -> list[RangePlan]:
    """Return every range of the job's plan, in order."""
    plans = (
        plan for name in job.plan.parts for plan in decode_plan(work.get(context, name))
    )
    return [plan for plan in plans if isinstance(plan, RangePlan)]


def ranges_of(context: Any_, job: Job, shard: Shard) -> list[RangePlan]:
    """Return the ranges a shard covers, in order."""
    return [
        plan
        for plan in all_ranges(context, job)
        if shard.first_range <= plan.index <= shard.last_range
    ]


def input_lines(
    context: Any_, job: Job, shard: Shard, plan: RangePlan
) -> Iterator[list[InputLine]]:
    """Yield what rows need of the shard's lines in one range, in lists of neighbours."""
    wanted, language = _wanted(context, shard), context.language_of(shard)
    if wanted is None and plan.unbroken:
        yield from _at_once(context, job, plan, language.identify_all)
        return
    lines = raw_lines(context, job, plan, wanted)
    identified = (language.identify(raw, number) for number, raw in lines)
    while some := list(islice(identified, AT_ONCE)):
        yield some


def line_numbers(context: Any_, job: Job, shard: Shard) -> Iterator[int]:
    """Yield the shard's line numbers in order."""
    wanted = _wanted(context, shard)
    if wanted is not None:
        yield from sorted(wanted)
        return
    for plan in ranges_of(context, job, shard):
        for number, _ in raw_lines(context, job, plan, None):
            yield number


def bodies(
    context: Any_, job: Job, shard: Shard, files: Mapping[str, str] = NO_FILES
) -> Iterator[tuple[int, bytes]]:
    """Yield number and request of each of the shard's lines: a pure function of the lines, cache and files."""
    wanted, language = _wanted(context, shard), context.language_of(shard)
    longer = shard.kind is ShardKind.LONGER
    cached = _cached(context, job, shard)
    as_they_are = wanted is None and not longer and cached is None and not files
    for plan in ranges_of(context, job, shard):
        if as_they_are and plan.unbroken:
            for some in _at_once(context, job, plan, language.bodies_of):
                yield from some
            continue
        for number, raw in raw_lines(context, job, plan, wanted):
            body = language.body_of(raw, longer=longer, beginning=cached, files=files)
            yield number, body


def _cached(context: Any_, job: Job, shard: Shard) -> Beginning | None:
    """Return what the job's cache holds; synchronous calls are few and do without."""
    cache = None if job.caching is None or shard.route.asks else job.caching.current
    beginnings = context.language_of(shard).beginnings
    if job.caching is None or cache is None or beginnings is None:
        return None
    pattern = work.get(context, job.caching.pattern)
    return beginnings.beginning(pattern, job.caching.depth, cache.name)


def rendered(
    context: Any_, job: Job, shard: Shard, files: Mapping[str, str] = NO_FILES
) -> Iterator[bytes]:
    """Yield the shard's file for the provider in pieces of about 1 MiB."""
    envelope = context.provider_of(shard).envelope(
        shard.model, BatchKind(shard.batch_kind)
    )
    wire = shard.wire.encode()
    every = bodies(context, job, shard, files)
    return gathered(
        envelope.line(line_id(wire, number), body) for number, body in every
    )


def rendered_size(
    context: Any_, job: Job, shard: Shard, files: Mapping[str, str] = NO_FILES
) -> int:
    """Return how many bytes `rendered` yields: known from the plan, else counted."""
    if (
        shard.measured
        and not files
        and (job.caching is None or job.caching.current is None)
    ):
        return shard.bytes
    return sum(map(len, rendered(context, job, shard, files)))


def _wanted(context: Any_, shard: Shard) -> frozenset[int] | None:
    if not shard.lists:
        return None
    lists = (_decode_lists(work.get(context, name)) for name in shard.lists)
    return frozenset(
        number for entry in lists for number in entry.get(shard.list_key, ())
    )


def _at_once(
    context: Any_, job: Job, plan: RangePlan, make: Callable[[bytes, int], list[Made]]
) -> Iterator[list[Made]]:
    """Yield what is made of each line of an unbroken range: one list for the lines of each chunk read."""
    number = plan.first_line
    for lines in whole_lines(records(context, job, plan.start, plan.end)):
        made = make(lines.removeprefix(BOM) if number == 1 else lines, number)
        yield made
        number += len(made)


def raw_lines(
    context: Any_, job: Job, plan: RangePlan, wanted: frozenset[int] | None
) -> Iterator[tuple[int, bytes]]:
    """Yield (number, bytes) of the accepted lines of a range, only the wanted ones if any are named."""
    if wanted is not None and not any(
        plan.first_line <= n <= plan.last_line for n in wanted
    ):
        return
    rejected = _rejected(context, plan)
    lines = each_line(
        records(context, job, plan.start, plan.end), number=plan.first_line
    )
    for number, raw in enumerate(lines, plan.first_line):
        if (
            number not in rejected
            and (wanted is None or number in wanted)
            and raw
            and not raw.isspace()
        ):
            yield number, raw


def _rejected(context: Any_, plan: RangePlan) -> frozenset[int]:
    if not plan.rejections:
        return frozenset()
    return frozenset(
        _decode_line(row).line for row in work.lines(context, plan.rejections)
    )


def records(
    context: Any_, job: Job, start: int, end: int | None = None
) -> Iterator[bytes]:
    """Stream bytes of the job's lines: of what was converted, else of the snapshot, pinned to its generation."""
    return pieces.read(context, job.records or pieces.snapshot(job), start, end)
