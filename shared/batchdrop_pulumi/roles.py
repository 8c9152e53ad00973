"""The roles of the services table and of people, each on a single resource.

Firestore can be granted on projects only; a condition narrows it to the stack's database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from batchdrop.ports import Topic
from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.services import BucketRole, Place

OBJECT_VIEWER = "roles/storage.objectViewer"
PUBLISHER = "roles/pubsub.publisher"
SUBSCRIBER = "roles/pubsub.subscriber"


@dataclass(frozen=True, slots=True)
class Resources:
    """What roles are granted on."""

    buckets: Mapping[Place, gcp.storage.Bucket]
    topics: Mapping[Topic, gcp.pubsub.Topic]
    database: pulumi.Output[str]


@dataclass(frozen=True, slots=True)
class Grantee:
    """Somebody who is granted roles: the name of a service or of a person, and the member of a policy."""

    name: str
    member: pulumi.Input[str]


class Granting:
    """Grants roles on a stack's resources as children of one component."""

    def __init__(
        self, name: str, args: StackArgs, resources: Resources, parent: pulumi.Resource
    ) -> None:
        """Remember where."""
        self._stem, self._args, self._resources = name, args, resources
        self._own = pulumi.ResourceOptions(parent=parent)

    def bucket(self, to: Grantee, granted: BucketRole) -> None:
        """Grant a role on one of the stack's buckets."""
        bucket = self._resources.buckets[granted.place]
        condition = None
        if granted.only:
            expression = pulumi.Output.format(granted.only, bucket.name)
            condition = gcp.storage.BucketIAMMemberConditionArgs(
                title="only its reports", expression=expression
            )
        gcp.storage.BucketIAMMember(
            f"{self._stem}-{to.name}-{granted.place}-{granted.role.rpartition('.')[2]}",
            bucket=bucket.name,
            role=granted.role,
            member=to.member,
            condition=condition,
            opts=self._own,
        )

    def foreign_bucket(self, to: Grantee, bucket: str) -> None:
        """Let somebody read a bucket that is not the stack's."""
        gcp.storage.BucketIAMMember(
            f"{self._stem}-{to.name}-attaches-{bucket}",
            bucket=bucket,
            role=OBJECT_VIEWER,
            member=to.member,
            opts=self._own,
        )

    def topic(self, to: Grantee, topic: Topic, role: str) -> None:
        """Grant a role on a topic."""
        gcp.pubsub.TopicIAMMember(
            f"{self._stem}-{to.name}-{role.rpartition('.')[2]}-{topic}",
            project=self._args.project,
            topic=self._resources.topics[topic].name,
            role=role,
            member=to.member,
            opts=self._own,
        )

    def subscription(
        self, to: Grantee, subscription: gcp.pubsub.Subscription, topic: Topic
    ) -> None:
        """Let somebody take the dead letters of a topic."""
        gcp.pubsub.SubscriptionIAMMember(
            f"{self._stem}-{to.name}-takes-{topic}-dead",
            project=self._args.project,
            subscription=subscription.name,
            role=SUBSCRIBER,
            member=to.member,
            opts=self._own,
        )

    def secret(self, to: Grantee, secret: gcp.secretmanager.Secret, what: str) -> None:
        """Let somebody read a secret."""
        gcp.secretmanager.SecretIamMember(
            f"{self._stem}-{to.name}-reads-{what}",
            project=self._args.project,
            secret_id=secret.id,
            role="roles/secretmanager.secretAccessor",
            member=to.member,
            opts=self._own,
        )

    def database(self, to: Grantee) -> None:
        """Let somebody use the stack's database and no other."""
        resource = pulumi.Output.format(
            'resource.name == "projects/{0}/databases/{1}"',
            self._args.project,
            self._resources.database,
        )
        condition = gcp.projects.IAMMemberConditionArgs(
            title="only the database of the stack", expression=resource
        )
        self.project(to, "roles/datastore.user", condition)

    def project(
        self,
        to: Grantee,
        role: str,
        condition: gcp.projects.IAMMemberConditionArgs | None = None,
    ) -> None:
        """Grant a role on the project."""
        gcp.projects.IAMMember(
            f"{self._stem}-{to.name}-{role.rpartition('/')[2]}",
            project=self._args.project,
            role=role,
            member=to.member,
            condition=condition,
            opts=self._own,
        )
