"""A result line that some JSON reader cannot read is no answer: its line is asked for again, and it never goes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batchdrop.ports import Batch, Part
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.harness import Stack, assert_accounted, lines, wrapped


class Breaking:
    """A provider whose first batch has a field in each answer that nobody decodes, with these bytes in it."""

    def __init__(self, inner: object, extra: bytes) -> None:
        self._inner: Any = inner
        self._extra = extra
        self._first: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def results(self, batch: Batch) -> Iterator[Part]:
        """Yield the results, broken for the first batch."""
        self._first = self._first or {batch.name}
        for part in self._inner.results(batch):
            data = b"".join(part.chunks)
            if batch.name in self._first:
                data = data.replace(b'"response":{', b'"response":{"more":%b,' % self._extra)
                assert self._extra in data
            yield Part(part.name, iter([data]))


@pytest.mark.parametrize("extra", [b'"\xff"', b'"\\ud800"', b"NaN", b'{"a":1,"a":2}'])
def test_rows_that_some_reader_cannot_read_are_asked_for_again(
    stack: Stack, gemini: GeminiEmulator, extra: bytes
) -> None:
    broken = wrapped(stack, provider=Breaking(stack.provider, extra))
    job = broken.run(broken.upload("a.jsonl", lines("one", "two", "three")))
    assert_accounted(broken, job)
    assert (job.verdict, job.counts.results, gemini.calls["create"]) == ("complete", 3, 2)
    assert all(extra not in data for name, data in broken.output(job).items() if name.startswith("results"))
