"""The lines the functions really log, against the filters of the program's metrics and alerts."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from batchdrop.core.logs import log as write
from tests.harness import Stack, lines
from tests.infra.engine import Journal, Resource
from tests.infra.rules.alerts import fired
from tests.infra.rules.expressions import look_up, matches
from tests.infra.stands import deployed

EXTRACT = re.compile(r"EXTRACT\(([\w.]+)\)")
SPECIAL = ("severity", "time")
"""Fields of a line that Cloud Logging takes out of `jsonPayload` (cloud.google.com/logging/docs/structured-logging)."""
Entry = dict[str, Any]


def entry(line: str, service: str = "batchdrop-poll") -> Entry:
    """Return a logged line as Cloud Run hands it to Cloud Logging; a line with a message alone becomes text."""
    payload: Entry = json.loads(line)
    severity = payload["severity"]
    rest = {name: value for name, value in payload.items() if name not in SPECIAL}
    held = {"textPayload": rest["message"]} if list(rest) == ["message"] else {"jsonPayload": rest}
    return {
        "logName": "projects/my-project/logs/run.googleapis.com%2Fstdout",
        "severity": severity,
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": service}},
        **held,
    }


@pytest.fixture
def entries(stack_with: Any, log: io.StringIO) -> list[Entry]:
    """What a day in the life of a stack logs: a job that ends, one that is refused, ticks, an overdue job, a crash."""
    stack: Stack = stack_with()
    stack.run(stack.upload("team/a.jsonl", lines("one", "two") + b"not json\n"))
    stack.run(stack.upload("team/empty.jsonl", b""), until=lambda job: job.state.terminal)
    stack.tick()
    write("job is overdue", severity="ERROR", job_id="j", state="RUNNING")
    write("crash", severity="ERROR", error="KeyError", file="store.py", line=98)
    return [entry(line) for line in log.getvalue().splitlines()]


def metrics() -> list[Resource]:
    """Return the log-based metrics of the program."""
    return deployed().of("logging/metric")


def problems(metric: Resource, entries: list[Entry]) -> Iterator[str]:
    """Say why a metric would stay empty, or would count lines whose fields it cannot read."""
    counted = [found for found in entries if matches(metric.inputs["filter"], found)]
    if not counted:
        yield f"{metric.name}: no line is counted by {metric.inputs['filter']}"
    value = EXTRACT.fullmatch(metric.inputs.get("valueExtractor", ""))
    if value and not all(isinstance(look_up(found, value[1]), int | float) for found in counted):
        yield f"{metric.name}: {value[1]} is no number"
    for label, extractor in metric.inputs.get("labelExtractors", {}).items():
        place = EXTRACT.fullmatch(extractor)
        if place is None or not any(look_up(found, place[1]) is not None for found in counted):
            yield f"{metric.name}: no line has the label {label}"


def test_every_metric_counts_lines_that_are_logged(entries: list[Entry]) -> None:
    assert metrics()
    assert [said for metric in metrics() for said in problems(metric, entries)] == []


def test_metrics_of_another_stack_are_not_counted(entries: list[Entry]) -> None:
    for metric in metrics():
        for found in entries:
            found["resource"]["labels"]["service_name"] = "batchdrop-b-poll"
            assert not matches(metric.inputs["filter"], found)


def test_a_line_fires_an_alert_exactly_when_it_is_an_error(entries: list[Entry]) -> None:
    journal: Journal = deployed()
    assert {found["severity"] for found in entries} >= {"INFO", "ERROR"}
    for found in entries:
        service = found["resource"]["labels"]["service_name"]
        assert bool(fired(journal, found, service)) == (found["severity"] == "ERROR"), found
