"""The program as the language host runs it, on a fake engine over Pulumi's own protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from infra.config import FIELDS
from tests.infra.engine import UNKNOWN, Archive, Journal, Run, run
from tests.infra.fields import refused
from tests.infra.rules import RULES, Stacks, broken
from tests.infra.rules.expressions import matches
from tests.infra.rules.grants import grants
from tests.infra.stands import BASE, KEY, LONGEST_PROJECT, PROGRAM, ROOT, deployed, tried

TEXT = {
    "adopt": "true",
    "allow_region": "true",
    "prefix": "blue",
    "labels": '{"cost-center": "data"}',
    "model": "gemini-2.5-flash",
    "models": "gemini-2.5-flash,gemini-2.5-pro",
    "tier": "2",
    "policy": "strict",
    "settings": '{"budgets": {"stack": 500}, "shard_requests": 2000}',
    "attachment_buckets": "pictures,sounds",
    "tick_minutes": "30",
    "max_instances": "20",
    "uploaders": "group:data@example.com,user:ada@example.com",
    "readers": '["domain:example.com"]',
    "operators": "serviceAccount:ops@my-project.iam.gserviceaccount.com",
    "alert_email": "somebody@example.com",
    "notification_channels": "projects/my-project/notificationChannels/1",
    "keep_data": "false",
    "work_days": "40",
    "input_days": "30",
    "output_days": "365",
    "point_in_time_recovery": "true",
    "backup_days": "14",
}
"""Every field as `pulumi config set` stores it: text, and JSON for what has structure."""


# ------------------------------------------------------------------------------------------- the engine
def made(folder: Path, code: str, *, preview: bool = False, refuse: str = "") -> Run:
    """Run a small program."""
    (folder / "Pulumi.yaml").write_text("name: small\nruntime: python\nconfig:\n  small:colour: green\n")
    (folder / "__main__.py").write_text("import pulumi\nimport pulumi_gcp as gcp\n" + dedent(code))
    config = {"gcp:project": "my-project", "small:word": "hush", "small:number": "2"}
    return run(
        folder,
        config,
        secrets=["small:word"],
        preview=preview,
        refuse=lambda resource: "quota" if resource.name == refuse else None,
    )


TWO = """
    first = gcp.pubsub.Topic("first", name="first")
    second = gcp.pubsub.Topic("second", name="second", labels={"after": first.id})
    third = gcp.pubsub.Topic("third", opts=pulumi.ResourceOptions(depends_on=[second], protect=True))
    pulumi.export("id", first.id)
"""


def test_the_engine_knows_what_waits_for_what(tmp_path: Path) -> None:
    journal = made(tmp_path, TWO).journal_or_fail()
    first, second, third = (journal.called("pubsub/topic", name) for name in ("first", "second", "third"))
    assert second.property_dependencies["labels"] == {first.urn}
    before = [entry.name for entry in journal.before(third)]
    assert {"first", "second"} <= set(before), "not found through another resource"
    assert second not in journal.before(first)
    assert first.ended < second.started < third.started
    assert (third.protect, second.protect) == (True, False)
    assert journal.outputs == {"id": "projects/my-project/topics/first"}


def test_nothing_is_known_in_a_preview_that_google_would_say(tmp_path: Path) -> None:
    journal = made(tmp_path, TWO, preview=True).journal_or_fail()
    assert journal.called("pubsub/topic", "second").inputs["labels"] == {"after": UNKNOWN}
    assert journal.outputs == {"id": UNKNOWN}


def test_a_question_that_waits_for_what_a_preview_does_not_make_stays_open(tmp_path: Path) -> None:
    code = """
        on = gcp.projects.Service("on", service="cloudresourcemanager.googleapis.com")
        found = gcp.organizations.get_project_output(opts=pulumi.InvokeOutputOptions(depends_on=[on]))
        pulumi.export("number", found.number)
    """
    journal = made(tmp_path, code, preview=True).journal_or_fail()
    assert journal.outputs == {"number": UNKNOWN}
    later = made(tmp_path, code).journal_or_fail()
    [asked] = later.invokes
    assert [entry.name for entry in later.before(asked) if entry.type.startswith("gcp:")] == ["on"]
    assert later.outputs == {"number": "123456789012"}


def test_configuration_arrives_as_text_and_secrets_stay_secret(tmp_path: Path) -> None:
    code = """
        config = pulumi.Config()
        pulumi.export("colour", config.get("colour"))
        pulumi.export("number", repr(config.get("number")))
        gcp.secretmanager.SecretVersion("v", secret="s", secret_data=config.require_secret("word"))
        gcp.pubsub.Topic("t", labels={"word": config.require_secret("word").apply(str.upper)})
    """
    journal = made(tmp_path, code).journal_or_fail()
    assert journal.outputs == {"colour": "green", "number": "'2'"}
    [version], [topic] = journal.of("secretmanager/secretVersion"), journal.of("pubsub/topic")
    assert (version.inputs["secretData"], version.secrets) == ("hush", {"secretData"})
    assert "labels" in {path.partition(".")[0] for path in topic.secrets}


def test_a_refused_resource_stops_the_deployment(tmp_path: Path) -> None:
    done = made(tmp_path, TWO, refuse="second")
    assert done.exit_code != 0
    assert done.refused == ("gcp:pubsub/topic:Topic second: quota",)
    assert [entry.name for entry in done.journal.gcp()] == ["first"]


def test_the_same_name_twice_is_refused_as_pulumi_does(tmp_path: Path) -> None:
    done = made(tmp_path, 'gcp.pubsub.Topic("a")\ngcp.pubsub.Topic("a")')
    assert done.exit_code != 0


def test_an_exception_is_shown_and_ends_the_program(tmp_path: Path) -> None:
    done = made(tmp_path, "raise KeyError('oh')")
    assert done.exit_code == 32
    assert "KeyError: 'oh'" in done.errors[0]


# ------------------------------------------------------------------------------------------ our program
def test_the_program_deploys() -> None:
    journal = deployed()
    assert {entry.inputs["name"] for entry in journal.of("cloudfunctionsv2/function")} >= {"batchdrop-submit"}
    assert journal.outputs["input_bucket"] == "my-project-batchdrop-input"
    for source in journal.of("storage/bucketObject"):
        archive = source.inputs["source"]
        assert isinstance(archive, Archive)
        assert {"main.py", "requirements.txt", "batchdrop/__init__.py"} <= set(archive.entries)


def test_a_preview_of_a_fresh_project_passes() -> None:
    journal = deployed(preview=True)
    real = deployed()
    assert {entry.urn for entry in journal.resources.values()} == set(real.resources)


def with_every_option() -> Journal:
    """Return the journal of a stack for which everything was set."""
    return deployed({f"batchdrop:{name}": value for name, value in TEXT.items()})


def test_every_field_can_be_set_as_text() -> None:
    assert {*TEXT, "providers"} == set(FIELDS), "a field has no text here"
    journal = with_every_option()
    functions = journal.of("cloudfunctionsv2/function")
    by_entry = {entry.inputs["buildConfig"]["entryPoint"]: entry.inputs["serviceConfig"] for entry in functions}
    variables = by_entry["submit"]["environmentVariables"]
    assert json.loads(variables["BATCHDROP_PROVIDERS"])["gemini"]["facts"] == {"tier": 2}
    assert json.loads(variables["BATCHDROP_BUDGETS"]) == {"stack": 500}
    assert {entry.inputs["serviceConfig"]["maxInstanceCount"] for entry in functions} >= {20}
    assert {grant.member for grant in grants(journal)} >= {"user:ada@example.com", "domain:example.com"}
    assert not [entry for entry in journal.gcp() if entry.protect]
    assert journal.of("firestore/backupSchedule")


def test_what_is_set_is_nothing_that_google_refuses() -> None:
    assert [said for resource in with_every_option().gcp() for said in refused(resource)] == []


WRONG: list[tuple[dict[str, str], str]] = [
    ({"batchdrop:max_instance": "3"}, "max_instance"),
    ({"batchdrop:tier": "4"}, "tier"),
    ({"batchdrop:policy": "loose"}, "policy"),
    ({"batchdrop:work_days": "22"}, "work_days"),
    ({"batchdrop:uploaders": "ada@example.com"}, "uploaders"),
    ({"batchdrop:prefix": "googly"}, "prefix"),
    ({"batchdrop:settings": '{"budget": 5}'}, "budget"),
    ({"gcp:region": "europe-west99"}, "region"),
    ({"batchdrop:providers": '{"a": {"kind": "nobodys"}}'}, "there is no kind 'nobodys'"),
    ({"batchdrop:providers": '{"a": {"kind": "gemini", "key": "k"}}'}, "providers.a.key"),
    ({"batchdrop:providers": '{"a": {"kind": "gemini", "secret": "a_key"}}'}, "batchdrop:a_key"),
    ({"batchdrop:providers": '{"a": {"kind": "gemini"}}'}, "give either"),
]


@pytest.fixture(scope="module")
def wrong() -> list[Run]:
    """Runs with a mistake each, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(tried, (config for config, _ in WRONG)))


@pytest.mark.parametrize(
    "number", range(len(WRONG)), ids=[" ".join(f"{k} {v}" for k, v in c.items()) for c, _ in WRONG]
)
def test_a_mistake_in_the_configuration_is_named_before_anything_is_made(wrong: list[Run], number: int) -> None:
    done = wrong[number]
    assert done.exit_code == 1, "it was accepted, or crashed"
    assert WRONG[number][1] in " ".join(done.errors)
    assert not list(done.journal.gcp())


def test_a_missing_key_is_named() -> None:
    config = {name: value for name, value in BASE.items() if name != "batchdrop:gemini_api_key"}
    done = run(PROGRAM, config)
    assert done.exit_code != 0
    assert "gemini_api_key" in " ".join(done.errors)


@pytest.mark.parametrize("length", [3, 4, 20])
def test_every_name_fits_for_any_prefix_that_is_accepted(length: int) -> None:
    config = {"batchdrop:prefix": "abcdefghijklmnopqrstuvwxyz"[:length], "gcp:project": LONGEST_PROJECT}
    done = tried(config)
    if done.exit_code != 0:
        assert "prefix" in " ".join(done.errors)
        assert length not in (4, 20), "these lengths are promised"
        return
    assert [said for resource in done.journal.gcp() for said in refused(resource)] == []


def test_the_key_is_nowhere_in_what_is_printed() -> None:
    done = tried()
    assert KEY not in done.printed + " ".join([*done.errors, *done.warnings])


def test_destroying_leaves_out_what_is_protected(tmp_path: Path) -> None:
    """Pulumi refuses to begin when anything is protected (pulumi.com/docs, resource option `protect`)."""
    assert [entry for entry in deployed().gcp() if entry.protect]
    cli = tmp_path / "pulumi"
    cli.write_text(
        '#!/bin/sh\necho "$*" >> "$0.asked"\n[ "$1" != destroy ] && exit 0\n'
        'case "$*" in *--exclude-protected*) exit 0;; esac\necho "error: resource is protected" >&2\nexit 255\n'
    )
    cli.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "infra.destroy", "--no-drain", "--yes"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "destroy" in (tmp_path / "pulumi.asked").read_text()


EMBEDDING = ROOT / "shared" / "examples" / "embed"


@pytest.mark.parametrize("preview", [True, False])
def test_the_example_of_embedding_deploys(preview: bool) -> None:
    config = {"gcp:project": "my-project", "reviews:gemini_api_key": KEY}
    done = run(EMBEDDING, config, secrets=["reviews:gemini_api_key"], path=[ROOT / "shared"], preview=preview)
    journal = done.journal_or_fail()
    assert [said for resource in journal.gcp() for said in refused(resource)] == []
    for resource in journal.gcp():
        assert resource.provider.endswith("::reviews"), f"{resource.urn} is not made by the team's provider"
    for rule in () if preview else RULES:
        assert broken(rule, Stacks(journal, deployed())) == [], rule
    [subscriber] = [entry for entry in journal.of("pubsub/subscription") if entry.name == "reviews-unfinished"]
    assert "gcp:pubsub/topic:Topic" in str(sorted(subscriber.property_dependencies["topic"]))
    sent = {"attributes": {"state": "DONE", "verdict": "complete"}}
    assert not matches(subscriber.inputs["filter"], sent)
    assert matches(subscriber.inputs["filter"], {"attributes": {"state": "DONE", "verdict": "partial"}})
