"""Who may do what, as the program grants it: every IAM member of a journal as one shape."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.engine import Journal, Resource
from tests.infra.rules.expressions import matches

FACTS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "facts.toml").read_text())

PLACES: Mapping[str, tuple[str, str]] = {
    "gcp:projects/iAMMember:IAMMember": ("project", "projects/{}"),
    "gcp:storage/bucketIAMMember:BucketIAMMember": ("bucket", "projects/_/buckets/{}"),
    "gcp:pubsub/topicIAMMember:TopicIAMMember": ("topic", "topics/{}"),
    "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember": ("subscription", "subscriptions/{}"),
    "gcp:secretmanager/secretIamMember:SecretIamMember": ("secretId", "secrets/{}"),
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": ("name", "services/{}"),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": ("repository", "repositories/{}"),
    "gcp:serviceaccount/iAMMember:IAMMember": ("serviceAccountId", "serviceAccounts/{}"),
}
"""The input that says where a grant sits, and the resource's name; a path is cut to its last part."""


@dataclass(frozen=True)
class Grant:
    """A role for a member on a resource, perhaps under a condition."""

    resource: Resource
    member: str
    role: str
    place: str
    condition: str

    def allows(self, permission: str, name: str) -> bool:
        """Tell whether it holds a permission on a resource: one below its place, for which its condition is true."""
        held = permission in FACTS["roles"].get(self.role, ())
        inside = self.place.startswith("projects/") and not self.place.startswith("projects/_/")
        below = inside or name == self.place or name.startswith(f"{self.place}/")
        return held and below and (not self.condition or matches(self.condition, {"resource": {"name": name}}))


def grants(journal: Journal) -> Iterator[Grant]:
    """Return every grant of a journal."""
    for resource in journal.gcp():
        if resource.type in PLACES:
            field, shape = PLACES[resource.type]
            inputs = resource.inputs
            condition = inputs.get("condition", {}).get("expression", "")
            place = shape.format(str(inputs[field]).rpartition("/")[2])
            yield Grant(resource, str(inputs["member"]), str(inputs["role"]), place, condition)


def held_by(journal: Journal, email: str) -> list[Grant]:
    """Return what an account was granted."""
    return [grant for grant in grants(journal) if grant.member == f"serviceAccount:{email}"]
