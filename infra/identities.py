"""One service account for each function and each caller, and nothing granted beyond a single resource.

        INPUT   WORK                 OUTPUT          topics it publishes to
submit  read    create, read         own reports     shards, batches-finished, jobs-completed
poll    read    list, delete         own reports     uploads, shards, batches-finished
write   read    create, read, delete create, read    shards, batches-finished, jobs-completed

All three: the database of the stack only, and the API key.
push    calls submit and write       scheduler  calls poll       build  builds the functions
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from batchdrop.ports import Topic
from infra.config import StackConfig

FUNCTIONS = ("submit", "poll", "write")
ACCOUNTS = (*FUNCTIONS, "push", "scheduler", "build")

BUCKET_ROLES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("submit", "input"): ("roles/storage.objectViewer",),
    ("submit", "work"): ("roles/storage.objectCreator", "roles/storage.objectViewer"),
    ("poll", "input"): ("roles/storage.objectViewer",),
    ("poll", "work"): ("roles/storage.objectUser",),
    ("write", "input"): ("roles/storage.objectViewer",),
    ("write", "work"): ("roles/storage.objectUser",),
    ("write", "output"): ("roles/storage.objectCreator", "roles/storage.objectViewer"),
    ("build", "source"): ("roles/storage.objectViewer",),
}
ATTACHING = ("submit", "write")
"""Who sends requests: in batches, and at once (`finish: standard`)."""
LISTS_OUTPUT = "roles/storage.legacyBucketReader"
"""Names only: without it Cloud Storage answers 403 for an object that is not there, instead of 404."""
REPORTS: Mapping[str, str] = {
    "submit": 'resource.name.endsWith("/recipe.errors.json")',
    "poll": 'resource.name.startsWith("projects/_/buckets/{0}/objects/_batchdrop/")',
}
"""The only output objects that are ever replaced, and whose they are: reports on recipes and on spending."""
PUBLISHES: Mapping[str, tuple[Topic, ...]] = {
    "submit": (Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.JOBS_COMPLETED),
    "poll": (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED),
    "write": (Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.JOBS_COMPLETED),
}
BUILD_ROLES = ("roles/logging.logWriter", "roles/artifactregistry.writer")
"""What building needs in the project: its logs and the registry that Cloud Functions keeps images in."""


class Identities(pulumi.ComponentResource):
    """The accounts and what they may do."""

    def __init__(self, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the accounts; roles follow with the resources they are for."""
        super().__init__("batchdrop:infra:Identities", config.prefix, None, opts)
        self._config = config
        self.accounts = {
            name: gcp.serviceaccount.Account(
                f"{config.prefix}-{name}",
                account_id=f"{config.prefix}-{name}",
                display_name=f"Batchdrop {config.prefix}: {name}",
                opts=pulumi.ResourceOptions(parent=self),
            )
            for name in ACCOUNTS
        }
        for role in BUILD_ROLES:
            self._project_role("build", role, None)
        self.register_outputs({})

    def member(self, name: str) -> pulumi.Output[str]:
        """Return an account as a member of a policy."""
        return pulumi.Output.concat("serviceAccount:", self.accounts[name].email)

    def may_use_buckets(self, buckets: Mapping[str, gcp.storage.Bucket]) -> None:
        """Grant the roles of the table above."""
        for (account, bucket), roles in BUCKET_ROLES.items():
            for role in roles:
                gcp.storage.BucketIAMMember(
                    f"{account}-{bucket}-{role.rpartition('.')[2]}",
                    bucket=buckets[bucket].name,
                    role=role,
                    member=self.member(account),
                    opts=pulumi.ResourceOptions(parent=self),
                )

    def may_attach(self) -> None:
        """Let those who send requests read the buckets whose objects requests may name."""
        for bucket in filter(None, self._config.attachment_buckets.split(",")):
            for account in ATTACHING:
                gcp.storage.BucketIAMMember(
                    f"{account}-attaches-{bucket}",
                    bucket=bucket,
                    role="roles/storage.objectViewer",
                    member=self.member(account),
                    opts=pulumi.ResourceOptions(parent=self),
                )

    def may_report(self, output: gcp.storage.Bucket) -> None:
        """Let a function replace its own reports in the output bucket, and read nothing else there."""
        for account, expression in REPORTS.items():
            gcp.storage.BucketIAMMember(
                f"{account}-reports",
                bucket=output.name,
                role="roles/storage.objectUser",
                member=self.member(account),
                condition=gcp.storage.BucketIAMMemberConditionArgs(
                    title="only its reports", expression=pulumi.Output.format(expression, output.name)
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            gcp.storage.BucketIAMMember(
                f"{account}-lists-output",
                bucket=output.name,
                role=LISTS_OUTPUT,
                member=self.member(account),
                opts=pulumi.ResourceOptions(parent=self),
            )

    def may_publish(self, topics: Mapping[Topic, gcp.pubsub.Topic]) -> None:
        """Let each function publish to its topics."""
        for account, names in PUBLISHES.items():
            for topic in names:
                gcp.pubsub.TopicIAMMember(
                    f"{account}-publishes-{topic}",
                    topic=topics[topic].name,
                    role="roles/pubsub.publisher",
                    member=self.member(account),
                    opts=pulumi.ResourceOptions(parent=self),
                )

    def may_use_database(self, database: pulumi.Output[str]) -> None:
        """Let the functions use this database and no other: Firestore grants on projects, a condition narrows it."""
        resource = pulumi.Output.format('resource.name == "projects/{0}/databases/{1}"', self._config.project, database)
        for account in FUNCTIONS:
            condition = gcp.projects.IAMMemberConditionArgs(title="only the database of the stack", expression=resource)
            self._project_role(account, "roles/datastore.user", condition)

    def may_read_secret(self, secret: gcp.secretmanager.Secret) -> list[pulumi.Resource]:
        """Let the functions read the API key."""
        return [
            gcp.secretmanager.SecretIamMember(
                f"{account}-reads-key",
                secret_id=secret.id,
                role="roles/secretmanager.secretAccessor",
                member=self.member(account),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for account in FUNCTIONS
        ]

    def may_invoke(self, account: str, function: str, service: pulumi.Output[str]) -> None:
        """Let a caller call a function: the invoker role sits on the Cloud Run service behind it."""
        gcp.cloudrunv2.ServiceIamMember(
            f"{account}-invokes-{function}",
            name=service,
            location=self._config.region,
            role="roles/run.invoker",
            member=self.member(account),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _project_role(self, account: str, role: str, condition: gcp.projects.IAMMemberConditionArgs | None) -> None:
        gcp.projects.IAMMember(
            f"{account}-{role.rpartition('/')[2]}",
            project=self._config.project,
            role=role,
            member=self.member(account),
            condition=condition,
            opts=pulumi.ResourceOptions(parent=self),
        )
