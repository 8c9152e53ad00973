"""The registry of the functions' images: each build leaves one behind, so old ones are deleted.

Cloud Functions' own registry keeps every image for ever (cloud.google.com/functions/docs/building).
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import DAY, StackArgs

KEPT = 2
"""Images of each function that stay: what runs, and what ran before."""


class Images(pulumi.ComponentResource):
    """A Docker repository of the stack's own."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make it."""
        super().__init__("batchdrop:index:Images", f"{name}-images", None, opts)
        self.repository = gcp.artifactregistry.Repository(
            f"{name}-images",
            repository_id=f"{args.prefix}-images",
            project=args.project,
            location=args.region,
            format="DOCKER",
            description=f"Images of the functions of Batchdrop {args.prefix}",
            labels=args.labels,
            cleanup_policies=[_keep(), _delete()],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.path = pulumi.Output.concat(
            f"projects/{args.project}/locations/{args.region}/repositories/",
            self.repository.repository_id,
        )
        self.register_outputs({})


def _keep() -> gcp.artifactregistry.RepositoryCleanupPolicyArgs:
    """Keep the newest versions; a keep rule beats a delete rule."""
    return gcp.artifactregistry.RepositoryCleanupPolicyArgs(
        id="keep-newest",
        action="KEEP",
        most_recent_versions=gcp.artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(
            keep_count=KEPT
        ),
    )


def _delete() -> gcp.artifactregistry.RepositoryCleanupPolicyArgs:
    return gcp.artifactregistry.RepositoryCleanupPolicyArgs(
        id="delete-old",
        action="DELETE",
        condition=gcp.artifactregistry.RepositoryCleanupPolicyConditionArgs(
            tag_state="ANY", older_than=f"{DAY}s"
        ),
    )
