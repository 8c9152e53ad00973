"""Configured providers in a deployed stack: one secret each, mounted as a file, and none for who needs none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchdrop.core.settings import CommonSettings, load
from tests.infra.engine import Journal, run
from tests.infra.fields import refused
from tests.infra.rules import RULES, Stacks, broken
from tests.infra.stands import BASE, PROGRAM, neighbour

PROVIDERS = {
    "paid": {"kind": "gemini", "secret": "paid_key", "facts": {"tier": 3}},
    "free": {"kind": "gemini", "secret": "free_key"},
    "near": {"kind": "gemini", "base_url": "http://10.0.0.1", "location": "europe-west1"},
}
KEYS = {"batchdrop:paid_key": "PAID-KEY", "batchdrop:free_key": "FREE-KEY"}


def with_providers(providers: dict[str, Any], keys: dict[str, str]) -> Journal:
    base = {name: value for name, value in BASE.items() if not name.endswith("gemini_api_key")}
    config = {**base, "batchdrop:providers": json.dumps(providers), **keys}
    return run(PROGRAM, config, secrets=[*keys]).journal_or_fail()


@pytest.fixture(scope="module")
def three() -> Journal:
    """A stack with three providers, two of which have keys."""
    return with_providers(PROVIDERS, KEYS)


@pytest.fixture(scope="module")
def keyless() -> Journal:
    """A stack whose provider needs no key."""
    return with_providers({"near": PROVIDERS["near"]}, {})


def test_each_key_is_a_secret_of_its_own(three: Journal) -> None:
    secrets = three.of("secretmanager/secret")
    assert {secret.inputs["secretId"] for secret in secrets} == {"batchdrop-paid-key", "batchdrop-free-key"}
    versions = three.of("secretmanager/secretVersion")
    assert {(version.inputs["secretData"], *version.secrets) for version in versions} == {
        ("PAID-KEY", "secretData"),
        ("FREE-KEY", "secretData"),
    }


def test_every_function_reads_each_key_from_a_file_that_its_setting_names(three: Journal) -> None:
    functions = three.of("cloudfunctionsv2/function")
    assert functions
    for function in functions:
        service = function.inputs["serviceConfig"]
        mounted = {f"{each['mountPath']}/{each['versions'][0]['path']}" for each in service["secretVolumes"]}
        text = service["environmentVariables"]["BATCHDROP_PROVIDERS"]
        settings = load(CommonSettings, providers=json.loads(text)).providers
        assert list(settings) == ["paid", "free", "near"], "the first takes the models nobody claims"
        assert {str(instance.secret) for instance in settings.values()} == {*mounted, "None"}
        assert (settings["paid"].facts, settings["near"].location) == ({"tier": 3}, "europe-west1")


def test_a_stack_without_a_key_has_no_secret(keyless: Journal) -> None:
    assert not keyless.of("secretmanager/secret")
    assert not keyless.of("secretmanager/secretIamMember")
    for function in keyless.of("cloudfunctionsv2/function"):
        assert not function.inputs["serviceConfig"].get("secretVolumes")


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("which", ["three", "keyless"])
def test_every_rule_holds(request: pytest.FixtureRequest, which: str, name: str) -> None:
    journal: Journal = request.getfixturevalue(which)
    assert broken(name, Stacks(journal, neighbour())) == []
    assert [said for resource in journal.gcp() for said in refused(resource)] == []
