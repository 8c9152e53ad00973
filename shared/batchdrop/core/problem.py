"""What is wrong with one line of an upload, where, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

from batchdrop.core.codes import Code

__all__ = ["Code", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a line; `pointer` is an RFC 6901 JSON pointer into it."""

    code: Code
    pointer: str
    message: str
    fix: str = ""

    def advice(self) -> str:
        """Return how to mend it."""
        return self.fix or self.code.fix
