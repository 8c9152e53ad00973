"""Prices per token class from `genai-prices`, packaged: no network. What it does not hold is never guessed silently.

    batch      price_context processing=batch, a variant of single rates over the standard ones
    flex       service_tier=flex, where the source has it
    standard   the same request sent at once

Which discounts stack is the source's data: where a batch variant has no rate of its own for cached tokens, the standard
cached rate applies, and the amount says so (`STANDARD_RATE:cached_text`). A stack may set rates of its own.
genai-prices 0.2.3 holds batch rates from 2026-10-14 on; none for gemini-embedding-001, gemini-2.5-flash-image,
gemini-3-pro-preview and gemini-3.5-flash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final

from batchdrop.core.codes import Code
from batchdrop.core.money.usage import LONG, LONG_PROMPT, REQUESTS, TokenClass

CURRENCY: Final = "USD"
MILLION: Final = Decimal(1_000_000)
_C = TokenClass


class Processing(StrEnum):
    """How a request is run, which decides its rate."""

    BATCH = "batch"
    FLEX = "flex"
    STANDARD = "standard"


_CONTEXTS: Final[dict[Processing, dict[str, str] | None]] = {
    Processing.BATCH: {"processing": "batch"},
    Processing.FLEX: {"service_tier": "flex"},
    Processing.STANDARD: None,
}
_KEYS: Final[dict[TokenClass, tuple[str, ...]]] = {
    _C.INPUT_TEXT: ("input_text_mtok", "input_mtok"),
    _C.INPUT_IMAGE: ("input_image_mtok", "input_mtok"),
    _C.INPUT_AUDIO: ("input_audio_mtok", "input_mtok"),
    _C.INPUT_VIDEO: ("input_video_mtok", "input_mtok"),
    _C.CACHED_TEXT: ("cache_text_read_mtok", "cache_read_mtok"),
    _C.CACHED_IMAGE: ("cache_image_read_mtok", "cache_read_mtok"),
    _C.CACHED_AUDIO: ("cache_audio_read_mtok", "cache_read_mtok"),
    _C.CACHED_VIDEO: ("cache_video_read_mtok", "cache_read_mtok"),
    _C.OUTPUT_TEXT: ("output_text_mtok", "output_mtok"),
    _C.OUTPUT_IMAGE: ("output_image_mtok", "output_mtok"),
    _C.OUTPUT_AUDIO: ("output_audio_mtok", "output_mtok"),
    _C.THOUGHTS: ("output_text_mtok", "output_mtok"),
}
"""The source's rates for a class, the particular one first: a general rate covers all modalities without their own."""
Overrides = Mapping[str, Mapping[str, Mapping[str, Decimal]]]
"""A stack's own rates: model -> processing -> the source's names of rates (`input_mtok`) -> dollars a million."""


@dataclass(frozen=True, slots=True)
class Line:
    """One class of one amount: tokens, dollars a million, dollars."""

    token_class: str
    tokens: int
    rate: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount, or why there is none; `flags` say what it rests on."""

    amount: Decimal | None
    lines: tuple[Line, ...] = ()
    reason: str = ""
    flags: tuple[str, ...] = ()
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class _Table:
    """The rates of a model for one processing, and which of them are its own."""

    rates: Mapping[str, Any]
    own: frozenset[str] = field(default_factory=frozenset[str])


def plain(amount: Decimal) -> str:
    """Return an amount without exponent and trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(
    usage: Mapping[str, int],
    model: str,
    processing: Processing,
    at: datetime,
    overrides: Overrides | None = None,
) -> Cost:
    """Return what tokens cost.

    Args:
        usage: Tokens by class (`usage.Usage`).
        model: The bare model id.
        processing: How the requests were run.
        at: When; prices change.
        overrides: The stack's own rates.

    Returns:
        The amount with its lines, or None with a reason: UNKNOWN_MODEL, NO_FLEX_RATE, or NO_RATE and the class.
    """
    table = _table(model, processing, at.date().isoformat(), at, overrides)
    if table is None:
        return Cost(None, reason=Code.UNKNOWN_MODEL)
    if processing is Processing.FLEX and not table.own:
        return Cost(None, reason="NO_FLEX_RATE")
    lines: list[Line] = []
    flags: list[str] = []
    for name in sorted(usage):
        tokens = usage[name]
        if name == REQUESTS or not tokens:
            continue
        kind = TokenClass(name.removeprefix(LONG))
        found = _rate(table, kind, long=name.startswith(LONG))
        if found is None:
            return Cost(None, reason=f"NO_RATE:{name}")
        rate, key = found
        if key.startswith("input") and kind.value.startswith("cached"):
            flags.append(f"INPUT_RATE:{name}")
        if processing is not Processing.STANDARD and key not in table.own:
            flags.append(f"STANDARD_RATE:{name}")
        lines.append(Line(name, tokens, rate, tokens * rate / MILLION))
    return Cost(
        sum((line.amount for line in lines), Decimal(0)),
        tuple(lines),
        flags=tuple(flags),
    )


@cache
def source() -> str:
    """Return where the prices come from."""
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def rate(
    model: str, kind: TokenClass, processing: Processing, at: datetime
) -> Decimal | None:
    """Return dollars a million tokens of a class, or None."""
    table = _table(model, processing, at.date().isoformat(), at, None)
    found = None if table is None else _rate(table, kind, long=False)
    return None if found is None else found[0]


def _rate(table: _Table, kind: TokenClass, *, long: bool) -> tuple[Decimal, str] | None:
    keys = _KEYS[kind]
    if kind.value.startswith("cached"):
        keys = (*keys, *_KEYS[TokenClass(kind.value.replace("cached", "input"))])
    for key in keys:
        found = table.rates.get(key)
        if found is not None:
            return _step(found, long=long), key
    return None


def _step(found: Any, *, long: bool) -> Decimal:
    """Return the rate of a request: the step above 200,000 prompt tokens rates all its tokens."""
    if isinstance(found, Decimal):
        return found
    steps = (
        [tier.price for tier in found.tiers if tier.start <= LONG_PROMPT]
        if long
        else []
    )
    return Decimal(steps[-1] if steps else found.base)


def _table(
    model: str,
    processing: Processing,
    day: str,
    at: datetime,
    overrides: Overrides | None,
) -> _Table | None:
    table = _source_table(
        model, processing, day, at.replace(hour=0, minute=0, second=0, microsecond=0)
    )
    own = (overrides or {}).get(model, {}).get(processing.value)
    if not own:
        return table
    before = table or _Table({})
    return _Table({**before.rates, **own}, before.own | frozenset(own))


@lru_cache(maxsize=256)
def _source_table(
    model: str, processing: Processing, day: str, at: datetime
) -> _Table | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, info = get_snapshot().find_provider_model(model, None, "google", None)
    except LookupError:
        return None
    standard = info.get_prices(at).__dict__
    context = _CONTEXTS[processing]
    if context is None:
        return _Table({key: rate for key, rate in standard.items() if rate is not None})
    own: dict[str, Any] = {}
    for variant in info.price_variants or ():
        active = variant.constraint is None or variant.constraint.active(at)
        if active and all(
            context.get(key) == value for key, value in variant.when.items()
        ):
            for key, rate in variant.prices.__dict__.items():
                if rate is not None:
                    own.setdefault(key, rate)
    rates = {key: rate for key, rate in {**standard, **own}.items() if rate is not None}
    return _Table(rates, frozenset(own))
