"""Tokens by class, as they are added up from rows, stored and priced.

Prompts over 200,000 tokens are kept apart: with some models the whole request has another rate then. How a provider
writes down what a request used, its dialect knows (`add_usage`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

LONG_PROMPT: Final = 200_000
LONG: Final = "long:"
"""Before the name of a class in a long prompt's request."""


class TokenClass(StrEnum):
    """What a token is billed as."""

    INPUT_TEXT = "input_text"
    INPUT_IMAGE = "input_image"
    INPUT_AUDIO = "input_audio"
    INPUT_VIDEO = "input_video"
    CACHED_TEXT = "cached_text"
    CACHED_IMAGE = "cached_image"
    CACHED_AUDIO = "cached_audio"
    CACHED_VIDEO = "cached_video"
    OUTPUT_TEXT = "output_text"
    OUTPUT_IMAGE = "output_image"
    OUTPUT_AUDIO = "output_audio"
    THOUGHTS = "thoughts"


Usage = Counter[str]
"""Tokens by class; `requests` counts rows that had any."""
REQUESTS: Final = "requests"


def compact(usage: Mapping[str, int]) -> dict[str, int]:
    """Return what is not zero, in a fixed order, to be stored."""
    return {name: usage[name] for name in sorted(usage) if usage[name]}


def tokens(usage: Mapping[str, int], *kinds: str) -> int:
    """Return the tokens of all classes whose name begins with one of the words (`input`, `cached`, `output`)."""
    return sum(
        count
        for name, count in usage.items()
        if name.removeprefix(LONG).startswith(kinds)
    )
