"""What Google Cloud would answer: a resource's id and the outputs that nobody knows before it is made.

A name that the program gave is known in a preview as well; `Computed` values are not. A type that is not in the table
answers with its inputs and an id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from tests.infra.engine.values import UNKNOWN, Value

NUMBER = "123456789012"
"""The project's number."""
Inputs = Mapping[str, Value]


def _project(inputs: Inputs) -> str:
    return str(inputs.get("project") or "my-project")


def _account(inputs: Inputs) -> dict[str, Value]:
    email = f"{inputs['accountId']}@{_project(inputs)}.iam.gserviceaccount.com"
    return {
        "email": email,
        "member": f"serviceAccount:{email}",
        "name": f"projects/{_project(inputs)}/serviceAccounts/{email}",
        "uniqueId": "111",
    }


def _function(inputs: Inputs) -> dict[str, Value]:
    uri = f"https://{inputs['name']}-abcdefghij-ew.a.run.app"
    service = f"projects/{_project(inputs)}/locations/{inputs['location']}/services/{inputs['name']}"
    return {"url": uri, "serviceConfig": {**inputs["serviceConfig"], "uri": uri, "service": service}}


def _agent(inputs: Inputs) -> dict[str, Value]:
    word = str(inputs["service"]).removesuffix(".googleapis.com")
    email = f"service-{NUMBER}@gcp-sa-{word}.iam.gserviceaccount.com"
    return {"email": email, "member": f"serviceAccount:{email}"}


def _version(inputs: Inputs) -> dict[str, Value]:
    return {"name": f"{inputs['secret']}/versions/1", "version": "1", "enabled": True}


def _secret(inputs: Inputs) -> dict[str, Value]:
    return {"name": f"projects/{NUMBER}/secrets/{inputs['secretId']}"}


def _channel(inputs: Inputs) -> dict[str, Value]:
    return {"name": f"projects/{_project(inputs)}/notificationChannels/1"}


def _bucket(inputs: Inputs) -> dict[str, Value]:
    return {"url": f"gs://{inputs['name']}", "projectNumber": int(NUMBER)}


COMPUTED: Mapping[str, Callable[[Inputs], dict[str, Value]]] = {
    "gcp:serviceaccount/account:Account": _account,
    "gcp:cloudfunctionsv2/function:Function": _function,
    "gcp:projects/serviceIdentity:ServiceIdentity": _agent,
    "gcp:secretmanager/secretVersion:SecretVersion": _version,
    "gcp:secretmanager/secret:Secret": _secret,
    "gcp:monitoring/notificationChannel:NotificationChannel": _channel,
    "gcp:storage/bucket:Bucket": _bucket,
}

IDS: Mapping[str, str] = {
    "gcp:pubsub/topic:Topic": "projects/{project}/topics/{name}",
    "gcp:pubsub/subscription:Subscription": "projects/{project}/subscriptions/{name}",
    "gcp:secretmanager/secret:Secret": "projects/{project}/secrets/{secretId}",
    "gcp:storage/bucket:Bucket": "{name}",
    "gcp:firestore/database:Database": "projects/{project}/databases/{name}",
    "gcp:artifactregistry/repository:Repository": "projects/{project}/locations/{location}/repositories/{repositoryId}",
}


def answer(type: str, name: str, inputs: Inputs, *, preview: bool) -> tuple[str, dict[str, Value]]:
    """Return a resource's id and outputs; in a preview the id is empty and what is computed is unknown."""
    auto = {} if "name" in inputs else {"name": UNKNOWN if preview else f"{name}-1a2b3c4"}
    project = {} if "project" in inputs or not type.startswith("gcp:") else {"project": "my-project"}
    if preview:
        computed: dict[str, Value] = _hidden(COMPUTED.get(type, _nothing)(_Guess(inputs)), inputs)
        return "", {**inputs, **auto, **computed}
    words = {**project, **auto, **inputs}
    found = IDS.get(type)
    return (found.format(**words) if found else f"{type}::{name}"), {**words, **COMPUTED.get(type, _nothing)(inputs)}


def _nothing(inputs: Inputs) -> dict[str, Value]:
    return {}


class _Guess(dict[str, Any]):
    """Inputs of a preview: what is missing or unknown reads as something."""

    def __missing__(self, key: str) -> Any:
        return "unknown"


def _hidden(computed: dict[str, Value], inputs: Inputs) -> dict[str, Value]:
    """Return computed values as a preview shows them: unknown, but for what the inputs said."""
    shown: dict[str, Value] = {}
    for name, value in computed.items():
        given = inputs.get(name)
        if isinstance(value, dict) and isinstance(given, dict):
            said = cast("dict[str, Value]", given)
            shown[name] = {inner: said.get(inner, UNKNOWN) for inner in cast("dict[str, Value]", value)}
        else:
            shown[name] = UNKNOWN
    return shown


def invoked(token: str, args: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return the answer to a question; None: nobody here knows it."""
    project = str(args.get("projectId") or args.get("project") or "my-project")
    if token == "gcp:organizations/getProject:getProject":
        return {"id": f"projects/{project}", "number": NUMBER, "name": project, "projectId": project, "labels": {}}
    if token == "gcp:storage/getProjectServiceAccount:getProjectServiceAccount":
        email = f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
        return {"id": email, "emailAddress": email, "member": f"serviceAccount:{email}", "project": project}
    return None
