"""Joining results to lines: lines are asked for in order, every line gets exactly one answer.

    Windowed    results come about in the order of the lines, one for each: in order, none of them waits
    Joined      results are sorted; several results for one line: the best outcome wins, then the first

Results for no line of the shard are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from batchdrop.core.result.order import Item, OutOfWindowError
from batchdrop.core.result.outcome import RANK, Answer

R = TypeVar("R")
"""A result, which only the judge understands."""


class InputLine(msgspec.Struct, frozen=True, gc=False):
    """What a row needs of its input line: the number, the user's key as JSON, and what the answer must be.

    `schema` is the JSON Schema the answer must keep to as JSON, `record` the joined record as JSON (`null` without).
    """

    number: int
    key: bytes
    wants_json: bool
    schema: bytes = b""
    record: bytes = b"null"


class Windowed(Generic[R]):
    """Answers lines in order from results in any order, as long as each result is within a window of its line.

    A line without a result in the window gets the answer of a line that has none. When its result comes later after
    all, or a second result comes, OutOfWindowError is raised: the caller starts again with `Joined`.

        window of 2    results  2 3 1 …    line 1: 2 and 3 wait, 1 is taken      in order
                       results  2 3 4 1    line 1: none; later 1 comes           OutOfWindowError
    """

    def __init__(
        self,
        results: Iterator[Item[R]],
        judge: Callable[[R, InputLine], Answer],
        nothing: Answer,
        window_bytes: int,
        first_line: int,
    ) -> None:
        """Read nothing yet.

        Args:
            results: In about the order of their lines.
            judge: Says what a result means for its line.
            nothing: The answer of a line that has no result.
            window_bytes: How many bytes of results may wait for their lines.
            first_line: Results of lines before this one were used by an earlier step.
        """
        self._results = results
        self._judge = judge
        self._nothing = nothing
        self._window_bytes = window_bytes
        self._first_line = first_line
        self._line = first_line - 1
        self._waiting: dict[int, Item[R]] = {}
        self._held = 0
        self._unknown = 0

    @property
    def in_order(self) -> bool:
        """True while no result waits: the next one may be that of the next line."""
        return not self._waiting

    def answered(self, number: int) -> None:
        """Note that the lines up to this one got the results that were next, each its own."""
        self._line = number

    def answer(self, line: InputLine) -> Answer:
        """Return the answer to a line; lines must be asked for in order."""
        item = self._take(line.number)
        return self._nothing if item is None else self._judge(item[2], line)

    def finish(self) -> int:
        """Read what is left and return how many results belong to no line."""
        for item in self._results:
            if self._belongs_later(item[0]):
                self._unknown += 1
        return self._unknown + len(self._waiting)

    def _take(self, number: int) -> Item[R] | None:
        self._line = number
        item = self._waiting.pop(number, None)
        if item is not None:
            self._held -= item[1]
            return item
        while (
            self._held <= self._window_bytes
            and (item := next(self._results, None)) is not None
        ):
            if item[0] == number:
                return item
            if self._belongs_later(item[0]):
                self._hold(item)
        return None

    def _belongs_later(self, number: int) -> bool:
        """True for a result of a line that was not asked for yet; a result whose line cannot be told is counted."""
        if number == 0:
            self._unknown += 1
        elif number > self._line:
            return True
        elif number >= self._first_line:
            raise OutOfWindowError  # its line has been answered without it
        return False

    def _hold(self, item: Item[R]) -> None:
        if self._waiting.setdefault(item[0], item) is not item:
            raise OutOfWindowError
        self._held += item[1]


class Joined(Generic[R]):
    """Answers lines in order from results in order; lines below `first_line` were answered before."""

    def __init__(
        self,
        results: Iterator[Item[R]],
        judge: Callable[[R, InputLine], Answer],
        nothing: Answer,
        first_line: int,
    ) -> None:
        """Take the sorted results; the other arguments are those of `Windowed`."""
        self._results = results
        self._judge = judge
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
        best = self._judge(self._head[2], line)
        self._head = next(self._results, None)
        while self._head is not None and self._head[0] == number:
            best = min(
                best,
                self._judge(self._head[2], line),
                key=lambda answer: RANK[answer.outcome],
            )
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
