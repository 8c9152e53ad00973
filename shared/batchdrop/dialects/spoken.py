"""The dialects that providers speak, by the name a provider's facts give."""

from __future__ import annotations

from typing import Final

from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.gemini import language as gemini

_SPOKEN: Final[dict[str, Dialect]] = {"gemini": gemini}


def spoken(name: str = "gemini") -> Dialect:
    """Return the dialect of that name."""
    return _SPOKEN[name]
