"""Lines meet their answers: plain ones that come in order in runs, any other one by one.

lines     a b c d e f g h          results   a b c X e g f h       X: an error
yielded   |a b c| d |e| f g |h|    d, f, g are judged by themselves; g comes early, so it waits
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from batchdrop.core.result.join import InputLine, Joined, Windowed
from batchdrop.core.result.outcome import Answer
from batchdrop.core.result.plain import Plain, Run
from batchdrop.core.result.result import Result
from batchdrop.steps.write.results import Incoming, PlainReader

MOST: Final = 256
"""Results that are read at once: more make nothing faster, and those after an unusual end are read again."""
Pair = tuple[InputLine, Answer]


class OneByOne:
    """Answers each line by itself."""

    def __init__(self, joined: Windowed[Result] | Joined[Result]) -> None:
        """Take what finds a line's result."""
        self._joined = joined

    def answered(self, blocks: Iterable[Sequence[InputLine]]) -> Iterator[Pair]:
        """Yield each line with its answer."""
        for line in chain.from_iterable(blocks):
            yield line, self._joined.answer(line)

    def finish(self) -> int:
        """Read what is left and return how many results belong to no line."""
        return self._joined.finish()


class InRuns:
    """Answers lines in runs while the results at hand are theirs, in order, and plain."""

    def __init__(
        self, incoming: Incoming, windowed: Windowed[Result], read: PlainReader
    ) -> None:
        """Take the results, what restores their order, and what reads plain ones."""
        self._incoming = incoming
        self._windowed = windowed
        self._read = read

    def answered(self, blocks: Iterable[Sequence[InputLine]]) -> Iterator[Pair | Run]:
        """Yield all lines in order, each with its answer."""
        for lines in blocks:
            begin = 0
            while begin < len(lines):
                some = lines[begin : begin + MOST]
                for found in self._some(some):
                    yield found
                    begin += len(found.lines) if isinstance(found, Run) else 1

    def finish(self) -> int:
        """Read what is left and return how many results belong to no line."""
        return self._windowed.finish()

    def _some(self, lines: Sequence[InputLine]) -> Iterator[Pair | Run]:
        """Yield the first of the lines at least, the others as long as each result is the next line's."""
        answers = self._plain(lines) or [None]
        begin = 0
        while begin < len(answers):
            end = _first_other(answers, begin)
            if begin < end:
                yield self._run(lines[begin:end], answers[begin:end])
            if end < len(answers):
                line, passed = lines[end], self._incoming.passed
                yield line, self._windowed.answer(line)
                if self._incoming.passed != passed + 1 or not self._windowed.in_order:
                    return
            begin = end + 1

    def _plain(self, lines: Sequence[InputLine]) -> list[Plain | None]:
        if not self._windowed.in_order:
            return []
        raws = self._incoming.at_hand(len(lines))
        return self._read(raws, lines[: len(raws)])

    def _run(self, lines: Sequence[InputLine], answers: Sequence[Plain | None]) -> Run:
        self._incoming.skip(len(lines))
        self._windowed.answered(lines[-1].number)
        return Run(lines, [answer for answer in answers if answer is not None])


def _first_other(answers: list[Plain | None], begin: int) -> int:
    """Return the place of the first answer that is not plain, from one on."""
    try:
        return answers.index(None, begin)
    except ValueError:
        return len(answers)
