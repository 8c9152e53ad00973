"""Every input the program sends, against the provider's fields; and the checker against seeded mistakes."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from tests.infra.engine import Journal, Resource
from tests.infra.fields import TABLES, refused
from tests.infra.fields.cron import is_cron
from tests.infra.stands import deployed, neighbour

SUBSCRIPTION, JOB, BUCKET = "pubsub/subscription", "cloudscheduler/job", "storage/bucket"
FUNCTION, ALERT, SECRET = "cloudfunctionsv2/function", "monitoring/alertPolicy", "secretmanager/secret"
DATABASE = "firestore/database"

MISTAKES: dict[str, tuple[str, str, Any]] = {
    "wrong name": (BUCKET, "locaton", "europe-west1"),
    "wrong name inside": (SUBSCRIPTION, "retryPolicy.minimumBackof", "10s"),
    "missing required": (BUCKET, "location", None),
    "missing required inside": (SUBSCRIPTION, "pushConfig.pushEndpoint", None),
    "text for a number": (SUBSCRIPTION, "ackDeadlineSeconds", "600"),
    "number for text": (DATABASE, "locationId", 5),
    "number for a flag": (BUCKET, "forceDestroy", 1),
    "text for a list": (ALERT, "notificationChannels", "projects/p/notificationChannels/1"),
    "text for an object": (BUCKET, "softDeletePolicy", "none"),
    "enum of the provider": (FUNCTION, "serviceConfig.ingressSettings", "INTERNAL"),
    "enum of a table": (BUCKET, "storageClass", "CHEAP"),
    "enum the API no longer takes": (ALERT, "conditions.0.conditionThreshold.comparison", "COMPARISON_GE"),
    "bad schedule": (JOB, "schedule", "every minute"),
    "schedule with six fields": (JOB, "schedule", "0 * * * * *"),
    "bad zone": (JOB, "timeZone", "Europe/Bruxelles-Sud"),
    "conflict": (SUBSCRIPTION, "bigqueryConfig", {"table": "p.d.t"}),
    "one of two must be": (SECRET, "replication", {}),
    "below its range": (SUBSCRIPTION, "ackDeadlineSeconds", 5),
    "above its range": (SUBSCRIPTION, "deadLetterPolicy.maxDeliveryAttempts", 101),
    "duration without a unit": (SUBSCRIPTION, "messageRetentionDuration", "604800"),
    "duration not of whole minutes": (ALERT, "conditions.0.conditionThreshold.duration", "90s"),
    "soft delete of three days": (BUCKET, "softDeletePolicy.retentionDurationSeconds", 259200),
    "name too short": (DATABASE, "name", "abc"),
    "name reserved": (BUCKET, "name", "goog-uploads"),
    "variable reserved": (FUNCTION, "serviceConfig.environmentVariables.PORT", "80"),
}


def of_program() -> list[Journal]:
    """Return the journals whose inputs are checked."""
    return [deployed(), deployed(preview=True), neighbour()]


def test_every_input_is_one_that_the_provider_takes() -> None:
    assert [said for journal in of_program() for resource in journal.gcp() for said in refused(resource)] == []


def test_the_tables_are_of_the_provider_that_is_installed() -> None:
    assert importlib.metadata.version("pulumi-gcp") == TABLES["provider"]["pulumi_gcp"]


def test_every_row_names_its_source_and_one_judge() -> None:
    for row in TABLES["row"]:
        assert row["source"], row
        judges = set(row) - {"type", "path", "source", "empty", "or_zero", "multiple"}
        assert len(judges) == 1, row


@pytest.mark.parametrize("name", MISTAKES)
def test_a_seeded_mistake_is_refused(name: str) -> None:
    type, path, value = MISTAKES[name]
    journal = deployed()
    good = next(entry for entry in journal.of(type) if _has(entry, path) and _pushes(entry))
    [bad] = [entry for entry in journal.with_input(good, path, value).of(type) if entry.urn == good.urn]
    assert refused(good) == []
    assert refused(bad), f"{path} = {value!r} was accepted"


def _pushes(resource: Resource) -> bool:
    """Tell whether a resource is no subscription, or one that pushes."""
    return not resource.type.startswith(f"gcp:{SUBSCRIPTION}") or "pushConfig" in resource.inputs


def _has(resource: Resource, path: str) -> bool:
    """Tell whether a resource has the object that a mistake is put into."""
    node: Any = resource.inputs
    for part in path.split(".")[:-1]:
        if part == "0":
            node = node[0]
        elif part in node:
            node = node[part]
        else:
            return False
    return True


@pytest.mark.parametrize("text", ["* * * * *", "*/5 8-18 * * MON-FRI", "0,30 4 1 JAN 0", "59 23 31 12 7"])
def test_a_good_schedule_passes(text: str) -> None:
    assert is_cron(text)


@pytest.mark.parametrize("text", ["60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "* * * * * *", "@daily", ""])
def test_a_bad_schedule_does_not(text: str) -> None:
    assert not is_cron(text)
