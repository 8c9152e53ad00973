"""A shard's segments: the last of them stand in its record, earlier ones in work objects once there are too many.

A shard has one segment a range, and an upload of few accepted lines among many has thousands of ranges: more than a
document holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from batchdrop.core.limits import limit
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.core.state.segment import Segment, Segments
from batchdrop.core.state.shard import Shard
from batchdrop.steps import work
from batchdrop.steps.context import Context

Any_ = Context[CommonSettings]


def segments_of(context: Any_, shard: Shard) -> tuple[Segment, ...]:
    """Return all segments of a shard in the order they were written."""
    listed = (_read(context, name) for name in shard.segment_lists)
    return (*chain.from_iterable(listed), *shard.segments)


def whole(context: Any_, shard: Shard) -> Shard:
    """Return the shard with all its segments in it, as no document holds it."""
    return shard.with_segments(Segments(segments_of(context, shard)))


def kept(context: Any_, shard: Shard, segments: list[Segment]) -> Segments:
    """Return what the shard's record keeps of its segments; write to WORK what would be too many.

    Args:
        context: The call's surroundings.
        shard: The record as it stands.
        segments: All segments, those that `segments_of` returned first.
    """
    lists = shard.segment_lists
    fresh = segments[shard.listed_segments :]
    if len(fresh) <= limit("record_list"):
        return Segments(tuple(fresh), lists, shard.listed_segments)
    name = names.segment_list(shard.shard_id, shard.fence, len(lists))
    _write(context, name, fresh)
    return Segments((), (*lists, name), len(segments))


def _read(context: Any_, name: str) -> Iterator[Segment]:
    listed = msgspec.json.decode(work.get(context, name))
    return map(Segment.model_validate, listed)


def _write(context: Any_, name: str, segments: Iterable[Segment]) -> None:
    listed = [segment.model_dump(mode="json") for segment in segments]
    work.put(context, name, [msgspec.json.encode(listed)])
