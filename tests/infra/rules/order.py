"""What must be there before what: the order of a first deployment into a fresh project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.infra.engine import Journal, Resource
from tests.infra.rules.grants import FACTS, held_by

SECRET = "gcp:secretmanager/secretIamMember:SecretIamMember"


def apis(journal: Journal, _: Journal) -> Iterator[str]:
    """Everything waits for the API it is made through; Cloud Resource Manager's is no exception."""
    for resource in journal.gcp():
        yield from (f"{resource.type} {resource.name} {said}" for said in _off(journal, resource))
    for asked in journal.invokes:
        on = _enabled(journal.before(asked))
        api = _api(asked.token.removeprefix("gcp:"))
        if api and api not in on:
            yield f"{asked.token} is asked before {api}.googleapis.com is on"


def _off(journal: Journal, resource: Resource) -> Iterator[str]:
    needed = {_api(resource.type.removeprefix("gcp:"))} - {""}
    if resource.type.startswith("gcp:cloudfunctionsv2/function:"):
        needed |= set(FACTS["functions"]["apis"])
    if resource.inputs.get("service") == f"{FACTS['apis']['projects/service']}.googleapis.com":
        needed.clear()
    for api in sorted(needed - _enabled(journal.before(resource))):
        yield f"does not wait for {api}.googleapis.com"


def _api(type: str) -> str:
    found: dict[str, str] = FACTS["apis"]
    place = max((prefix for prefix in found if type.startswith(prefix)), key=len, default=None)
    if place is None:
        raise LookupError(f"which API does {type} need? facts.toml, [apis]")
    return found[place]


def _enabled(before: list[Resource]) -> set[str]:
    services = (entry for entry in before if entry.type == "gcp:projects/service:Service")
    return {str(entry.inputs["service"]).removesuffix(".googleapis.com") for entry in services}


def builds(journal: Journal, _: Journal) -> Iterator[str]:
    """A function is built at once when it is asked for: every grant to its build account must be there."""
    for function in journal.of("cloudfunctionsv2/function"):
        before = {entry.urn for entry in journal.before(function)}
        account = str(function.inputs["buildConfig"].get("serviceAccount", "")).rpartition("/")[2]
        for grant in held_by(journal, account):
            if grant.resource.urn not in before:
                yield f"{function.name} does not wait for {grant.resource.name} ({grant.role} for {account})"


def settles(journal: Journal, _: Journal) -> Iterator[str]:
    """A grant works seconds after it was given; the build must not begin sooner."""
    wanted = FACTS["functions"]["settle_seconds"]
    for function in journal.of("cloudfunctionsv2/function"):
        account = str(function.inputs["buildConfig"].get("serviceAccount", "")).rpartition("/")[2]
        given = {grant.resource.urn for grant in held_by(journal, account)}
        pauses = [entry for entry in journal.before(function) if _pause(entry) >= wanted]
        if not any(given <= {entry.urn for entry in journal.before(pause)} for pause in pauses):
            yield f"{function.name} starts its build less than {wanted} s after its account's grants"


def _pause(resource: Resource) -> float:
    """Return for how many seconds a resource waits when it is made."""
    text = str(resource.inputs.get("createDuration", ""))
    return float(text[:-1]) if resource.type.startswith("time:") and text.endswith("s") else 0


def used(journal: Journal, _: Journal) -> Iterator[str]:
    """An instance may start as soon as a function exists: its key, its database and its grants must be there."""
    for function in journal.of("cloudfunctionsv2/function"):
        before = {entry.urn for entry in journal.before(function)}
        account = str(function.inputs["serviceConfig"].get("serviceAccountEmail", ""))
        held = held_by(journal, account)
        needed = [
            grant.resource for grant in held if grant.resource.type in ("gcp:projects/iAMMember:IAMMember", SECRET)
        ]
        for type in ("secretmanager/secretVersion", "firestore/database", "firestore/index"):
            needed += journal.of(type)
        for resource in needed:
            if resource.urn not in before:
                yield f"{function.name} does not wait for {resource.type} {resource.name}"


def calls(journal: Journal, _: Journal) -> Iterator[str]:
    """A push that may not call yet is retried by its backoff: a first upload would wait for minutes."""
    for caller, inputs in _callers(journal):
        target = inputs.get("pushEndpoint") or inputs.get("uri")
        token = inputs.get("oidcToken", {})
        service = next((entry for entry in journal.of("cloudfunctionsv2/function") if _address(entry) == target), None)
        if service is None:
            yield f"{caller.name} calls {target}, which is no function of the stack"
            continue
        if token.get("audience") != target:
            yield f"{caller.name} has a token for {token.get('audience')}, and calls {target}"
        granted = held_by(journal, str(token.get("serviceAccountEmail")))
        place = f"services/{service.inputs['name']}"
        invoker = [grant.resource for grant in granted if grant.allows("run.routes.invoke", place)]
        if not invoker:
            yield f"{caller.name} may not call {service.name}"
        elif not {entry.urn for entry in invoker} & {entry.urn for entry in journal.before(caller)}:
            yield f"{caller.name} does not wait until it may call {service.name}"


def _callers(journal: Journal) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for subscription in journal.of("pubsub/subscription"):
        if "pushConfig" in subscription.inputs:
            yield subscription, subscription.inputs["pushConfig"]
    for job in journal.of("cloudscheduler/job"):
        yield job, job.inputs["httpTarget"]


def _address(function: Resource) -> str:
    return str(function.outputs.get("serviceConfig", {}).get("uri"))


def announces(journal: Journal, _: Journal) -> Iterator[str]:
    """Cloud Storage refuses a notification to a topic on which its agent may not publish."""
    for notification in journal.of("storage/notification"):
        topic = str(notification.inputs["topic"]).rpartition("/")[2]
        granted = [
            entry
            for entry in journal.before(notification)
            if entry.type.startswith("gcp:pubsub/topicIAMMember:")
            and str(entry.inputs["topic"]).rpartition("/")[2] == topic
            and "gs-project-accounts" in str(entry.inputs["member"])
        ]
        if not granted:
            yield f"{notification.name} does not wait until Cloud Storage may publish on {topic}"
