"""Planning, pure: an upload's lines are cut into ranges (one output object each) and shards (one batch each).

    lines    1 ..... 10000 | 10001 .... 20000 | 20001 ... 24000      a range is a fixed run of input lines
    ranges   [     0      ] [      1         ] [      2       ]
    shards   [            0                  ] [      1       ]      a shard is a run of whole ranges

A range ends when it holds enough lines, bytes or tokens; a shard ends before a request that would take it over
one of its limits. Both are decided by the lines alone, so the same upload is cut the same way every time.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from batchdrop.core.state.cursors import Cut


@dataclass(frozen=True, slots=True)
class CutLimits:
    """When a range and a shard are full."""

    range_lines: int
    range_bytes: int
    shard_requests: int
    shard_bytes: int
    shard_tokens: int
    shard_output_bytes: int
    shard_attached_bytes: int = sys.maxsize


class RangePlan(msgspec.Struct, frozen=True, tag="range"):
    """A run of input lines: bytes [start, end) of the records, `rejections` names their work object."""

    index: int
    first_line: int
    last_line: int
    start: int
    end: int
    requests: int
    rejected: int
    rejections: str = ""

    @property
    def unbroken(self) -> bool:
        """True when each of its lines is an accepted request: none is blank, none rejected."""
        return self.requests == self.last_line - self.first_line + 1


class ShardPlan(msgspec.Struct, frozen=True, tag="shard"):
    """A run of ranges; `bytes` are those of the rendered file."""

    index: int
    first_range: int
    last_range: int
    requests: int
    bytes: int
    tokens: int
    attached: int = 0
    """Bytes of the objects its requests name."""


class Cutter:
    """Counts lines into the open range and the open shard and says what was closed. Holds no line."""

    def __init__(
        self, limits: CutLimits, *, ranges: int, shards: int, line: int, offset: int
    ) -> None:
        """Start at an input line and its byte offset, after so many ranges and shards."""
        self.limits = limits
        self.ranges = ranges
        self.shards = shards
        self._open_range(line, offset)
        self._open_shard()

    def _open_range(self, line: int, offset: int) -> None:
        self.first_line, self.start = line, offset
        self.range_requests = self.range_rejected = 0

    def _open_shard(self) -> None:
        self.first_range = self.ranges
        self.requests = self.bytes = self.tokens = self.output_bytes = self.attached = 0

    def range_full(self, line: int, offset: int) -> bool:
        """True when the line at this offset belongs to the next range."""
        limits = self.limits
        return line - self.first_line >= limits.range_lines or (
            line > self.first_line and offset - self.start >= limits.range_bytes
        )

    def shard_full(
        self, size: int, tokens: int, output_bytes: int = 0, attached: int = 0
    ) -> bool:
        """True when a request of this size would take the open shard over a limit."""
        limits = self.limits
        return self.requests > 0 and (
            self.requests >= limits.shard_requests
            or self.bytes + size > limits.shard_bytes
            or self.tokens + tokens > limits.shard_tokens
            or self.output_bytes + output_bytes > limits.shard_output_bytes
            or self.attached + attached > limits.shard_attached_bytes
        )

    def add(
        self, size: int, tokens: int, output_bytes: int = 0, attached: int = 0
    ) -> None:
        """Count an accepted request."""
        self.range_requests += 1
        self.requests += 1
        self.bytes += size
        self.tokens += tokens
        self.output_bytes += output_bytes
        self.attached += attached

    def reject(self) -> None:
        """Count a rejected line."""
        self.range_rejected += 1

    def close_range(self, line: int, offset: int, rejections: str) -> RangePlan:
        """End the open range before the given line; return it."""
        plan = RangePlan(
            self.ranges,
            self.first_line,
            line - 1,
            self.start,
            offset,
            self.range_requests,
            self.range_rejected,
            rejections,
        )
        self.ranges += 1
        self._open_range(line, offset)
        return plan

    def close_shard(self) -> ShardPlan | None:
        """End the open shard after the last closed range; None when it holds no request."""
        if not self.requests:
            self.first_range = self.ranges
            return None
        plan = ShardPlan(
            self.shards,
            self.first_range,
            self.ranges - 1,
            self.requests,
            self.bytes,
            self.tokens,
            self.attached,
        )
        self.shards += 1
        self._open_shard()
        return plan


_encode = msgspec.json.Encoder().encode
_decode_plans = msgspec.json.Decoder(RangePlan | ShardPlan).decode_lines


def encode_plan(plans: Iterable[RangePlan | ShardPlan]) -> bytes:
    """Return a plan part: one JSON line for each range and shard."""
    return b"".join(_encode(plan) + b"\n" for plan in plans)


def decode_plan(data: bytes) -> list[RangePlan | ShardPlan]:
    """Read a plan part."""
    return _decode_plans(data)


def summed(plans: Sequence[RangePlan | ShardPlan]) -> Cut:
    """Add up what a planning step cut."""
    shards = [plan for plan in plans if isinstance(plan, ShardPlan)]
    return Cut(
        ranges=len(plans) - len(shards),
        shards=len(shards),
        requests=sum(shard.requests for shard in shards),
        tokens=sum(shard.tokens for shard in shards),
        bytes=sum(shard.bytes for shard in shards),
    )


def chained(checksum: str, part: bytes) -> str:
    """Return the checksum of a plan with one more part."""
    return hashlib.sha256(checksum.encode() + part).hexdigest()
