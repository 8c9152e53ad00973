"""What a person must look at: dead letters, old unacknowledged messages, errors in the functions' logs."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from infra.config import StackConfig

OLD_SECONDS = 2 * 3600


class Alerts(pulumi.ComponentResource):
    """Alert policies, by e-mail if the configuration names an address."""

    def __init__(self, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them."""
        super().__init__("batchdrop:infra:Alerts", config.prefix, None, opts)
        self._config = config
        self._channels = self._email()
        prefix = config.prefix
        pubsub = 'resource.type = "pubsub_subscription"'
        self._policy(
            "dead-letters",
            f'{pubsub} AND resource.labels.subscription_id = monitoring.regex.full_match("{prefix}-.*-dead")'
            ' AND metric.type = "pubsub.googleapis.com/subscription/num_undelivered_messages"',
            threshold=0,
            text="Messages were given up. Look at them with `batchdrop replay --dry-run`, then deliver them again.",
        )
        self._policy(
            "old-messages",
            f'{pubsub} AND resource.labels.subscription_id = monitoring.regex.full_match("{prefix}-[a-z-]*[^d]")'
            ' AND metric.type = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"',
            threshold=OLD_SECONDS,
            text="A message has waited for hours. Look at the function's log.",
        )
        metric = self._error_metric()
        self._policy(
            "errors",
            metric.name.apply(
                lambda name: (
                    f'resource.type = "cloud_run_revision" AND metric.type = "logging.googleapis.com/user/{name}"'
                )
            ),
            threshold=0,
            text="A function logged an error: an orphan batch, an unknown state, or a record given up.",
        )
        self._overdue()
        self.register_outputs({})

    def _email(self) -> list[pulumi.Output[str]]:
        if not self._config.alert_email:
            return []
        channel = gcp.monitoring.NotificationChannel(
            f"{self._config.prefix}-email",
            type="email",
            labels={"email_address": self._config.alert_email},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [channel.name]

    def _error_metric(self) -> gcp.logging.Metric:
        return self._metric("errors", "severity >= ERROR")

    def _overdue(self) -> None:
        """Jobs past their deadline: `poll` says so in its log."""
        metric = self._metric("overdue", 'jsonPayload.message = "job is overdue"')
        self._policy(
            "old-jobs",
            metric.name.apply(
                lambda name: (
                    f'resource.type = "cloud_run_revision" AND metric.type = "logging.googleapis.com/user/{name}"'
                )
            ),
            threshold=0,
            text="A job is past its deadline and has not ended. Look at it with `batchdrop status`.",
        )

    def _metric(self, name: str, condition: str) -> gcp.logging.Metric:
        prefix = self._config.prefix
        services = f'resource.labels.service_name =~ "^{prefix}-(submit|poll|write)$"'
        return gcp.logging.Metric(
            f"{prefix}-{name}",
            name=f"{prefix}-{name}",
            filter=f'resource.type = "cloud_run_revision" AND {services} AND {condition}',
            metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(metric_kind="DELTA", value_type="INT64"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _policy(self, name: str, filter: pulumi.Input[str], *, threshold: float, text: str) -> None:
        condition = gcp.monitoring.AlertPolicyConditionArgs(
            display_name=name,
            condition_threshold=gcp.monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=filter,
                comparison="COMPARISON_GT",
                threshold_value=threshold,
                duration="0s",
                aggregations=[
                    gcp.monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                        alignment_period="300s", per_series_aligner="ALIGN_MAX" if "messages" in name else "ALIGN_DELTA"
                    )
                ],
            ),
        )
        gcp.monitoring.AlertPolicy(
            f"{self._config.prefix}-{name}",
            display_name=f"Batchdrop {self._config.prefix}: {name}",
            combiner="OR",
            conditions=[condition],
            notification_channels=self._channels,
            documentation=gcp.monitoring.AlertPolicyDocumentationArgs(content=text, mime_type="text/markdown"),
            opts=pulumi.ResourceOptions(parent=self),
        )
