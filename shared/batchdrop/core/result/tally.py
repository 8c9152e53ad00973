"""Tallies: what the rows of a segment add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from batchdrop.core.money.usage import REQUESTS, TokenClass, Usage, compact
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.plain import Plain
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import ShardKind


@dataclass(slots=True)
class Tally:
    """Counts rows as they are written."""

    add_usage: Callable[[Usage, bytes | None], None]
    """Adds what an answer used to a total, as the answer's language tells it."""
    outcomes: Counter[Outcome] = field(default_factory=Counter[Outcome])
    open_lines: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    files: int = 0
    file_bytes: int = 0
    usage: Usage = field(default_factory=Usage)
    failed: Usage = field(default_factory=Usage)

    def add(self, answer: Answer) -> None:
        """Count one row."""
        self.outcomes[answer.outcome] += 1
        self.files += answer.file_count
        self.file_bytes += answer.file_bytes
        total = self.usage if answer.outcome.is_result else self.failed
        self.add_usage(total, answer.usage)

    def add_plain(self, answers: Sequence[Plain]) -> None:
        """Count the rows of plain answers."""
        self.outcomes[Outcome.ANSWERED] += len(answers)
        self.usage[REQUESTS] += len(answers)
        self.usage[TokenClass.INPUT_TEXT.value] += sum(
            [answer.prompt_tokens for answer in answers]
        )
        self.usage[TokenClass.OUTPUT_TEXT.value] += sum(
            [answer.output_tokens for answer in answers]
        )
        self.usage[TokenClass.THOUGHTS.value] += sum(
            [answer.thought_tokens for answer in answers]
        )

    def open(self, line: int, kind: ShardKind | None) -> None:
        """Note a line that another try of a kind can help, if one can."""
        if kind is not None:
            self.open_lines.setdefault(kind.value, []).append(line)

    def segment(
        self,
        range_index: int,
        results: SegmentFile,
        errors: SegmentFile,
        open_list: str,
    ) -> Segment:
        """Return the segment of these rows."""
        return Segment(
            range=range_index,
            results=results,
            errors=errors,
            by_outcome={
                outcome.value: count for outcome, count in self.outcomes.items()
            },
            files=self.files,
            file_bytes=self.file_bytes,
            usage=compact(self.usage + self.failed),
            failed=compact(self.failed),
            open_list=open_list,
            open={kind: len(lines) for kind, lines in self.open_lines.items()},
        )
