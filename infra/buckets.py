"""Four buckets, none of them public: uploads, work, output, and the functions' archives.

INPUT and OUTPUT hold what users gave and get: they are never destroyed with content. WORK is of the same location and
class as INPUT, so that a snapshot is a copy of metadata; it has no soft delete, because deleted prompts must be gone.
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from infra.config import StackConfig

CLASS = "STANDARD"
SOFT_DELETE_SECONDS = 7 * 24 * 3600
"""A week to undo a mistake in what users own."""


class Buckets(pulumi.ComponentResource):
    """The stack's buckets."""

    def __init__(self, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them."""
        super().__init__("batchdrop:infra:Buckets", config.prefix, None, opts)
        self._config = config
        self.input = self._bucket("input", config.input_days, SOFT_DELETE_SECONDS, keep=True)
        self.output = self._bucket("output", config.output_days, SOFT_DELETE_SECONDS, keep=True)
        self.work = self._bucket("work", config.work_days, 0, keep=False)
        self.source = self._bucket("source", 0, 0, keep=False)
        self.register_outputs({"input": self.input.name, "output": self.output.name})

    def _bucket(self, what: str, days: int, soft_delete_seconds: int, *, keep: bool) -> gcp.storage.Bucket:
        config = self._config
        rules = [_abort_uploads(), *([_delete_after(days)] if days else [])]
        return gcp.storage.Bucket(
            f"{config.prefix}-{what}",
            name=f"{config.project}-{config.prefix}-{what}",
            location=config.region,
            storage_class=CLASS,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            force_destroy=not keep,
            soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=soft_delete_seconds),
            lifecycle_rules=rules,
            opts=pulumi.ResourceOptions(parent=self, protect=keep, retain_on_delete=keep),
        )


def _delete_after(days: int) -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=days),
    )


def _abort_uploads() -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="AbortIncompleteMultipartUpload"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=7),
    )
