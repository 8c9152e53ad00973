"""What `pulumi stack output` shows: where to put uploads and find results, and how to use the command line."""

from __future__ import annotations

from typing import Any

import pulumi

from batchdrop_pulumi import Stack, StackArgs

CONSOLE = "https://console.cloud.google.com"


def outputs(args: StackArgs, stack: Stack) -> dict[str, pulumi.Input[Any]]:
    """Return the outputs by name."""
    return {
        "input_bucket": stack.input_bucket,
        "output_bucket": stack.output_bucket,
        "work_bucket": stack.work_bucket,
        "completed_topic": stack.completed_topic,
        "service_accounts": stack.service_accounts,
        "upload": pulumi.Output.format(
            "gcloud storage cp requests.jsonl gs://{0}/my-team/", stack.input_bucket
        ),
        "console_input": pulumi.Output.format(
            "{0}/storage/browser/{1}", CONSOLE, stack.input_bucket
        ),
        "console_output": pulumi.Output.format(
            "{0}/storage/browser/{1}", CONSOLE, stack.output_bucket
        ),
        "console_logs": f"{CONSOLE}/run?project={args.project}",
        "console_dashboard": stack.dashboard.apply(
            lambda path: _page(args.project, path)
        ),
        "environment": pulumi.Output.format(
            "export BATCHDROP_PROJECT={0} BATCHDROP_DATABASE={1} BATCHDROP_TOPIC_PREFIX={2} "
            "BATCHDROP_INPUT_BUCKET={3} BATCHDROP_WORK_BUCKET={4} BATCHDROP_OUTPUT_BUCKET={5}",
            args.project,
            stack.database,
            args.prefix,
            stack.input_bucket,
            stack.work_bucket,
            stack.output_bucket,
        ),
    }


def _page(project: str, dashboard: str) -> str:
    """Return the address of a dashboard, whose path ends in its id."""
    return f"{CONSOLE}/monitoring/dashboards/builder/{dashboard.rpartition('/')[2]}?project={project}"
