"""A shard's segments: the last of them stand in its record, earlier ones in work objects once there are too many.

A shard has one segment a range, and an upload of few accepted lines among many has thousands of ranges: more than a
document holds.
"""

from __future__ import annotations

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
    lists = (
        msgspec.json.decode(work.get(context, name)) for name in shard.segment_lists
    )
    listed = (Segment.model_validate(entry) for entries in lists for entry in entries)
    return (*listed, *shard.segments)


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
    fresh = segments[shard.listed_segments :]
    if len(fresh) <= limit("record_list"):
        return Segments(tuple(fresh), shard.segment_lists, shard.listed_segments)
    name = names.segment_list(shard.shard_id, shard.fence, len(shard.segment_lists))
    work.put(
        context,
        name,
        [msgspec.json.encode([segment.model_dump(mode="json") for segment in fresh])],
    )
    return Segments((), (*shard.segment_lists, name), len(segments))
