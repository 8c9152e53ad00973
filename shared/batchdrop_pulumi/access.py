"""Who may do what: the accounts of the services table before they run, and people."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from batchdrop.ports import Topic
from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.identities import Identities
from batchdrop_pulumi.roles import PUBLISHER, SUBSCRIBER, Grantee, Granting, Resources
from batchdrop_pulumi.secrets import Secrets
from batchdrop_pulumi.services import AUDIENCES, SERVICES, Audience, Service


class ServiceRoles(pulumi.ComponentResource):
    """What each function's account may do; functions wait for all of it."""

    def __init__(
        self,
        name: str,
        args: StackArgs,
        resources: Resources,
        identities: Identities,
        secrets: Secrets,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Grant the rows of the table."""
        super().__init__(
            "batchdrop:index:ServiceRoles", f"{name}-service-roles", None, opts
        )
        self._args, self._secrets = args, secrets
        self._grant = Granting(name, args, resources, self)
        for service in SERVICES:
            self._row(service, Grantee(service.name, identities.member(service.name)))
        self.register_outputs({})

    def _row(self, service: Service, account: Grantee) -> None:
        for granted in service.buckets:
            self._grant.bucket(account, granted)
        for bucket in self._args.attachment_buckets if service.attaches else ():
            self._grant.foreign_bucket(account, bucket)
        for topic in service.publishes:
            self._grant.topic(account, topic, PUBLISHER)
        for secret, made in self._secrets.secrets.items():
            self._grant.secret(account, made, secret.name)
        self._grant.database(account)


class People(pulumi.ComponentResource):
    """What uploaders, readers and operators may do."""

    def __init__(
        self,
        name: str,
        args: StackArgs,
        resources: Resources,
        dead: Mapping[Topic, gcp.pubsub.Subscription],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Grant each audience's roles to its members."""
        super().__init__("batchdrop:index:People", f"{name}-people", None, opts)
        self._grant, self._dead = Granting(name, args, resources, self), dead
        for audience in AUDIENCES:
            for member in getattr(args, audience.setting):
                self._may(audience, Grantee(f"{audience.setting}-{member}", member))
        self.register_outputs({})

    def _may(self, audience: Audience, person: Grantee) -> None:
        for granted in audience.buckets:
            self._grant.bucket(person, granted)
        for topic in audience.publishes:
            self._grant.topic(person, topic, PUBLISHER)
        for topic in audience.subscribes:
            self._grant.topic(person, topic, SUBSCRIBER)
        for topic, subscription in (
            self._dead.items() if audience.takes_dead_letters else ()
        ):
            self._grant.subscription(person, subscription, topic)
        if audience.uses_database:
            self._grant.database(person)
        for role in audience.project_roles:
            self._grant.project(person, role)
