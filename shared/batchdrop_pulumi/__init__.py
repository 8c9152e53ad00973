"""Batchdrop on Google Cloud as one component that a Pulumi program embeds.

    from batchdrop_pulumi import Stack, StackArgs
    args = StackArgs(project="my-project", region="europe-west1", api_key=config.require_secret("gemini_api_key"))
    drop = Stack("batchdrop", args)
    pulumi.export("upload_to", drop.input_bucket)

The component reads no configuration and makes no provider: the parent's or the program's is used.
"""

from __future__ import annotations

from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.stack import Stack

__all__ = ["Stack", "StackArgs"]
