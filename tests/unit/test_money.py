"""Money: worked cases equal an independent calculation from the published rates, to the last digit.

Rates, dollars a million tokens (ai.google.dev/gemini-api/docs/pricing as of 2026-11, by way of genai-prices 0.2.3):

    2.5 Flash-Lite   0.10 / 0.40, audio in 0.30, cached 0.01      batch 0.05 / 0.20, audio 0.15, no batch cache rate
    2.5 Flash        0.30 / 2.50, audio in 1.00, cached 0.03      batch 0.15 / 1.25, audio 0.50, no batch cache rate
    2.5 Pro          1.25 / 10, over 200k 2.50 / 15               batch 0.625 / 5, over 200k 1.25 / 7.50
    3.1 Flash-Lite   0.25 / 1.50, cached 0.025                    batch 0.125 / 0.75, cached 0.0125
    3 Pro Image      2 / 12, image out 120                        batch 1 / 6, image out 60
    embedding-2      0.20                                         batch 0.10
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from batchdrop.core.money.budgets import Budget, held, scopes_of, settled
from batchdrop.core.money.costs import Entry, Work, as_csv, as_json, as_text, entry, job_cost, savings
from batchdrop.core.money.estimate import estimate, expected
from batchdrop.core.money.prices import Processing, plain, price
from batchdrop.core.money.report import page
from batchdrop.core.money.usage import Usage, compact
from batchdrop.dialects.gemini.usage import add_usage

AT = datetime(2026, 11, 23, tzinfo=UTC)
BATCH, FLEX, STANDARD = Processing.BATCH, Processing.FLEX, Processing.STANDARD
M = 1_000_000


def used(**metadata: Any) -> Usage:
    total = Usage()
    add_usage(total, json.dumps(metadata).encode())
    return total


def details(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in tokens.items()]


def exactly(*products: tuple[int, str]) -> Decimal:
    """Tokens times dollars a million, written out."""
    return sum((Decimal(tokens) * Decimal(rate) for tokens, rate in products), Decimal(0)) / M


CASES: dict[str, tuple[Usage, str, Processing, Decimal]] = {
    "text in a batch": (
        used(promptTokenCount=500, candidatesTokenCount=100),
        "gemini-3.1-flash-lite",
        BATCH,
        exactly((500, "0.125"), (100, "0.75")),
    ),
    "the same sent at once": (
        used(promptTokenCount=500, candidatesTokenCount=100),
        "gemini-3.1-flash-lite",
        STANDARD,
        exactly((500, "0.25"), (100, "1.5")),
    ),
    "counters as strings, zero counters left out": (
        used(promptTokenCount="1000"),
        "gemini-2.5-flash-lite",
        BATCH,
        exactly((1000, "0.05")),
    ),
    "thoughts are output": (
        used(promptTokenCount=40, candidatesTokenCount=10, thoughtsTokenCount=700),
        "gemini-2.5-flash",
        BATCH,
        exactly((40, "0.15"), (710, "1.25")),
    ),
    "cached at a batch rate of its own": (
        used(promptTokenCount=10_000, cachedContentTokenCount=8_000, candidatesTokenCount=100),
        "gemini-3.1-flash-lite",
        BATCH,
        exactly((2_000, "0.125"), (8_000, "0.0125"), (100, "0.75")),
    ),
    "cached where the batch has no rate: the standard cached rate": (
        used(promptTokenCount=10_000, cachedContentTokenCount=8_000, candidatesTokenCount=100),
        "gemini-2.5-flash",
        BATCH,
        exactly((2_000, "0.15"), (8_000, "0.03"), (100, "1.25")),
    ),
    "audio in": (
        used(promptTokenCount=3_300, promptTokensDetails=details(TEXT=100, AUDIO=3_200), candidatesTokenCount=50),
        "gemini-2.5-flash",
        BATCH,
        exactly((100, "0.15"), (3_200, "0.5"), (50, "1.25")),
    ),
    "images in cost what text does": (
        used(promptTokenCount=616, promptTokensDetails=details(TEXT=100, IMAGE=516)),
        "gemini-2.5-flash-lite",
        BATCH,
        exactly((616, "0.05")),
    ),
    "a 1K or 2K image out, 1,120 tokens": (
        used(
            promptTokenCount=20,
            candidatesTokenCount=1_120,
            candidatesTokensDetails=details(IMAGE=1_120),
        ),
        "gemini-3-pro-image-preview",
        BATCH,
        exactly((20, "1"), (1_120, "60")),
    ),
    "a 4K image out, 2,000 tokens, with a caption": (
        used(
            promptTokenCount=20,
            candidatesTokenCount=2_030,
            candidatesTokensDetails=details(IMAGE=2_000, TEXT=30),
        ),
        "gemini-3-pro-image-preview",
        BATCH,
        exactly((20, "1"), (2_000, "60"), (30, "6")),
    ),
    "an embedding": (used(promptTokenCount=2_048), "gemini-embedding-2", BATCH, exactly((2_048, "0.1"))),
    "a prompt of 200,000 tokens": (
        used(promptTokenCount=200_000, candidatesTokenCount=1_000),
        "gemini-2.5-pro",
        BATCH,
        exactly((200_000, "0.625"), (1_000, "5")),
    ),
    "one token more: all of it at the higher step": (
        used(promptTokenCount=200_001, candidatesTokenCount=1_000),
        "gemini-2.5-pro",
        BATCH,
        exactly((200_001, "1.25"), (1_000, "7.5")),
    ),
    "flex, where it has a rate": (
        used(promptTokenCount=100, candidatesTokenCount=1_000),
        "gemini-3.8-flash-tts",
        FLEX,
        exactly((100, "0.25"), (1_000, "4.5")),
    ),
    "tokens of tools are input": (
        used(promptTokenCount=100, toolUsePromptTokenCount=50, candidatesTokenCount=10),
        "gemini-2.5-flash-lite",
        BATCH,
        exactly((150, "0.05"), (10, "0.2")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_worked_case_equals_an_independent_calculation(name: str) -> None:
    usage, model, processing, amount = CASES[name]
    assert price(usage, model, processing, AT).amount == amount


def test_two_steps_of_one_model_are_kept_apart_in_a_sum() -> None:
    total = used(promptTokenCount=150_000) + used(promptTokenCount=250_000)
    assert price(total, "gemini-2.5-pro", BATCH, AT).amount == exactly((150_000, "0.625"), (250_000, "1.25"))


# ------------------------------------------------------------------------------------- what is not known
def test_an_unknown_model_has_no_amount_and_says_so() -> None:
    cost = price(used(promptTokenCount=5), "gemini-of-tomorrow", BATCH, AT)
    assert (cost.amount, cost.reason) == (None, "UNKNOWN_MODEL")


def test_a_class_without_a_rate_has_no_amount_and_says_which() -> None:
    cost = price(used(promptTokenCount=5, candidatesTokenCount=5), "gemini-embedding-2", BATCH, AT)
    assert (cost.amount, cost.reason) == (None, "NO_RATE:output_text")


def test_a_fall_back_to_the_standard_rate_is_flagged() -> None:
    cost = price(used(promptTokenCount=100), "gemini-embedding-001", BATCH, AT)
    assert (cost.amount, cost.flags) == (exactly((100, "0.15")), ("STANDARD_RATE:input_text",))
    cached = used(promptTokenCount=10, cachedContentTokenCount=5)
    assert price(cached, "gemini-2.5-flash", BATCH, AT).flags == ("STANDARD_RATE:cached_text",)
    assert price(cached, "gemini-3.1-flash-lite", BATCH, AT).flags == ()


def test_flex_without_a_rate_is_unknown_not_standard() -> None:
    assert price(used(promptTokenCount=5), "gemini-2.5-flash", FLEX, AT).reason == "NO_FLEX_RATE"


def test_a_stack_may_add_a_rate() -> None:
    own = {"gemini-embedding-001": {"batch": {"input_mtok": Decimal("0.075")}}}
    cost = price(used(promptTokenCount=M), "gemini-embedding-001", BATCH, AT, own)
    assert (cost.amount, cost.flags) == (Decimal("0.075"), ())
    mine = {"mine": {"batch": {"input_mtok": Decimal(1)}}}
    assert price(used(promptTokenCount=M), "mine", BATCH, AT, mine).amount == 1


def test_metadata_nobody_can_read_counts_a_request_and_no_tokens() -> None:
    total = Usage()
    for raw in (b"[]", b"\xff", b'{"promptTokenCount":"many"}', b'{"promptTokenCount":-5}'):
        add_usage(total, raw)
    assert compact(total) == {"requests": 4}


# --------------------------------------------------------------------------------------------- the ledger
def work(**changes: Any) -> Work:
    usage = changes.pop("usage", used(promptTokenCount=1000, candidatesTokenCount=100))
    fields: dict[str, Any] = {
        "shard_id": "s",
        "job_id": "j",
        "team": "blue",
        "labels": {"cost-center": "42"},
        "model": "gemini-2.5-flash-lite",
        "processing": BATCH,
        "redo": False,
        "usage": usage,
        "failed": Counter[str](),
        "unseen": False,
        "at": AT,
    }
    return Work(**{**fields, **changes})


def test_an_entry_says_what_was_paid_and_what_sending_at_once_would_have_cost() -> None:
    found = entry(work(failed=used(promptTokenCount=100)))
    assert found.amount == exactly((1000, "0.05"), (100, "0.2"))
    assert found.standard == exactly((1000, "0.1"), (100, "0.4"))
    assert found.failed == exactly((100, "0.05"))
    assert Entry.model_validate(found.model_dump(mode="json", by_alias=True)) == found


def test_partial_and_cancelled_jobs_cost_what_their_rows_say_and_flag_what_nobody_saw() -> None:
    cost = job_cost([entry(work()), entry(work(shard_id="t", usage=Usage(), unseen=True))])
    assert cost["amount"] == plain(exactly((1000, "0.05"), (100, "0.2")))
    assert cost["flags"] == ["WORK_UNSEEN"]


def test_one_unpriced_shard_makes_the_jobs_amount_unknown() -> None:
    cost = job_cost([entry(work()), entry(work(model="gemini-of-tomorrow"))])
    assert (cost["amount"], cost["reason"]) == (None, "UNKNOWN_MODEL")


def test_redo_and_failures_are_told_apart() -> None:
    cost = job_cost([entry(work()), entry(work(redo=True, failed=used(promptTokenCount=1000)))])
    assert Decimal(cost["redo"]) == exactly((1000, "0.05"), (100, "0.2"))
    assert Decimal(cost["failed"]) == exactly((1000, "0.05"))
    assert Decimal(cost["saved"]) == Decimal(cost["standard"]) - Decimal(cost["amount"])


@pytest.mark.parametrize(
    ("by", "names"),
    [("team", ["", "blue"]), ("model", ["gemini-2.5-flash-lite"]), ("label:cost-center", ["42", "=1+1"])],
)
def test_savings_add_up_by_name_in_three_forms(by: str, names: list[str]) -> None:
    entries = [entry(work()), entry(work(team="", labels={"cost-center": "=1+1"}))]
    table = savings(entries, by)
    assert list(table) == names
    whole = sum((total.amount for total in table.values()), Decimal(0))
    assert whole == 2 * exactly((1000, "0.05"), (100, "0.2"))
    assert [row[by] for row in as_json(table, by)] == names
    assert "\n=" not in as_csv(table, by)
    assert "total" in as_text(table, by)


def test_the_page_is_self_contained_and_the_same_every_time() -> None:
    entries = [entry(work(team=team, at=AT.replace(day=day))) for day in (1, 2, 3) for team in ("a", "<b>")]
    body = page(entries, "Batchdrop <test>").decode()
    assert body.encode() == page(entries, "Batchdrop <test>")
    assert "http" not in body.replace("http-equiv", "")
    assert "<b></b>" not in body
    assert "&lt;b&gt;" in body
    assert body.count("<svg") == 3
    assert page([], "empty")


# --------------------------------------------------------------------------------------------- budgets
def test_what_running_jobs_hold_counts_as_spent() -> None:
    scopes = scopes_of("blue", {"env": "prod"})
    limits = {"team:blue": Decimal(10)}
    budget = held(Budget(), "one", scopes, Decimal(7), limits)
    assert isinstance(budget, Budget)
    refused = held(budget, "two", scopes, Decimal(4), limits)
    assert isinstance(refused, str)
    assert "team:blue" in refused
    assert isinstance(held(budget, "one", scopes, Decimal(9), limits), Budget), "its own hold does not count"
    assert isinstance(held(budget, "two", scopes_of("red", {}), Decimal(99), limits), Budget)


def test_settling_happens_once() -> None:
    budget = held(Budget(), "one", ("stack",), Decimal(7), {})
    assert isinstance(budget, Budget)
    once = settled(budget, "one", Decimal(3))
    assert once.spent == {"stack": Decimal(3)}
    assert settled(once, "one", Decimal(3)) is once


# --------------------------------------------------------------------------------------------- estimates
def test_an_estimate_is_a_range_for_each_way() -> None:
    job = expected(1000, 500_000, counted=True, output_likely=100, output_limit=400, embeds=False)
    found = estimate(job, "gemini-3.1-flash-lite", BATCH, AT)
    assert found.low == exactly((500_000, "0.125"), (50_000, "0.75"))
    assert found.likely == exactly((500_000, "0.125"), (100_000, "0.75"))
    assert found.high == exactly((500_000, "0.125"), (400_000, "0.75"))
    cached = estimate(job, "gemini-3.1-flash-lite", BATCH, AT, cached_share=0.8)
    assert cached.likely == exactly((100_000, "0.125"), (400_000, "0.0125"), (100_000, "0.75"))
    assert estimate(job, "gemini-of-tomorrow", BATCH, AT).reason == "UNKNOWN_MODEL"


def test_guessed_tokens_widen_the_range() -> None:
    guessed = expected(10, 1000, counted=False, output_likely=None, output_limit=None, embeds=True)
    assert (guessed.input, guessed.output) == ((750, 1000, 1250), (0, 0, 0))


# ------------------------------------------------------------------------------------------- published figures
@pytest.mark.parametrize(
    ("requests", "standard", "batch", "cached"),
    [
        (1_000, "0.275", "0.1375", "0.0925"),
        (10_000, "2.75", "1.375", "0.925"),
        (100_000, "27.5", "13.75", "9.25"),
        (1_000_000, "275", "137.5", "92.5"),
    ],
)
def test_the_published_volumes_recomputed(requests: int, standard: str, batch: str, cached: str) -> None:
    """500 input and 100 output tokens on 3.1 Flash-Lite; 80 % of the input cached in the last column."""
    model = "gemini-3.1-flash-lite"
    plain_ = Counter({"input_text": 500 * requests, "output_text": 100 * requests})
    shared = Counter({"input_text": 100 * requests, "cached_text": 400 * requests, "output_text": 100 * requests})
    assert price(plain_, model, STANDARD, AT).amount == Decimal(standard)
    assert price(plain_, model, BATCH, AT).amount == Decimal(batch)
    assert price(shared, model, BATCH, AT).amount == Decimal(cached)


@pytest.mark.parametrize(("images", "standard", "batch"), [(5_000, "672", "336"), (50_000, "6720", "3360")])
def test_the_published_images_recomputed(images: int, standard: str, batch: str) -> None:
    """A 1K or 2K image of 3 Pro Image has 1,120 tokens: 0.1344 dollars, published rounded to 0.134."""
    usage = Counter({"output_image": 1_120 * images})
    assert price(usage, "gemini-3-pro-image-preview", STANDARD, AT).amount == Decimal(standard)
    assert price(usage, "gemini-3-pro-image-preview", BATCH, AT).amount == Decimal(batch)


def test_ten_billion_input_tokens_recomputed() -> None:
    usage = Counter({"input_text": 10_000 * M})
    assert price(usage, "gemini-2.5-pro", STANDARD, AT).amount == 12_500
    assert price(usage, "gemini-2.5-pro", BATCH, AT).amount == 6_250
