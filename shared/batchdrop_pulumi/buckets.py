"""Four buckets, none of them public: uploads, work, output, and the functions' archives.

INPUT and OUTPUT hold what users gave and get: they are never destroyed with content, unless the program says so. WORK
is of the same location and class as INPUT, so that a snapshot is a copy of metadata; it has no soft delete, because
deleted prompts must be gone.
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import DAY, StackArgs
from batchdrop_pulumi.services import Place

CLASS = "STANDARD"
SOFT_DELETE_SECONDS = 7 * DAY
"""A week to undo a mistake in what users own."""


class Buckets(pulumi.ComponentResource):
    """The stack's buckets."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make them."""
        super().__init__("batchdrop:index:Buckets", f"{name}-buckets", None, opts)
        self._stem, self._args = name, args
        self.by_place = {
            Place.INPUT: self._owned("input", args.input_days),
            Place.WORK: self._bucket("work", args.work_days),
            Place.OUTPUT: self._owned("output", args.output_days),
        }
        self.source = self._bucket("source", 0)
        self.register_outputs({})

    def _owned(self, what: str, days: int) -> gcp.storage.Bucket:
        """Make a bucket of the users'."""
        keep = self._args.keep_data
        left = self._bucket_name(what) if self._args.adopt else None
        opts = pulumi.ResourceOptions(
            parent=self, protect=keep, retain_on_delete=keep, import_=left
        )
        return self._make(what, days, SOFT_DELETE_SECONDS, destroy=not keep, opts=opts)

    def _bucket(self, what: str, days: int) -> gcp.storage.Bucket:
        """Make a bucket of the stack's own."""
        return self._make(
            what, days, 0, destroy=True, opts=pulumi.ResourceOptions(parent=self)
        )

    def _make(
        self,
        what: str,
        days: int,
        soft_delete_seconds: int,
        *,
        destroy: bool,
        opts: pulumi.ResourceOptions,
    ) -> gcp.storage.Bucket:
        args = self._args
        return gcp.storage.Bucket(
            f"{self._stem}-{what}",
            name=self._bucket_name(what),
            project=args.project,
            location=args.region,
            labels=args.labels,
            storage_class=CLASS,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            force_destroy=destroy,
            soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(
                retention_duration_seconds=soft_delete_seconds
            ),
            lifecycle_rules=[
                _abort_uploads(),
                *([_delete_after(days)] if days else []),
            ],
            opts=opts,
        )

    def _bucket_name(self, what: str) -> str:
        return f"{self._args.project}-{self._args.prefix}-{what}"


def _delete_after(days: int) -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=days),
    )


def _abort_uploads() -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(
            type="AbortIncompleteMultipartUpload"
        ),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=7),
    )
