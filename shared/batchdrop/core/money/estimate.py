"""Estimates: a range before anything is paid, for each way to run a job.

Input tokens are counted by the provider on a sample where it can be asked, else 4 characters are taken for a token
(about right for English; ai.google.dev/gemini-api/docs/tokens). Output is between what similar jobs had and what the
requests allow.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from batchdrop.core.money.prices import (
    CURRENCY,
    Cost,
    Overrides,
    Processing,
    plain,
    price,
)
from batchdrop.core.money.usage import TokenClass

LIKELY_OUTPUT: Final = 200
"""Tokens of an answer when nothing is known: ours, a short paragraph."""
MOST_OUTPUT: Final = 8_192
"""Tokens of an answer without a limit: the default of older models; newer ones allow 65,536."""
SPREAD: Final = Decimal("0.25")
"""How far input tokens may be off when they were guessed from characters: ours."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a job is expected to use: tokens in all, low, likely and high."""

    requests: int
    input: tuple[int, int, int]
    output: tuple[int, int, int]
    counted: bool = False
    """The provider counted a sample; else characters were."""


def expected(
    requests: int,
    input_tokens: int,
    *,
    counted: bool,
    output_likely: int | None,
    output_limit: int | None,
    embeds: bool,
) -> Expected:
    """Return what a job will use.

    Args:
        requests: How many there are.
        input_tokens: Of all of them, as estimated.
        counted: Whether the estimate rests on counting.
        output_likely: Tokens of an answer in jobs like it, if known.
        output_limit: `maxOutputTokens` of a request, if all have one.
        embeds: Embeddings have no output tokens.
    """
    spread = 0 if counted else int(input_tokens * SPREAD)
    most = output_limit or MOST_OUTPUT
    likely = min(output_likely or LIKELY_OUTPUT, most)
    outputs = (
        (0, 0, 0)
        if embeds
        else (requests * min(likely, most) // 2, requests * likely, requests * most)
    )
    return Expected(
        requests,
        (max(input_tokens - spread, 0), input_tokens, input_tokens + spread),
        outputs,
        counted,
    )


@dataclass(frozen=True, slots=True)
class Range:
    """Dollars, low, likely and high; or the reason why nobody knows."""

    low: Decimal | None
    likely: Decimal | None
    high: Decimal | None
    reason: str = ""
    flags: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        amounts = {"low": self.low, "likely": self.likely, "high": self.high}
        return {
            **{
                name: None if amount is None else plain(amount)
                for name, amount in amounts.items()
            },
            "currency": CURRENCY,
            "reason": self.reason,
            "flags": list(self.flags),
        }


def estimate(
    job: Expected,
    model: str,
    processing: Processing,
    at: datetime,
    overrides: Overrides | None = None,
    cached_share: float = 0.0,
) -> Range:
    """Return what a job may cost run in one way; `cached_share` of its input comes from a cache."""
    costs = [
        _cost(job, place, model, processing, at, overrides, cached_share)
        for place in range(3)
    ]
    reason = next((cost.reason for cost in costs if cost.reason), "")
    low, likely, high = (cost.amount for cost in costs)
    return Range(low, likely, high, reason, costs[1].flags)


def plus(found: Range, amount: Decimal) -> Range:
    """Return a range with an amount that is certain added."""
    low, likely, high = (
        None if one is None else one + amount
        for one in (found.low, found.likely, found.high)
    )
    return replace(found, low=low, likely=likely, high=high)


def _cost(
    job: Expected,
    place: int,
    model: str,
    processing: Processing,
    at: datetime,
    overrides: Overrides | None,
    cached_share: float,
) -> Cost:
    cached = int(job.input[place] * cached_share)
    usage = Counter(
        {
            TokenClass.INPUT_TEXT.value: job.input[place] - cached,
            TokenClass.CACHED_TEXT.value: cached,
            TokenClass.OUTPUT_TEXT.value: job.output[place],
        }
    )
    return price(usage, model, processing, at, overrides)
