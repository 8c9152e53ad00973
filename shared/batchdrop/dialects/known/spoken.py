"""The languages that providers speak, by the name a provider's facts give: nobody gets one by accident."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.gemini import language as gemini

SPOKEN: Final[Mapping[str, Dialect]] = {"gemini": gemini}
