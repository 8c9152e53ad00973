"""Alert policies: metrics they may name, subscriptions they must see, log lines they must and must not fire for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from tests.infra.engine import Journal, Resource
from tests.infra.rules.expressions import matches
from tests.infra.rules.grants import FACTS

LOGS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "logs.toml").read_text())["entry"]
USER = "logging.googleapis.com/user/"
METRIC = re.compile(r'metric\.type\s*=\s*"([^"]+)"')
SERIES = ("conditionThreshold", "conditionAbsent")
SILENCE_SECONDS = 3600
BACKLOG = {
    "pushes": ("oldest_unacked_message_age",),
    "dead letters": ("num_undelivered_messages", "oldest_unacked_message_age"),
}
"""The metrics that say of a subscription that its messages wait; dead letters may be counted or aged."""
Condition = Mapping[str, Any]


def _conditions(journal: Journal) -> Iterator[tuple[Resource, str, Condition]]:
    for policy in journal.of("monitoring/alertPolicy"):
        for condition in policy.inputs["conditions"]:
            for kind, inside in cast("dict[str, Any]", condition).items():
                if isinstance(inside, dict):
                    yield policy, kind, cast("Condition", inside)


def _named(condition: Condition) -> str:
    found = METRIC.search(str(condition.get("filter", "")))
    return found[1] if found else ""


def aligners(journal: Journal, _: Journal) -> Iterator[str]:
    """An aligner that a metric's kind or value type has not is refused with 400."""
    for policy, kind, condition in _conditions(journal):
        if kind not in SERIES:
            continue
        metric = _descriptor(journal, _named(condition))
        if metric is None:
            yield f"{policy.name}: {_named(condition)!r} is no metric that facts.toml knows"
            continue
        for aggregation in condition.get("aggregations", []):
            word = aggregation.get("perSeriesAligner", "ALIGN_NONE")
            fits = FACTS["aligners"][word]
            if metric["kind"] not in fits["kinds"] or metric["value"] not in fits["values"]:
                what = f"{metric['kind']} {metric['value']} {_named(condition)}"
                yield f"{policy.name}: {word} cannot be applied to {what}"


def _descriptor(journal: Journal, type: str) -> dict[str, str] | None:
    if not type.startswith(USER):
        return FACTS["metrics"].get(type)
    for metric in journal.of("logging/metric"):
        if metric.inputs.get("name") == type.removeprefix(USER):
            found = metric.inputs.get("metricDescriptor", {"metricKind": "DELTA", "valueType": "INT64"})
            return {"kind": found["metricKind"], "value": found["valueType"]}
    return None


def young_metrics(journal: Journal, _: Journal) -> Iterator[str]:
    """A log metric appears up to ten minutes after it was made; a policy that names it sooner is answered 404."""
    for policy, kind, condition in _conditions(journal):
        if kind in SERIES and _named(condition).startswith(USER) and not _waited(journal, policy):
            yield f"{policy.name} names {_named(condition)}, which was made moments before"


def _waited(journal: Journal, policy: Resource) -> bool:
    made = {entry.urn for entry in journal.of("logging/metric")}
    for pause in journal.before(policy):
        text = str(pause.inputs.get("createDuration", ""))
        long = (
            pause.type.startswith("time:")
            and text.endswith("s")
            and float(text[:-1]) >= FACTS["log_metrics"]["seconds"]
        )
        if long and made & {entry.urn for entry in journal.before(pause)}:
            return True
    return False


def log_matches(journal: Journal, _: Journal) -> Iterator[str]:
    """A policy on log lines needs a rate limit and takes no second condition (docs monitoring_alert_policy)."""
    for policy, kind, _condition in _conditions(journal):
        if kind == "conditionMatchedLog":
            if "notificationRateLimit" not in policy.inputs.get("alertStrategy", {}):
                yield f"{policy.name} matches log lines without a rate limit"
            if len(policy.inputs["conditions"]) != 1:
                yield f"{policy.name} matches log lines beside another condition"


def watched(journal: Journal, other: Journal) -> Iterator[str]:
    """Somebody hears of messages that wait in any of the stack's subscriptions, and of nobody else's."""
    pushes, dead = _subscriptions(journal)
    heard = {"pushes": pushes, "dead letters": dead}
    for what, names in heard.items():
        for name in sorted(names):
            if not any(_hears(journal, metric, name) for metric in BACKLOG[what]):
                yield f"nobody hears of {what} that wait in {name}"
    for name in sorted(set[str]().union(*_subscriptions(other))):
        for metric in BACKLOG["dead letters"]:
            if _hears(journal, metric, name):
                yield f"an alert on {metric} fires for {name} of the other stack"
    for name in sorted(pushes):
        if _hears(journal, "num_undelivered_messages", name):
            yield f"an alert on num_undelivered_messages fires for every upload in {name}"


def _hears(journal: Journal, metric: str, subscription: str) -> bool:
    type = f"pubsub.googleapis.com/subscription/{metric}"
    filters = [
        str(found["filter"]) for _, kind, found in _conditions(journal) if kind in SERIES and _named(found) == type
    ]
    return any(matches(text, _series(type, subscription)) for text in filters)


def heartbeat(journal: Journal, other: Journal) -> Iterator[str]:
    """Somebody hears within the hour when the clock stops or every tick fails: nothing else says so."""
    for own, stack in ((True, journal), (False, other)):
        for job in stack.of("cloudscheduler/job"):
            poll = _called_by(stack, job)
            heard = [found for found in _absences(journal) if matches(str(found["filter"]), _answered(poll))]
            if own and not heard:
                yield f"nobody hears when {poll} answers nothing"
            if not own and heard:
                yield f"an alert on silence listens to {poll} of the other stack"
            if own and any(float(found["duration"][:-1]) > SILENCE_SECONDS for found in heard):
                yield f"silence of {poll} is heard after more than {SILENCE_SECONDS} s"


def _absences(journal: Journal) -> list[Condition]:
    return [found for _, kind, found in _conditions(journal) if kind == "conditionAbsent"]


def _called_by(journal: Journal, job: Resource) -> str:
    """Return the name of the function that a job of Cloud Scheduler calls."""
    functions = journal.of("cloudfunctionsv2/function")
    return next(
        str(f.inputs["name"]) for f in functions if f.outputs["serviceConfig"]["uri"] == job.inputs["httpTarget"]["uri"]
    )


def _answered(service: str) -> dict[str, Any]:
    """Return the time series of a service's good answers."""
    return {
        "metric": {"type": "run.googleapis.com/request_count", "labels": {"response_code_class": "2xx"}},
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": service}},
    }


def _subscriptions(journal: Journal) -> tuple[set[str], set[str]]:
    """Return the names of the subscriptions that push, and of those that keep dead letters."""
    found = journal.of("pubsub/subscription")
    pushes = {str(entry.inputs["name"]) for entry in found if "pushConfig" in entry.inputs}
    topics = {
        str(entry.inputs["deadLetterPolicy"]["deadLetterTopic"])
        for entry in found
        if "deadLetterPolicy" in entry.inputs
    }
    return pushes, {str(entry.inputs["name"]) for entry in found if entry.inputs["topic"] in topics}


def _series(metric: str, subscription: str) -> dict[str, Any]:
    labels = {"subscription_id": subscription, "project_id": "my-project"}
    return {"metric": {"type": metric}, "resource": {"type": "pubsub_subscription", "labels": labels}}


def log_lines(journal: Journal, other: Journal) -> Iterator[str]:
    """A person hears of a line if `logs.toml` says so, in every function; a line of another stack fires nothing."""
    for sample in LOGS:
        for function in journal.of("cloudfunctionsv2/function"):
            heard = fired(journal, sample["entry"], str(function.inputs["name"]))
            line = f"{sample['says']}, in {function.inputs['name']}"
            if sample["told"] and not heard:
                yield f"{line}: nobody hears of it"
            if not sample["told"]:
                yield from (f"{line}: {name} fires" for name in sorted(heard))
        for function in other.of("cloudfunctionsv2/function"):
            for name in sorted(fired(journal, sample["entry"], str(function.inputs["name"]))):
                yield f"{sample['says']}, in {function.inputs['name']} of the other stack: {name} fires"


def fired(journal: Journal, entry: Mapping[str, Any], service: str) -> set[str]:
    """Return the names of the policies that hear of a log entry."""
    labels = {"service_name": service, "location": "europe-west1", "project_id": "my-project"}
    whole = {**entry, "resource": {"type": "cloud_run_revision", "labels": labels}}
    counted = {
        f"{USER}{metric.inputs['name']}"
        for metric in journal.of("logging/metric")
        if matches(str(metric.inputs["filter"]), whole)
    }
    fired: set[str] = set()
    for policy, kind, condition in _conditions(journal):
        direct = kind == "conditionMatchedLog" and matches(str(condition["filter"]), whole)
        if direct or (kind == "conditionThreshold" and _named(condition) in counted):
            fired.add(policy.name)
    return fired


def close(journal: Journal, _: Journal) -> Iterator[str]:
    """Without `auto_close` an incident of a metric that falls silent stays open and mutes the next for 7 days."""
    for policy in journal.of("monitoring/alertPolicy"):
        if not policy.inputs.get("alertStrategy", {}).get("autoClose"):
            yield f"{policy.name} keeps its incidents open for 7 days"
