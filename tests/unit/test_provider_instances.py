"""Configured providers: built from settings, their facts overridden, what contradicts itself refused at start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchdrop.core.errors import ConfigurationError
from batchdrop.core.settings import CommonSettings, DispatchSettings, load
from batchdrop.wiring import providers_of
from tests.harness import NOWHERE


def test_without_a_word_there_is_one_provider_made_of_the_old_settings(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    found = providers_of(load(CommonSettings, tier=2, gemini_api_key_file=tmp_path / "key"), NOWHERE)
    assert list(found) == ["gemini"]
    assert found["gemini"].facts.tokens_of("gemini-2.5-flash-lite-001") == 500_000_000
    assert found["gemini"].facts.tokens_of("another") == 250_000_000
    assert found["gemini"].batches.account() == found["gemini"].batches.account()


def test_one_kind_can_stand_twice_with_facts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "BATCHDROP_PROVIDERS",
        '{"paid": {"kind": "gemini", "facts": {"tier": 3}},'
        ' "free": {"kind": "gemini", "base_url": "http://127.0.0.1:9", "facts": {"max_batches": 5}}}',
    )
    settings = load(DispatchSettings)
    found = providers_of(settings, NOWHERE)
    assert [(name, provider.facts.max_batches) for name, provider in found.items()] == [("paid", 100), ("free", 5)]
    assert found["paid"].facts.tokens_of("gemini-2.5-pro") == 1_000_000_000
    assert [settings.batch_limit(provider.facts) for provider in found.values()] == [100, 5]


def test_a_setting_of_the_stack_comes_before_the_facts() -> None:
    settings = load(DispatchSettings, max_batches=7, enqueued_tokens={"m": 9}, batch_deadline_hours_by_model={"m": 2})
    [facts] = [provider.facts for provider in providers_of(settings, NOWHERE).values()]
    assert (settings.batch_limit(facts), settings.tokens_limit(facts, "m")) == (7, 9)
    assert settings.batch_deadline_seconds(facts, "m") == 7200
    assert settings.batch_deadline_seconds(facts, "n") == 26 * 3600


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"providers": {"x": {"kind": "nobody"}}}, "there is no kind `nobody`; known: gemini, vertex"),
        ({"providers": {"x": {"kind": "gemini", "facts": {"max_batchs": 1}}}}, "these are no facts: max_batchs"),
        ({"providers": {"x": {"kind": "gemini", "key": "y"}}}, "Extra inputs are not permitted"),
        ({"providers": {"x": {"kind": "gemini", "facts": {"tier": 4}}}}, "there is no tier 4"),
        ({"providers": {"X/y": {"kind": "gemini"}}}, "should match pattern"),
        ({"batch_deadline_hours": 48}, "batch_deadline_hours must be less than 48: a file lives no longer"),
        ({"batch_deadline_hours_by_model": {"m": 50}}, "must be less than 48"),
        ({"providers": {"x": {"kind": "gemini", "facts": {"stuck_after": 200_000}}}}, "must be less than 48"),
    ],
)
def test_what_can_never_work_is_refused_at_start(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        providers_of(load(DispatchSettings, **settings), NOWHERE)
    assert sentence in caught.value.sentence
