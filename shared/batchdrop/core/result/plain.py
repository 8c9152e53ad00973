"""Plain answers: whole, one text, nothing else to say of them. Nearly all rows are made of those, many at once.

    results at hand   a b c d E f g h     E: anything else, judged by itself
    runs              |-----| | |---|     of lines that follow each other, each with its plain answer

Invariant: a plain answer makes the same row, and adds the same tokens, as its result judged by itself would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from batchdrop.core.result.join import InputLine


class Plain(msgspec.Struct, frozen=True, gc=False):
    """An answer that was asked for, as text or as JSON that is right, from a prompt of text below the long limit."""

    response: bytes
    text: bytes
    """A JSON string as the provider wrote it."""
    finish_reason: bytes
    """A JSON string, as are the two after it JSON."""
    usage: bytes
    model: bytes
    prompt_tokens: int
    output_tokens: int
    thought_tokens: int


class Run(NamedTuple):
    """Neighbouring lines and their plain answers."""

    lines: Sequence[InputLine]
    answers: Sequence[Plain]
