"""Log-based metrics: numbers read out of the functions' log lines, for the dashboard.

No alert is made on them: a metric that was made a moment ago is unknown to Cloud Monitoring for up to ten minutes, and
a policy that names it is refused (hashicorp/terraform-provider-google issue 11102). Labels are states and messages; a
label for teams or jobs would make a time series of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_gcp as gcp

from batchdrop.core.logs import JOB_ENDED, OUTCOME_PREFIX, TICK
from batchdrop.core.result.outcome import Outcome
from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.services import SERVICES


@dataclass(frozen=True, slots=True)
class LogMetric:
    """A metric: which lines, which of their fields are labels, which one is the value; without one, lines count."""

    name: str
    condition: str
    unit: str
    description: str
    value: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Label -> the field of a log line."""


_TICK: Final = f'jsonPayload.message = "{TICK}"'
_ENDED: Final = f'jsonPayload.message = "{JOB_ENDED}"'
_ERROR: Final = "severity >= ERROR"

ROWS: Final = {outcome.value: f"{OUTCOME_PREFIX}{outcome}" for outcome in Outcome} | {
    "rejected": "rejections"
}
"""What becomes of a line -> the field that counts it."""
METRICS: Final = (
    LogMetric(
        "jobs",
        _ENDED,
        "1",
        "Jobs that ended",
        labels={"state": "state", "verdict": "verdict"},
    ),
    *(
        LogMetric(f"rows-{what}", _ENDED, "1", f"Rows of a job: {what}", value=field)
        for what, field in ROWS.items()
    ),
    LogMetric(
        "cost",
        _ENDED,
        "USD",
        "What a job cost, if prices are known",
        value="cost_usd",
        labels={"model": "model"},
    ),
    LogMetric("queued", _TICK, "1", "Shards that wait for capacity", value="queued"),
    LogMetric("in-flight", _TICK, "1", "Shards at the provider", value="in_flight"),
    LogMetric(
        "held", _TICK, "1", "Jobs that wait for a person or a recipe", value="held"
    ),
    LogMetric("overdue", _TICK, "1", "Jobs past their deadline", value="overdue"),
    LogMetric(
        "oldest-job",
        _TICK,
        "s",
        "Age of the oldest job that has not ended",
        value="oldest_job_seconds",
    ),
    LogMetric(
        "faults",
        _ERROR,
        "1",
        "Log lines that a person should read",
        labels={"message": "message"},
    ),
)
"""Their fields are those that `batchdrop.core.logs` promises."""


def written_by_functions(args: StackArgs) -> str:
    """Return the filter of what this stack's functions write themselves.

    Cloud Run's own request log is left out: there an ordinary 503, "deliver it again", is an error.
    """
    names = " OR ".join(f'"{args.prefix}-{service.name}"' for service in SERVICES)
    return (
        'resource.type = "cloud_run_revision" AND log_id("run.googleapis.com/stdout")'
        f" AND resource.labels.service_name = ({names})"
    )


class Metrics(pulumi.ComponentResource):
    """The log-based metrics of a stack."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make them."""
        super().__init__("batchdrop:index:Metrics", f"{name}-metrics", None, opts)
        self._stem, self._args = name, args
        self.metrics = [self._metric(metric) for metric in METRICS]
        self.register_outputs({})

    def _metric(self, metric: LogMetric) -> gcp.logging.Metric:
        args = self._args
        return gcp.logging.Metric(
            f"{self._stem}-{metric.name}",
            name=f"{args.prefix}-{metric.name}",
            project=args.project,
            description=metric.description,
            filter=f"{written_by_functions(args)} AND {_present(metric)}",
            metric_descriptor=_descriptor(metric),
            value_extractor=f"EXTRACT(jsonPayload.{metric.value})"
            if metric.value
            else None,
            label_extractors={
                label: f"EXTRACT(jsonPayload.{place})"
                for label, place in metric.labels.items()
            },
            bucket_options=_buckets() if metric.value else None,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _present(metric: LogMetric) -> str:
    """Take only lines that have the value: a cost is unknown when a price is."""
    return (
        f"{metric.condition} AND jsonPayload.{metric.value} >= 0"
        if metric.value
        else metric.condition
    )


def _descriptor(metric: LogMetric) -> gcp.logging.MetricMetricDescriptorArgs:
    return gcp.logging.MetricMetricDescriptorArgs(
        metric_kind="DELTA",
        value_type="DISTRIBUTION" if metric.value else "INT64",
        unit=metric.unit,
        display_name=metric.description,
        labels=[
            gcp.logging.MetricMetricDescriptorLabelArgs(key=key, value_type="STRING")
            for key in metric.labels
        ],
    )


def _buckets() -> gcp.logging.MetricBucketOptionsArgs:
    """Bound the histogram; charts use sums and means, which are exact whatever the bounds are."""
    return gcp.logging.MetricBucketOptionsArgs(
        exponential_buckets=gcp.logging.MetricBucketOptionsExponentialBucketsArgs(
            num_finite_buckets=40, growth_factor=2, scale=0.001
        )
    )
