"""Beginnings: what the requests of a job have in common from their start, found in one pass and cut off again.

    request      systemInstruction, tools, toolConfig | part | part | ... | part      units: the first, then each part
    beginning    |<------------- depth units ------------>|<-- rest -->|
    cache        the beginning, written once              request: the rest and `cachedContent`

The first accepted line is the pattern; of every other line only the depth to which it agrees is counted, so memory is
one line and a few numbers. A request with cached content may not carry instructions or tools
(ai.google.dev/gemini-api/docs/caching), so these are one unit that is shared whole or not at all. A cut is made only
where the rest begins with a user's part, and something always remains to be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from batchdrop.core.limits import limit
from batchdrop.dialects.dialect import Cut
from batchdrop.dialects.gemini.request import INSTRUCTIONS, Unit, request, view

GIVE_UP: Final = 64
"""When this many lines share nothing worth a cache, the rest are not looked at."""
LARGE: Final = 1 << 20
"""What a part that names a file weighs when cuts are compared: its tokens are not in the line."""
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


def units_of_line(line: bytes) -> tuple[Unit, ...]:
    """Return the units of an accepted input line; none when the request names a cache itself."""
    try:
        return request(line).units
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


class Watch:
    """Counts how far lines agree with the first one. `counts` is None once there is nothing to share."""

    def __init__(
        self,
        least_bytes: int,
        counts: Sequence[int] | None = (),
        pattern: bytes | None = None,
    ) -> None:
        """Begin, or go on where another step stopped.

        Args:
            least_bytes: A shorter beginning is not worth a cache.
            counts: Of the steps before: lines by the depth to which they agree; empty at first, None when given up.
            pattern: The first accepted line, when there are counts.
        """
        self._least = least_bytes
        self._units = units_of_line(pattern) if pattern is not None else ()
        self.counts = None if counts is None else list(counts)

    def see(self, line: bytes) -> None:
        """Count one accepted line."""
        if self.counts is None:
            return
        units = units_of_line(line)
        if not self.counts:
            self._units = units
            self.counts = [0] * len(units)
            if len(units) > limit("shared_units") or not any(
                self._worth(depth) for depth in range(len(units))
            ):
                self.counts = None
                return
        self.counts[_agreed(self._units, units)] += 1
        if sum(self.counts) == GIVE_UP and self.best() is None:
            self.counts = None

    def best(self) -> Cut | None:
        """Return the beginning that spares the most bytes, at least two requests having it."""
        counts = self.counts or []
        cuts = [
            Cut(depth, sum(counts[depth:]))
            for depth in range(1, len(counts))
            if self._worth(depth)
        ]
        shared = [cut for cut in cuts if cut.requests > 1]
        return max(
            shared,
            key=lambda cut: (cut.requests - 1) * _weight(self._units[: cut.depth]),
            default=None,
        )

    def characters(self, cut: Cut) -> int | None:
        """Return about how many characters a beginning has; None when a part names a file."""
        units = self._units[: cut.depth]
        return (
            None
            if _files(units)
            else sum(len(unit[2].decode("utf-8", "replace")) for unit in units)
        )

    def _worth(self, depth: int) -> bool:
        cut = self._units[:depth]
        user = 0 < depth < len(self._units) and self._units[depth][1] != b'"model"'
        return (
            user
            and _weight(cut) >= self._least
            and not any(b"gs:" in unit[2] for unit in cut)
        )


watch = Watch


def _agreed(pattern: tuple[Unit, ...], units: tuple[Unit, ...]) -> int:
    """Return how many units agree, of both at most all but the last."""
    most = min(len(pattern), len(units)) - 1
    return next(
        (depth for depth in range(most) if pattern[depth] != units[depth]), max(most, 0)
    )


def _weight(units: tuple[Unit, ...]) -> int:
    return sum(len(unit[2]) for unit in units) + _files(units) * LARGE


def _files(units: tuple[Unit, ...]) -> int:
    return sum(b'"fileData"' in unit[2] or b'"file_data"' in unit[2] for unit in units)


# ------------------------------------------------------------------------------------------------ cutting
@dataclass(frozen=True, slots=True)
class Beginning:
    """A beginning that is kept in a cache: requests that have it are sent without it."""

    units: tuple[Unit, ...]
    cache: str

    def spared(self, body: bytes) -> bytes:
        """Return the request as it is sent: what follows the beginning, or itself when it has another one."""
        depth = len(self.units)
        try:
            found = view(body).units
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return body
        if len(found) <= depth or found[:depth] != self.units:
            return body
        members = _decode_members(body)
        for name in INSTRUCTIONS:
            members.pop(name, None)
        members["cachedContent"] = msgspec.Raw(_encode(self.cache))
        members["contents"] = msgspec.Raw(_contents(found[depth:]))
        return _encode(members)


def beginning(line: bytes, depth: int, cache: str) -> Beginning:
    """Return the beginning of a line, kept under a cache's name."""
    return Beginning(units_of_line(line)[:depth], cache)


def cache_body(line: bytes, depth: int) -> bytes:
    """Return the members of a cached content that holds a line's beginning: JSON without its braces."""
    (_, _, first), *parts = units_of_line(line)[:depth]
    contents = b'"contents":%b' % _contents(tuple(parts)) if parts else b""
    return b",".join(filter(None, (first, contents)))


def countable(line: bytes, depth: int) -> bytes:
    """Return a request of a line's beginning, with a word to ask where it holds nothing but instructions."""
    body = cache_body(line, depth)
    if units_of_line(line)[:depth][-1][0] >= 0:
        return b"{%b}" % body
    return b"{%b}" % b",".join(filter(None, (_WORD, body)))


_WORD: Final = b'"contents":[{"role":"user","parts":[{"text":"."}]}]'


def _contents(units: tuple[Unit, ...]) -> bytes:
    found: dict[int, tuple[bytes, list[bytes]]] = {}
    for index, role, part in units:
        found.setdefault(index, (role, []))[1].append(part)
    return b"[%b]" % b",".join(
        b'{"role":%b,"parts":[%b]}' % (role, b",".join(parts))
        for role, parts in found.values()
    )
