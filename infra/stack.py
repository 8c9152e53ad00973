"""The whole stack, in the order its parts need one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pulumi_gcp as gcp

from batchdrop.ports import Topic
from infra.alerts import Alerts
from infra.buckets import Buckets
from infra.config import StackConfig
from infra.database import Database
from infra.functions import Functions
from infra.identities import Identities
from infra.messaging import Messaging

APIS = (
    "artifactregistry",
    "cloudbuild",
    "cloudfunctions",
    "cloudscheduler",
    "firestore",
    "generativelanguage",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "secretmanager",
    "storage",
)
TICK_SECONDS = 300
"""How long Scheduler waits for `poll`, whose own budget is 240 s."""


def deploy(config: StackConfig, root: Path) -> dict[str, pulumi.Input[Any]]:
    """Declare every resource; return the stack's outputs."""
    provider = gcp.Provider("gcp", project=config.project, region=config.region)
    providers = pulumi.ResourceOptions(providers={"gcp": provider})
    apis = _apis(config, provider)
    after = pulumi.ResourceOptions.merge(providers, pulumi.ResourceOptions(depends_on=apis))
    invoke = pulumi.InvokeOptions(provider=provider)
    project = gcp.organizations.get_project_output(project_id=config.project, opts=invoke)
    agent = gcp.storage.get_project_service_account_output(project=config.project, opts=invoke)

    buckets = Buckets(config, after)
    database = Database(config, after)
    identities = Identities(config, after)
    messaging = Messaging(config, project.number, after)
    secret = _secret(config, provider, apis)

    identities.may_use_buckets(
        {"input": buckets.input, "work": buckets.work, "output": buckets.output, "source": buckets.source}
    )
    identities.may_attach()
    identities.may_report(buckets.output)
    identities.may_publish(messaging.topics)
    identities.may_use_database(database.name)
    granted = identities.may_read_secret(secret)
    version = gcp.secretmanager.SecretVersion(
        f"{config.prefix}-gemini-key-version",
        secret=secret.id,
        secret_data=config.api_key,
        opts=pulumi.ResourceOptions(provider=provider),
    )
    functions = Functions(config, root, buckets, identities, database.name, version, granted, after)

    identities.may_invoke("push", "submit", functions.service("submit"))
    identities.may_invoke("push", "write", functions.service("write"))
    identities.may_invoke("scheduler", "poll", functions.service("poll"))
    messaging.push({name: functions.address(name) for name in ("submit", "write")}, identities.accounts["push"].email)
    messaging.notify_uploads(buckets.input, agent.email_address)
    _schedule(config, functions, identities, provider)
    Alerts(config, after)
    return _outputs(config, buckets, messaging)


def _apis(config: StackConfig, provider: gcp.Provider) -> list[pulumi.Resource]:
    return [
        gcp.projects.Service(
            name,
            project=config.project,
            service=f"{name}.googleapis.com",
            disable_on_destroy=False,
            opts=pulumi.ResourceOptions(provider=provider),
        )
        for name in APIS
    ]


def _secret(config: StackConfig, provider: gcp.Provider, apis: list[pulumi.Resource]) -> gcp.secretmanager.Secret:
    return gcp.secretmanager.Secret(
        f"{config.prefix}-gemini-key",
        secret_id=f"{config.prefix}-gemini-key",
        replication=gcp.secretmanager.SecretReplicationArgs(
            user_managed=gcp.secretmanager.SecretReplicationUserManagedArgs(
                replicas=[gcp.secretmanager.SecretReplicationUserManagedReplicaArgs(location=config.region)]
            )
        ),
        opts=pulumi.ResourceOptions(provider=provider, depends_on=apis),
    )


def _schedule(config: StackConfig, functions: Functions, identities: Identities, provider: gcp.Provider) -> None:
    """Call `poll` by the clock; a tick that failed is not repeated, the next one comes soon."""
    gcp.cloudscheduler.Job(
        f"{config.prefix}-poll",
        name=f"{config.prefix}-poll",
        region=config.region,
        schedule=config.schedule,
        time_zone="Etc/UTC",
        attempt_deadline=f"{TICK_SECONDS}s",
        retry_config=gcp.cloudscheduler.JobRetryConfigArgs(retry_count=0),
        http_target=gcp.cloudscheduler.JobHttpTargetArgs(
            http_method="POST",
            uri=functions.address("poll"),
            oidc_token=gcp.cloudscheduler.JobHttpTargetOidcTokenArgs(
                service_account_email=identities.accounts["scheduler"].email, audience=functions.address("poll")
            ),
        ),
        opts=pulumi.ResourceOptions(provider=provider),
    )


def _outputs(config: StackConfig, buckets: Buckets, messaging: Messaging) -> dict[str, pulumi.Input[Any]]:
    console = "https://console.cloud.google.com"
    return {
        "input_bucket": buckets.input.name,
        "output_bucket": buckets.output.name,
        "work_bucket": buckets.work.name,
        "completed_topic": messaging.topics[Topic.JOBS_COMPLETED].id,
        "upload": pulumi.Output.format("gcloud storage cp requests.jsonl gs://{0}/my-team/", buckets.input.name),
        "console_input": pulumi.Output.format("{0}/storage/browser/{1}", console, buckets.input.name),
        "console_output": pulumi.Output.format("{0}/storage/browser/{1}", console, buckets.output.name),
        "console_logs": f"{console}/run?project={config.project}",
        "environment": pulumi.Output.format(
            "export BATCHDROP_PROJECT={0} BATCHDROP_DATABASE={1} BATCHDROP_TOPIC_PREFIX={1} "
            "BATCHDROP_INPUT_BUCKET={2} BATCHDROP_WORK_BUCKET={3} BATCHDROP_OUTPUT_BUCKET={4}",
            config.project,
            config.prefix,
            buckets.input.name,
            buckets.work.name,
            buckets.output.name,
        ),
    }
