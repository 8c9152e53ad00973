"""When a file has been written to its end, as far as anyone can tell from outside.

    held open for writing (where the system shows it)            not yet
    renamed into place, or unchanged for the whole quiet time    at once
    written in one go: closed once, or never seen to change      after a part of the quiet time
    seen to grow, or opened again after it was closed            after the quiet time

scp, NFS, browsers and `rsync --inplace` stall for seconds between two writes; a run of the half that is there would be
paid, and a run of the whole again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUIET_SECONDS: Final = 10.0
ONE_GO: Final = 0.4
"""The part of the quiet time that a file waits which was written in one go."""

Stamp = tuple[int, int]
"""Size in bytes, time of the last change in nanoseconds."""


@dataclass
class Seen:
    """What was seen of a file so far; `since` is when it was first seen as it is now."""

    stamp: Stamp
    since: float
    changes: int = 0
    closes: int = 0
    renamed: bool = False

    def looked(self, stamp: Stamp, now: float) -> None:
        """Note how the file looks now."""
        if stamp != self.stamp:
            self.stamp, self.since = stamp, now
            self.changes += 1

    def settled(self, now: float, age_seconds: float, quiet_seconds: float) -> bool:
        """Tell whether nobody writes any more; `age_seconds` is the age of the last change by the wall clock."""
        if self.changes == 0 and (self.renamed or age_seconds >= quiet_seconds):
            return True
        one_go = self.closes == 1 or (self.closes == 0 and self.changes == 0)
        return now - self.since >= quiet_seconds * (ONE_GO if one_go else 1)
