"""What Google Cloud would refuse or lose though every field is well-formed; and each rule against its own mistake."""

from __future__ import annotations

import pytest

from batchdrop_pulumi.regions import REGIONS
from tests.infra.rules import RULES, Stacks, broken
from tests.infra.rules.expressions import matches
from tests.infra.rules.grants import FACTS
from tests.infra.seeds import SEEDS, Seed, same
from tests.infra.stands import deployed, neighbour

CASES = [(rule, seed) for rule, seeds in SEEDS.items() for seed in seeds]


def stacks() -> Stacks:
    """Return the program's stack and a second one beside it."""
    return Stacks(deployed(), neighbour())


@pytest.mark.parametrize("rule", RULES)
def test_the_program_holds(rule: str) -> None:
    assert broken(rule, stacks()) == []


@pytest.mark.parametrize(("rule", "seed"), CASES, ids=[f"{rule}: {number}" for number, (rule, _) in enumerate(CASES)])
def test_a_rule_sees_its_mistake(rule: str, seed: Seed) -> None:
    good = stacks()
    new = set(broken(rule, Stacks(seed(good.own), good.other))) - set(broken(rule, good))
    assert new, "the mistake was not seen"


def test_a_rule_sees_two_stacks_that_share_names() -> None:
    assert broken("no two stacks ask for the same thing", same(stacks()))


def test_every_rule_has_a_mistake() -> None:
    assert set(SEEDS) | {"no two stacks ask for the same thing"} == set(RULES)


def test_every_region_that_is_accepted_has_every_service() -> None:
    for service, found in FACTS["regions"].items():
        assert set(found.split()) >= REGIONS, service


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('severity >= ERROR AND log_id("run.googleapis.com/stdout")', True),
        ('severity >= ERROR log_id("run.googleapis.com/stdout")', True),
        ('severity >= CRITICAL OR jsonPayload.message = "crash"', True),
        ('NOT (severity = "ERROR" OR severity = "WARNING")', False),
        ('jsonPayload.message != "crash"', False),
        ('jsonPayload.message =~ "^cra"', True),
        ('resource.labels.service_name = ("a-poll" OR "a-write")', True),
        ("resource.labels.service_name = one_of(\"a-submit\", 'a-poll')".replace("'", '"'), True),
        ('resource.labels.service_name = monitoring.regex.full_match("poll")', False),
        ('resource.labels.nothing = "x"', False),
        ('resource.labels.service_name.startsWith("a-") && !resource.labels.service_name.endsWith("-write")', True),
    ],
)
def test_expressions_mean_what_google_says(text: str, expected: bool) -> None:
    entry = {
        "logName": "projects/p/logs/run.googleapis.com%2Fstdout",
        "severity": "ERROR",
        "jsonPayload": {"message": "crash"},
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": "a-poll"}},
    }
    assert matches(text, entry) is expected


@pytest.mark.parametrize("text", ['near("x")', "severity ~ ERROR", 'severity >= "ERROR', "a = b)", "a = "])
def test_an_expression_that_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|missing"):
        matches(text, {"severity": "ERROR", "a": "b"})
