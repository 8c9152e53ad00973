"""What a person must look at, in three conditions, because each is billed: messages that wait, silence, errors.

    messages   a message has waited for an hour, or a dead letter lies where `batchdrop replay` takes it
    silence    `poll` has answered nothing for ten minutes: the clock is paused, or every tick fails
    errors     a function says so: an orphan batch, an unknown state, a document given up, a job past its deadline

Each names this stack's subscriptions and services, never a pattern that another stack fits. Only metrics that Google
Cloud always has are used. An incident closes half an hour after the last sign, so the next one is heard.
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.metrics import written_by_functions
from batchdrop_pulumi.services import PUSHED, SERVICES, Caller

OLD_SECONDS = 3600
SILENCE_SECONDS = 600
SILENT_TICKS = 3
AUTO_CLOSE = "1800s"
MAIL_EVERY = "3600s"
"""At most one notification of a kind of error in so long."""


class Alerts(pulumi.ComponentResource):
    """Alert policies; they tell the channels the program names, and an address."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make them."""
        super().__init__("batchdrop:index:Alerts", f"{name}-alerts", None, opts)
        self._stem, self._args = name, args
        self._channels = [*args.notification_channels, *self._email()]
        self._policy(
            "messages",
            _waiting(args),
            "Look at the log, and at `batchdrop replay --dry-run`.",
        )
        self._policy(
            "silence",
            _silent(args),
            "`poll` does not answer: look at Cloud Scheduler, then at its log.",
        )
        self._policy(
            "errors",
            _said(args),
            "Look at the line in the log; `batchdrop status JOB` says why a job waits.",
            gcp.monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs(
                period=MAIL_EVERY
            ),
        )
        self.register_outputs({})

    def _email(self) -> list[pulumi.Output[str]]:
        args = self._args
        if not args.alert_email:
            return []
        channel = gcp.monitoring.NotificationChannel(
            f"{self._stem}-email",
            project=args.project,
            type="email",
            display_name=f"Batchdrop {args.prefix}",
            labels={"email_address": args.alert_email},
            user_labels=args.labels,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [channel.name]

    def _policy(
        self,
        what: str,
        condition: gcp.monitoring.AlertPolicyConditionArgs,
        text: str,
        limit: gcp.monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs
        | None = None,
    ) -> None:
        args = self._args
        gcp.monitoring.AlertPolicy(
            f"{self._stem}-{what}",
            project=args.project,
            display_name=f"Batchdrop {args.prefix}: {what}",
            combiner="OR",
            conditions=[condition],
            alert_strategy=gcp.monitoring.AlertPolicyAlertStrategyArgs(
                auto_close=AUTO_CLOSE, notification_rate_limit=limit
            ),
            notification_channels=self._channels,
            user_labels=args.labels,
            documentation=gcp.monitoring.AlertPolicyDocumentationArgs(
                content=text, mime_type="text/markdown"
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _waiting(args: StackArgs) -> gcp.monitoring.AlertPolicyConditionArgs:
    """The oldest message of a subscription: a gauge, and its greatest value."""
    names = [f"{args.prefix}-{topic}{end}" for topic in PUSHED for end in ("", "-dead")]
    listed = ", ".join(f'"{name}"' for name in names)
    return gcp.monitoring.AlertPolicyConditionArgs(
        display_name="a message has waited for an hour",
        condition_threshold=gcp.monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter='resource.type = "pubsub_subscription"'
            f" AND resource.labels.subscription_id = one_of({listed})"
            ' AND metric.type = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"',
            comparison="COMPARISON_GT",
            threshold_value=OLD_SECONDS,
            duration="0s",
            aggregations=[
                gcp.monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                    alignment_period="300s", per_series_aligner="ALIGN_MAX"
                )
            ],
        ),
    )


def _silent(args: StackArgs) -> gcp.monitoring.AlertPolicyConditionArgs:
    """No tick was answered well. Summed over revisions, of which a deployment makes another."""
    [poll] = [service for service in SERVICES if Caller.SCHEDULER in service.callers]
    return gcp.monitoring.AlertPolicyConditionArgs(
        display_name="no tick has ended well",
        condition_absent=gcp.monitoring.AlertPolicyConditionConditionAbsentArgs(
            filter='resource.type = "cloud_run_revision"'
            f' AND resource.labels.service_name = "{args.prefix}-{poll.name}"'
            ' AND metric.type = "run.googleapis.com/request_count" AND metric.labels.response_code_class = "2xx"',
            duration=f"{max(SILENCE_SECONDS, SILENT_TICKS * 60 * args.tick_minutes)}s",
            aggregations=[
                gcp.monitoring.AlertPolicyConditionConditionAbsentAggregationArgs(
                    alignment_period="60s",
                    per_series_aligner="ALIGN_DELTA",
                    cross_series_reducer="REDUCE_SUM",
                    group_by_fields=["resource.label.service_name"],
                )
            ],
        ),
    )


def _said(args: StackArgs) -> gcp.monitoring.AlertPolicyConditionArgs:
    """A line of severity ERROR; each message is an incident of its own."""
    return gcp.monitoring.AlertPolicyConditionArgs(
        display_name="a function logged an error",
        condition_matched_log=gcp.monitoring.AlertPolicyConditionConditionMatchedLogArgs(
            filter=f"{written_by_functions(args)} AND severity >= ERROR",
            label_extractors={"message": "EXTRACT(jsonPayload.message)"},
        ),
    )
