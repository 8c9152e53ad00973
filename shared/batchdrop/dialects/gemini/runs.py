"""Runs: lines that follow each other are checked at once when all of them are usual requests."""

from __future__ import annotations

from collections.abc import Sequence

from batchdrop.dialects.gemini import fast
from batchdrop.dialects.gemini.check import field_is_valid
from batchdrop.dialects.line import Run


def check(lines: Sequence[bytes], *, converted: bool) -> Run | None:
    """Return what lines ask for, None when one of them must be looked at by itself."""
    return fast.check_all(lines, field_is_valid, converted=converted)
