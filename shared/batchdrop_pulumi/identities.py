"""One service account for each function and each caller, and one that builds.

push calls the functions that are pushed to · scheduler calls the one that runs by the clock · build builds them all
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.buckets import Buckets
from batchdrop_pulumi.images import Images
from batchdrop_pulumi.project import Project
from batchdrop_pulumi.services import SERVICES, Caller

BUILD = "build"
ACCOUNTS = (
    *(service.name for service in SERVICES),
    *(caller.value for caller in Caller),
    BUILD,
)
OBJECT_VIEWER = "roles/storage.objectViewer"


class Identities(pulumi.ComponentResource):
    """The accounts; their roles follow with the resources they are for."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make them."""
        super().__init__("batchdrop:index:Identities", f"{name}-identities", None, opts)
        self.accounts = {
            account: gcp.serviceaccount.Account(
                f"{name}-{account}",
                account_id=f"{args.prefix}-{account}",
                project=args.project,
                display_name=f"Batchdrop {args.prefix}: {account}",
                opts=pulumi.ResourceOptions(parent=self),
            )
            for account in ACCOUNTS
        }
        self.register_outputs({})

    def member(self, account: str) -> pulumi.Output[str]:
        """Return an account as a member of a policy."""
        return pulumi.Output.concat("serviceAccount:", self.accounts[account].email)


class BuildRoles(pulumi.ComponentResource):
    """What the account that builds may do; functions wait for all of it.

    Cloud Functions copies each archive into a bucket of its own, `gcf-v2-sources-NUMBER-REGION`, and the build reads it
    there (cloud.google.com/functions/docs/building). That bucket does not exist before the first function, so the role
    stands on the project and a condition narrows it.
    """

    def __init__(
        self,
        name: str,
        args: StackArgs,
        project: Project,
        identities: Identities,
        buckets: Buckets,
        images: Images,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Grant it."""
        super().__init__(
            "batchdrop:index:BuildRoles", f"{name}-build-roles", None, opts
        )
        own, member = pulumi.ResourceOptions(parent=self), identities.member(BUILD)
        gcp.projects.IAMMember(
            f"{name}-build-logs",
            project=args.project,
            role="roles/logging.logWriter",
            member=member,
            opts=own,
        )
        gcp.projects.IAMMember(
            f"{name}-build-reads-copies",
            project=args.project,
            role=OBJECT_VIEWER,
            member=member,
            condition=gcp.projects.IAMMemberConditionArgs(
                title="only the archives that Cloud Functions copied",
                expression=pulumi.Output.format(
                    'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-{0}-{1}")',
                    project.number,
                    args.region,
                ),
            ),
            opts=own,
        )
        gcp.storage.BucketIAMMember(
            f"{name}-build-reads-source",
            bucket=buckets.source.name,
            role=OBJECT_VIEWER,
            member=member,
            opts=own,
        )
        gcp.artifactregistry.RepositoryIamMember(
            f"{name}-build-writes-images",
            project=args.project,
            location=args.region,
            repository=images.repository.repository_id,
            role="roles/artifactregistry.writer",
            member=member,
            opts=own,
        )
        self.register_outputs({})
