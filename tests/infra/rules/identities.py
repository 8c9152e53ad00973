"""Accounts, members, grants and names: who exists, who may build, what must never be readable."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tests.infra.engine import Journal, Resource
from tests.infra.engine.answers import NUMBER
from tests.infra.rules.grants import FACTS, Grant, grants, held_by

MEMBER = re.compile(
    r"(user|group|serviceAccount|domain):[^\s@]*@?[^\s@]+\.[a-z]+|principal(Set)?://iam\.googleapis\.com/\S+"
)
PER_PLACE = {"topics/": "pubsub", "subscriptions/": "pubsub", "services/": "run", "secrets/": "secretmanager"}
NAMES = ("accountId", "secretId", "repositoryId", "name")
SHARED = ("gcp:projects/service:", "gcp:projects/serviceIdentity:")


def sources(journal: Journal, _: Journal) -> Iterator[str]:
    """A build by an account of ours needs the bucket that Google copies the archive to, the log and the registry."""
    for function in journal.of("cloudfunctionsv2/function"):
        email = str(function.inputs["buildConfig"].get("serviceAccount", "")).rpartition("/")[2]
        words = {
            "number": NUMBER,
            "region": function.inputs["location"],
            "project": email.partition("@")[2].split(".")[0],
        }
        needed = [["storage.objects.get", FACTS["functions"]["sources"]], *FACTS["functions"]["build"]]
        repository = function.inputs["buildConfig"].get("dockerRepository")
        for permission, shape in needed:
            name = repository if repository and "repositories" in shape else shape.format(**words)
            if email and not any(_allows(grant, permission, name) for grant in held_by(journal, email)):
                yield f"{function.name}: {email} has no {permission} on {name}"


def _allows(grant: Grant, permission: str, name: str) -> bool:
    return grant.allows(permission, name) or grant.allows(permission, "repositories/" + name.rpartition("/")[2])


def agents(journal: Journal, _: Journal) -> Iterator[str]:
    """A grant to an agent that nothing has made exist yet is refused."""
    for grant in grants(journal):
        domain = grant.member.rpartition("@")[2]
        fact = FACTS["agents"].get(domain)
        if fact is None:
            continue
        made = [
            entry
            for entry in journal.before(grant.resource)
            if entry.type.startswith("gcp:projects/serviceIdentity:") and entry.inputs["service"] == fact.get("service")
        ]
        asked = [invoke for invoke in journal.invokes if invoke.token == fact.get("invoke")]
        if not made and not asked:
            yield f"{grant.resource.name} grants {grant.member} something, and nothing has made it exist"


def members(journal: Journal, _: Journal) -> Iterator[str]:
    """A member has a form that IAM takes, nobody is everybody, and a role is one for that kind of resource."""
    known = {str(entry.outputs.get("email")) for entry in journal.of("serviceaccount/account")}
    for grant in grants(journal):
        name = grant.resource.name
        if not MEMBER.fullmatch(grant.member):
            yield f"{name}: {grant.member} is no member"
        if grant.role not in FACTS["roles"]:
            yield f"{name}: {grant.role} is not in facts.toml"
        service = next((word for prefix, word in PER_PLACE.items() if grant.place.startswith(prefix)), None)
        if service and not grant.role.startswith(f"roles/{service}."):
            yield f"{name}: {grant.role} does nothing on {grant.place}"
        email = grant.member.partition(":")[2]
        before = journal.before(grant.resource)
        if email in known and email not in {str(entry.outputs.get("email")) for entry in before}:
            yield f"{name} does not wait for {email}"


def secrets(journal: Journal, _: Journal) -> Iterator[str]:
    """The key is marked secret where it is sent, and stands nowhere else: no variable, no output."""
    versions = journal.of("secretmanager/secretVersion")
    sent = [(entry, field) for entry in versions for field in ("secretData", "secretDataWo") if field in entry.inputs]
    for version, field in sent:
        if field not in version.secrets:
            yield f"{version.name}: {field} stands in the state as plain text"
    others = {f"{entry.type} {entry.name}": entry.inputs for entry in journal.gcp() if entry not in versions}
    for name, held in {**others, "the stack's outputs": journal.outputs}.items():
        text = json.dumps(held, default=str)
        if any(str(version.inputs[field]) in text for version, field in sent):
            yield f"the key stands in {name}"


def apart(journal: Journal, other: Journal) -> Iterator[str]:
    """Two stacks of one project share nothing but the project's APIs and agents."""
    theirs = {_identity(entry) for entry in other.gcp()}
    for resource in journal.gcp():
        found = _identity(resource)
        if found is not None and not resource.type.startswith(SHARED) and found in theirs:
            yield f"{resource.type} {resource.name} is also the other stack's: {found[1]}"


def _identity(resource: Resource) -> tuple[str, str] | None:
    """Return what makes a resource one of its kind, if the program names it."""
    inputs = resource.inputs
    if "ember:" in resource.type:
        return resource.type, json.dumps(inputs, sort_keys=True, default=str)
    named = next((str(inputs[field]) for field in NAMES if field in inputs), None)
    return None if named is None else (resource.type, f"{named} {inputs.get('bucket', '')}{inputs.get('database', '')}")
