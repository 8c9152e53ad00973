"""Context caches, pure: what requests share, what is cut off, and whether it pays."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.money.cache_cost import SENTENCES, decide, storage_rate
from batchdrop.dialects.dialect import Cut
from batchdrop.dialects.gemini.beginnings import GIVE_UP, Watch, beginning, cache_body, units_of_line

AT = datetime(2026, 11, 23, tzinfo=UTC)
SYSTEM = {"parts": [{"text": "Be brief. " * 100}]}
CACHE = "cachedContents/abc"


def text(words: str) -> dict[str, Any]:
    return {"text": words}


def content(*words: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [text(word) for word in words]}


def line(*contents: dict[str, Any], **rest: Any) -> bytes:
    return json.dumps({"key": "k", "request": {"contents": list(contents), **rest}}).encode()


def request(raw: bytes) -> bytes:
    return json.dumps(json.loads(raw)["request"]).encode()


def watched(*lines: bytes, least: int = 100) -> Watch:
    watch = Watch(least)
    for found in lines:
        watch.see(found)
    return watch


def test_shared_instructions_are_found() -> None:
    lines = [line(content(f"q{n}"), systemInstruction=SYSTEM) for n in range(5)]
    assert watched(*lines).best() == Cut(1, 5)


def test_a_shared_document_before_the_question_is_found_too() -> None:
    document = "word " * 1000
    lines = [line(content(document, f"q{n}"), systemInstruction=SYSTEM) for n in range(5)]
    assert watched(*lines).best() == Cut(2, 5)
    turns = [line(content(document), content("ok", role="model"), content(f"q{n}")) for n in range(5)]
    assert watched(*turns).best() == Cut(3, 5)


def test_the_deepest_beginning_is_not_taken_when_more_lines_share_a_shorter_one() -> None:
    lines = [line(content("doc " * 10 + str(n // 2), f"q{n}"), systemInstruction=SYSTEM) for n in range(10)]
    assert watched(*lines).best() == Cut(1, 10)


def test_no_cut_leaves_a_model_turn_in_front() -> None:
    lines = [line(content("doc " * 100), content(f"a{n}", role="model"), content("q")) for n in range(5)]
    assert watched(*lines).best() is None


FILE = {"fileData": {"fileUri": "gs://b/o.pdf"}}
UNSHARED = {
    "too short": [line(content(f"q{n}")) for n in range(GIVE_UP)],
    "all differ": [
        line(content(f"q{n}"), systemInstruction={"parts": [text(f"You are {n}. " * 50)]}) for n in range(GIVE_UP)
    ],
    "has a cache": [line(content(f"q{n}"), cachedContent="cachedContents/theirs") for n in range(GIVE_UP)],
    "a bucket's file": [line({"parts": [FILE, text(f"q{n}")]}) for n in range(GIVE_UP)],
    "embedding": [json.dumps({"request": {"content": content("x" * 999)}}).encode()] * GIVE_UP,
}


@pytest.mark.parametrize("name", UNSHARED)
def test_nothing_is_shared(name: str) -> None:
    watch = watched(*UNSHARED[name])
    assert watch.best() is None
    assert watch.counts is None


def test_counting_goes_on_in_another_step() -> None:
    lines = [line(content(f"q{n}"), systemInstruction=SYSTEM) for n in range(5)]
    first = watched(*lines[:3])
    second = Watch(100, first.counts, lines[0])
    for found in lines[3:]:
        second.see(found)
    assert second.best() == watched(*lines).best() == Cut(1, 5)


def test_a_part_that_names_a_file_may_be_large() -> None:
    file = {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}
    lines = [line({"parts": [file, text(f"q{n}")]}) for n in range(3)]
    watch = watched(*lines, least=9999)
    assert watch.best() == Cut(2, 3)
    assert watch.characters(Cut(2, 3)) is None


def test_a_request_with_a_cache_has_neither_instructions_nor_tools() -> None:
    tools: list[dict[str, Any]] = [{"googleSearch": {}}]
    raw = line(content("doc", "q"), systemInstruction=SYSTEM, tools=tools, generationConfig={"temperature": 0})
    sent = json.loads(beginning(raw, 2, CACHE).spared(request(raw)))
    assert sent == {"contents": [content("q")], "generationConfig": {"temperature": 0}, "cachedContent": CACHE}
    held = json.loads(b"{%b}" % cache_body(raw, 2))
    assert held == {"systemInstruction": SYSTEM, "tools": tools, "contents": [content("doc")]}


def test_a_request_that_begins_otherwise_is_sent_as_it_is() -> None:
    pattern = line(content("doc", "q"), systemInstruction=SYSTEM)
    other = request(line(content("other", "q"), systemInstruction=SYSTEM))
    assert beginning(pattern, 2, CACHE).spared(other) == other


WORDS = st.text(alphabet="ab", min_size=1, max_size=2)


def turn(role: str, words: list[str]) -> dict[str, Any]:
    return content(*words, role=role)


ROLES = st.sampled_from(["user", "model"])
CONTENTS = st.lists(st.builds(turn, ROLES, st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=4)


@given(CONTENTS, st.integers(1, 8), st.booleans())
def test_what_the_cache_holds_and_what_is_sent_are_the_request(contents: Any, depth: int, system: bool) -> None:
    raw = line(*contents, **({"systemInstruction": SYSTEM} if system else {}))
    units = units_of_line(raw)
    if depth >= len(units):
        return
    held = json.loads(b"{%b}" % cache_body(raw, depth))
    sent = json.loads(beginning(raw, depth, CACHE).spared(request(raw)))
    turns = [
        (turn["role"], part["text"])
        for body in (held, sent)
        for turn in body.get("contents", ())
        for part in turn["parts"]
    ]
    assert turns == [(turn["role"], part["text"]) for turn in contents for part in turn["parts"]]
    assert held.get("systemInstruction") == (SYSTEM if system else None)
    assert sent["cachedContent"] == CACHE
    assert sent["contents"]


# ---------------------------------------------------------------------------------------------- prices
def test_a_cache_that_pays_equals_the_sum_by_hand() -> None:
    # Flash-Lite: batch input 0.05, cached 0.01, standard input 0.10, storage 1.00 a million and hour.
    found = decide("gemini-2.5-flash-lite", 10_000, 1_000, 24, AT)
    assert (found.worth, found.reason) == (True, "PAYS")
    assert found.spared == Decimal("0.4")
    assert found.cost == Decimal("0.001") + Decimal("0.24")


def test_a_cache_that_does_not_pay_is_not_made() -> None:
    found = decide("gemini-2.5-flash-lite", 10_000, 600, 24, AT)
    assert (found.worth, found.reason, found.spared, found.cost) == (
        False,
        "DOES_NOT_PAY",
        Decimal("0.24"),
        Decimal("0.241"),
    )


def test_the_batch_rate_for_cached_tokens_is_the_price_sources_own() -> None:
    # 3.1 Flash-Lite has a batch rate for cached tokens (0.0125), 2.5 Pro has none: the standard one applies (0.125).
    lite = decide("gemini-3.1-flash-lite", 10_000, 1_000, 1, AT)
    assert lite.spared == 10 * (Decimal("0.125") - Decimal("0.0125"))
    pro = decide("gemini-2.5-pro", 10_000, 1_000, 1, AT)
    assert pro.spared == 10 * (Decimal("0.625") - Decimal("0.125"))
    assert pro.cost == Decimal("0.0125") + Decimal("0.045")


def test_a_long_beginning_has_the_rate_of_long_prompts() -> None:
    found = decide("gemini-2.5-pro", 300_000, 10, 1, AT)
    assert found.spared == 3 * (Decimal("1.25") - Decimal("0.25"))
    assert found.cost == Decimal("0.75") + Decimal("1.35")


@pytest.mark.parametrize(
    ("model", "tokens", "reason"),
    [
        ("gemini-2.5-flash-lite", 2047, "BELOW_MINIMUM"),
        ("gemini-3.1-flash-lite", 4095, "BELOW_MINIMUM"),
        ("gemini-3.5-flash", 9000, "NO_STORAGE_RATE"),
        ("gemini-2.5-flash-image", 9000, "NO_STORAGE_RATE"),
    ],
)
def test_what_nobody_knows_gets_no_cache(model: str, tokens: int, reason: str) -> None:
    assert decide(model, tokens, 10_000, 1, AT).reason == reason
    assert SENTENCES[reason]


def test_a_promotion_ends_and_a_stack_may_know_better() -> None:
    after = datetime(2027, 1, 1, tzinfo=UTC)
    assert storage_rate("gemini-3.6-flash", AT) == Decimal("0.50")
    assert storage_rate("gemini-3.6-flash", after) is None
    own = {"gemini-3.6-flash": {"standard": {"cache_storage_mtok_hour": Decimal(2)}}}
    assert storage_rate("gemini-3.6-flash", after, own) == Decimal(2)
    assert decide("gemini-3.6-flash", 10_000, 10_000, 1, AT, own).cost == Decimal("0.0275")
