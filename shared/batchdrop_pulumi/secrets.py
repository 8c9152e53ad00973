"""The providers' keys in Secret Manager, kept in the region of the stack: one secret each, for those that need one."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.services import MountedSecret


class Secrets(pulumi.ComponentResource):
    """The keys and their first versions."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make them."""
        super().__init__("batchdrop:index:Secrets", f"{name}-secrets", None, opts)
        self._stem, self._args = name, args
        self.secrets = {
            secret: self._secret(secret, value)
            for secret, value in args.mounted_keys().items()
        }
        self.register_outputs({})

    def _secret(
        self, secret: MountedSecret, value: pulumi.Input[str]
    ) -> gcp.secretmanager.Secret:
        args = self._args
        replica = gcp.secretmanager.SecretReplicationUserManagedReplicaArgs(
            location=args.region
        )
        made = gcp.secretmanager.Secret(
            f"{self._stem}-{secret.name}",
            secret_id=f"{args.prefix}-{secret.name}",
            project=args.project,
            labels=args.labels,
            replication=gcp.secretmanager.SecretReplicationArgs(
                user_managed=gcp.secretmanager.SecretReplicationUserManagedArgs(
                    replicas=[replica]
                )
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        gcp.secretmanager.SecretVersion(
            f"{self._stem}-{secret.name}-version",
            secret=made.id,
            secret_data=value,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made
