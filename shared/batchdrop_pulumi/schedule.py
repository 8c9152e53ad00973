"""The clock: Cloud Scheduler calls the function that is not pushed to."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.arguments import StackArgs

TICK_SECONDS = 300
"""How long Scheduler waits for `poll`, whose own budget is 240 s."""


def call_by_the_clock(
    name: str,
    args: StackArgs,
    service: str,
    address: pulumi.Output[str],
    caller: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> gcp.cloudscheduler.Job:
    """Call a function every `tick_minutes`; a tick that failed is not repeated, the next one comes soon."""
    return gcp.cloudscheduler.Job(
        f"{name}-{service}",
        name=f"{args.prefix}-{service}",
        project=args.project,
        region=args.region,
        schedule=f"*/{args.tick_minutes} * * * *"
        if args.tick_minutes > 1
        else "* * * * *",
        time_zone="Etc/UTC",
        attempt_deadline=f"{TICK_SECONDS}s",
        retry_config=gcp.cloudscheduler.JobRetryConfigArgs(retry_count=0),
        http_target=gcp.cloudscheduler.JobHttpTargetArgs(
            http_method="POST",
            uri=address,
            oidc_token=gcp.cloudscheduler.JobHttpTargetOidcTokenArgs(
                service_account_email=caller, audience=address
            ),
        ),
        opts=opts,
    )
