"""Joining results to lines: lines are asked for in order, every line gets exactly one answer.

    Windowed    results come about in the order of the lines, one for each: in order, none of them waits
    Joined      results are sorted; several results for one line: the best outcome wins, then the first

Results for no line of the shard are counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from batchdrop.core.result.order import Item, OutOfWindowError
from batchdrop.core.result.outcome import RANK, Answer, classify
from batchdrop.core.result.result import Result


class InputLine(msgspec.Struct, frozen=True, gc=False):
    """What a row needs of its input line: the number, the user's key as JSON, and what the answer must be.

    `schema` is the JSON Schema the answer must keep to as JSON, `record` the joined record as JSON (`null` without).
    """

    number: int
    key: bytes
    wants_json: bool
    schema: bytes = b""
    record: bytes = b"null"


class Windowed:
    """Answers lines in order from results in any order, as long as each result is within a window of its line.

    A line without a result in the window has none. Whether that was right is seen later: a result that comes after its
    line, a second one too, raises OutOfWindowError.
    """

    def __init__(self, results: Iterator[Item[Result]], nothing: Answer, window_bytes: int, first_line: int) -> None:
        """Take the results, the answer of a line that has none, and the bytes of results that may wait."""
        self._results = results
        self._nothing = nothing
        self._window_bytes = window_bytes
        self._first_line = first_line
        self._line = first_line - 1
        self._waiting: dict[int, Item[Result]] = {}
        self._held = 0
        self._unknown = 0

    def answer(self, line: InputLine) -> Answer:
        """Return the answer to a line; lines must be asked for in order."""
        found = self._take(line.number)
        return self._nothing if found is None else classify(found, wants_json=line.wants_json, schema=line.schema)

    def finish(self) -> int:
        """Read what is left and return how many results belong to no line."""
        for item in self._results:
            if self._belongs_later(item[0]):
                self._unknown += 1
        return self._unknown + len(self._waiting)

    def _take(self, number: int) -> Result | None:
        self._line = number
        item = self._waiting.pop(number, None)
        if item is not None:
            self._held -= item[1]
            return item[2]
        while self._held <= self._window_bytes and (item := next(self._results, None)) is not None:
            if item[0] == number:
                return item[2]
            if self._belongs_later(item[0]):
                self._hold(item)
        return None

    def _belongs_later(self, number: int) -> bool:
        """True for a result of a line not asked for yet; what cannot be told apart is counted, what is done is not."""
        if number == 0:
            self._unknown += 1
        elif number > self._line:
            return True
        elif number >= self._first_line:
            raise OutOfWindowError
        return False

    def _hold(self, item: Item[Result]) -> None:
        if self._waiting.setdefault(item[0], item) is not item:
            raise OutOfWindowError
        self._held += item[1]


class Joined:
    """Answers lines in order from results in order; lines below `first_line` were answered before."""

    def __init__(self, results: Iterator[Item[Result]], nothing: Answer, first_line: int) -> None:
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
