"""The languages that lines may be in and rows be answered in, by the form of a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batchdrop.dialects.anthropic import language as anthropic
from batchdrop.dialects.dialect import Written
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.line import LineForm
from batchdrop.dialects.openai import language as openai

_LANGUAGES: Final[tuple[Written, ...]] = (gemini, openai, anthropic)
WRITTEN: Final[Mapping[LineForm, Written]] = {
    form: each for each in _LANGUAGES for form in each.FORMS
}
