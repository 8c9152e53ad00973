"""Whether a context cache pays: what it costs to make and to keep, against what it spares. A pure function of prices.

    make     its tokens once, at the standard input rate
             (docs.cloud.google.com, "Context caching overview": creating a cache is billed as standard input)
    keep     its tokens by the hour, from its creation to the job's end
    spare    its tokens in every request: the batch's input rate less its rate for cached tokens

The price source has no unit for storage, so those rates stand here, with their source; a stack sets others as
`cache_storage_mtok_hour` among its own standard rates. A model without one gets no cache unless it is asked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from batchdrop.core.money.prices import MILLION, Overrides, Processing, price
from batchdrop.core.money.usage import LONG, LONG_PROMPT, TokenClass

STORAGE_KEY: Final = "cache_storage_mtok_hour"
_PROMOTION: Final = datetime(2027, 1, 1, tzinfo=UTC)
STORAGE: Final[dict[str, tuple[str, datetime | None]]] = {
    # model prefix: USD for a million tokens and hour, until when. The longest matching prefix rules.
    # ai.google.dev/gemini-api/docs/pricing; 3.6 and 3.7 Flash: comments of genai-prices 0.2.3.
    "gemini-2.5-pro": ("4.50", None),
    "gemini-2.5-flash": ("1.00", None),
    "gemini-3-flash": ("1.00", None),
    "gemini-3-pro": ("4.50", None),
    "gemini-3.1-pro": ("4.50", None),
    "gemini-3.1-flash-lite": ("1.00", None),
    "gemini-3.6-flash": ("0.50", _PROMOTION),
    "gemini-3.7-flash": ("0.50", _PROMOTION),
}
MINIMUM: Final[dict[str, int]] = {"gemini-2.5": 2048}
"""Tokens a cache must hold (ai.google.dev/gemini-api/docs/caching, page of 2026-06-22)."""
DEFAULT_MINIMUM: Final = 4096
BYTES_PER_TOKEN: Final = 2
"""No script has fewer bytes a token on average. A low guess of our own: the provider counts before a cache is made."""

SENTENCES: Final = {
    "OFF": "The recipe or the upload's metadata switched it off.",
    "NO_CACHES": "The provider has no context caches that can be made.",
    "EMBEDDINGS": "Embedding requests have no cached content.",
    "NOTHING_SHARED": "The requests do not share a beginning long enough for a cache.",
    "NOT_COUNTED": "The provider could not count the tokens of the beginning.",
    "BELOW_MINIMUM": "The shared beginning has fewer tokens than a cache of this model must hold.",
    "NO_STORAGE_RATE": "Nobody knows what keeping a cache of this model costs.",
    "NO_RATE": "The price source lacks a rate that the decision needs.",
    "DOES_NOT_PAY": "Making and keeping the cache costs more than it spares.",
    "PAYS": "The cache spares more than it costs.",
    "REQUIRED": "It was required.",
    "REFUSED": "The provider refused to make the cache.",
    "LOST": "The cache was lost again and again.",
}
"""Why a job has a cache or has none."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to make a cache, why, and the dollars it rests on."""

    worth: bool
    reason: str
    spared: Decimal | None = None
    cost: Decimal | None = None


def minimum_tokens(model: str) -> int:
    """Return how many tokens a cache of the model must hold."""
    return next(
        (least for prefix, least in MINIMUM.items() if model.startswith(prefix)),
        DEFAULT_MINIMUM,
    )


def storage_rate(
    model: str, at: datetime, overrides: Overrides | None = None
) -> Decimal | None:
    """Return the dollars for a million tokens and hour, None when nobody knows."""
    own = (
        (overrides or {})
        .get(model, {})
        .get(Processing.STANDARD.value, {})
        .get(STORAGE_KEY)
    )
    if own is not None:
        return own
    found = max(
        (prefix for prefix in STORAGE if model.startswith(prefix)),
        key=len,
        default=None,
    )
    if found is None or "image" in model:
        return None
    rate, until = STORAGE[found]
    return Decimal(rate) if until is None or at < until else None


def kept(
    model: str, token_hours: Decimal, at: datetime, overrides: Overrides | None = None
) -> Decimal | None:
    """Return what keeping tokens for hours costs."""
    rate = storage_rate(model, at, overrides)
    return None if rate is None else rate * token_hours / MILLION


def made(
    model: str, tokens: int, at: datetime, overrides: Overrides | None = None
) -> Decimal | None:
    """Return what making a cache costs."""
    return _amount(
        TokenClass.INPUT_TEXT, 1, tokens, model, Processing.STANDARD, at, overrides
    )


def decide(
    model: str,
    tokens: int,
    requests: int,
    hours: float,
    at: datetime,
    overrides: Overrides | None = None,
) -> Decision:
    """Say whether a cache pays.

    Args:
        model: The bare model id.
        tokens: Of the shared beginning.
        requests: How many have it.
        hours: How long the job is expected to run.
        at: When; prices change.
        overrides: The stack's own rates.
    """
    if tokens < minimum_tokens(model):
        return Decision(False, "BELOW_MINIMUM")
    keep = kept(model, tokens * Decimal(str(hours)), at, overrides)
    if keep is None:
        return Decision(False, "NO_STORAGE_RATE")
    make = made(model, tokens, at, overrides)
    plain = _amount(
        TokenClass.INPUT_TEXT, requests, tokens, model, Processing.BATCH, at, overrides
    )
    cached = _amount(
        TokenClass.CACHED_TEXT, requests, tokens, model, Processing.BATCH, at, overrides
    )
    if make is None or plain is None or cached is None:
        return Decision(False, "NO_RATE")
    spared, cost = plain - cached, make + keep
    return Decision(
        spared > cost, "PAYS" if spared > cost else "DOES_NOT_PAY", spared, cost
    )


def _amount(
    kind: TokenClass,
    requests: int,
    tokens: int,
    model: str,
    processing: Processing,
    at: datetime,
    overrides: Overrides | None,
) -> Decimal | None:
    name = f"{LONG}{kind.value}" if tokens > LONG_PROMPT else kind.value
    return price(
        Counter({name: requests * tokens}), model, processing, at, overrides
    ).amount
