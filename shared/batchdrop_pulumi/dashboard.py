"""The dashboard: jobs, rows, queue, age, spending, errors, messages, instances; pure data, then one resource.

Sums of log-based distributions are asked for in PromQL, the only language of Cloud Monitoring that has them: the metric
`logging.googleapis.com/user/P-cost` is `logging_googleapis_com:user_P_cost` there, with `_sum` and `_count`
(cloud.google.com/monitoring/promql/promql-mapping).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.metrics import ROWS
from batchdrop_pulumi.services import PUSHED, SERVICES

COLUMNS: Final = 12
TILE_WIDTH: Final = 6
TILE_HEIGHT: Final = 4
_RUN: Final = 'monitored_resource="cloud_run_revision"'


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its title and its lines, as legend and PromQL."""

    title: str
    lines: Sequence[tuple[str, str]]
    kind: str = "LINE"


def charts(prefix: str) -> list[Chart]:
    """Return the charts of a stack."""
    return [*_of_jobs(prefix), *_of_services(prefix)]


def _of_jobs(prefix: str) -> list[Chart]:
    """Return what the functions' own log lines say."""
    return [
        Chart(
            "Jobs by state",
            [
                (
                    "${labels.state} ${labels.verdict}",
                    f"sum by (state, verdict) ({_grown(prefix, 'jobs')})",
                )
            ],
            "STACKED_BAR",
        ),
        Chart(
            "Rows by outcome",
            [(what, f"sum({_grown(prefix, f'rows-{what}', '_sum')})") for what in ROWS],
            "STACKED_BAR",
        ),
        Chart(
            "Queue",
            [
                ("shards that wait", _mean(prefix, "queued")),
                ("shards at the provider", _mean(prefix, "in-flight")),
                ("held jobs", _mean(prefix, "held")),
            ],
        ),
        Chart(
            "Age of the oldest job (seconds)", [("oldest", _mean(prefix, "oldest-job"))]
        ),
        Chart(
            "Spent (USD)",
            [("${labels.model}", f"sum by (model) ({_grown(prefix, 'cost', '_sum')})")],
            "STACKED_BAR",
        ),
        Chart(
            "Errors and overdue jobs",
            [
                ("${labels.message}", f"sum by (message) ({_grown(prefix, 'faults')})"),
                ("overdue", _mean(prefix, "overdue")),
            ],
        ),
    ]


def _of_services(prefix: str) -> list[Chart]:
    """Return what Pub/Sub and Cloud Run count by themselves."""
    subscriptions = "|".join(f"{prefix}-{topic}" for topic in PUSHED)
    dead = "|".join(f"{prefix}-{topic}-dead" for topic in PUSHED)
    waiting = "pubsub_googleapis_com:subscription_num_undelivered_messages"
    services = "|".join(f"{prefix}-{service.name}" for service in SERVICES)
    run = f'increase(run_googleapis_com:request_count{{{_RUN},service_name=~"{services}"}}[${{__interval}}])'
    return [
        Chart(
            "Messages that wait",
            [
                (
                    "${labels.subscription_id}",
                    f'max by (subscription_id) ({waiting}{{subscription_id=~"{subscriptions}"}})',
                ),
                (
                    "${labels.subscription_id}",
                    f'max by (subscription_id) ({waiting}{{subscription_id=~"{dead}"}})',
                ),
            ],
        ),
        Chart(
            "Requests to the functions",
            [
                (
                    "${labels.service_name} ${labels.response_code_class}",
                    f"sum by (service_name, response_code_class) ({run})",
                )
            ],
        ),
    ]


def dashboard(prefix: str) -> dict[str, Any]:
    """Return the page in its service's form: cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards."""
    return {
        "displayName": f"Batchdrop {prefix}",
        "mosaicLayout": {
            "columns": COLUMNS,
            "tiles": [_tile(n, chart) for n, chart in enumerate(charts(prefix))],
        },
    }


def make_dashboard(
    name: str, args: StackArgs, opts: pulumi.ResourceOptions
) -> gcp.monitoring.Dashboard:
    """Make the stack's dashboard; it names metrics that need not have values yet."""
    body = dashboard(args.prefix) | {
        "labels": dict.fromkeys(
            [f"{key}:{value}" for key, value in args.labels.items()], ""
        )
    }
    return gcp.monitoring.Dashboard(
        f"{name}-dashboard",
        project=args.project,
        dashboard_json=json.dumps(body, sort_keys=True),
        opts=opts,
    )


def _tile(number: int, chart: Chart) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS // TILE_WIDTH)
    return {
        "xPos": column * TILE_WIDTH,
        "yPos": row * TILE_HEIGHT,
        "width": TILE_WIDTH,
        "height": TILE_HEIGHT,
        "widget": {
            "title": chart.title,
            "xyChart": {"dataSets": [_line(chart, *line) for line in chart.lines]},
        },
    }


def _line(chart: Chart, legend: str, query: str) -> dict[str, Any]:
    return {
        "plotType": chart.kind,
        "targetAxis": "Y1",
        "legendTemplate": legend,
        "timeSeriesQuery": {"prometheusQuery": query},
    }


def _series(prefix: str, metric: str, part: str = "") -> str:
    """Return a log-based metric's name in PromQL, of this stack's functions."""
    return f"logging_googleapis_com:user_{re.sub('[^a-z0-9]', '_', f'{prefix}-{metric}')}{part}"


def _grown(prefix: str, metric: str, part: str = "") -> str:
    return f"increase({_series(prefix, metric, part)}{{{_RUN}}}[${{__interval}}])"


def _mean(prefix: str, metric: str) -> str:
    """Return the mean of what ticks reported in an interval: exact, where a histogram's percentile is a guess."""
    return f"sum({_grown(prefix, metric, '_sum')}) / sum({_grown(prefix, metric, '_count')})"
