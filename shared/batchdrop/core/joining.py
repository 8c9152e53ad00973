"""Joining results to lines: both come in line order, every line gets exactly one answer.

Several results for one line: the best outcome wins, then the first. Results for no line of the shard are counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from batchdrop.core.ordering import Item
from batchdrop.core.outcomes import RANK, Answer, ResultLine, classify


class InputLine(msgspec.Struct, frozen=True, gc=False):
    """What a row needs of its input line: the number, the user's key as JSON, and what the answer must be.

    `schema` is the JSON Schema the answer must keep to as JSON, `record` the joined record as JSON (`null` without).
    """

    number: int
    key: bytes
    wants_json: bool
    schema: bytes = b""
    record: bytes = b"null"


class Joined:
    """Answers lines in order from results in order; lines below `first_line` were answered before."""

    def __init__(self, results: Iterator[Item[ResultLine]], first_line: int, nothing: Answer) -> None:
        """Take the sorted results and the answer of a line that has none."""
        self._results = results
        self._nothing = nothing
        self._unknown = 0
        self._first_line = first_line
        self._head = next(results, None)

    def answer(self, line: InputLine) -> Answer:
        """Return the best answer to a line; lines must be asked for in order."""
        number = line.number
        while self._head is not None and self._head[0] < number:
            self._skip(self._head[0])
        if self._head is None or self._head[0] > number:
            return self._nothing
        best = classify(self._head[2], wants_json=line.wants_json, schema=line.schema)
        self._head = next(self._results, None)
        while self._head is not None and self._head[0] == number:
            other = classify(self._head[2], wants_json=line.wants_json, schema=line.schema)
            best = min(best, other, key=lambda answer: RANK[answer.outcome])
            self._head = next(self._results, None)
        return best

    def finish(self) -> int:
        """Read what is left and return how many results belong to no line."""
        while self._head is not None:
            self._skip(self._head[0])
        return self._unknown

    def _skip(self, number: int) -> None:
        if number == 0 or number >= self._first_line:
            self._unknown += 1
        self._head = next(self._results, None)
