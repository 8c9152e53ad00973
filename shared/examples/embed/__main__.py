"""A program of a team: Batchdrop embedded, with a provider of the team's own, and a subscriber to what went wrong.

pip install 'batchdrop[pulumi]'
pulumi stack init dev && pulumi config set gcp:project MY-PROJECT && pulumi config set --secret gemini_api_key KEY
pulumi up
gcloud pubsub subscriptions pull reviews-unfinished --auto-ack      # after a job that ended without all its rows
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi import Stack, StackArgs

REGION = "europe-west1"
LABELS = {"team": "reviews"}
UNFINISHED = 'attributes.state != "DONE" OR attributes.verdict = "partial"'
"""A subscriber hears only what it asks for, by state, verdict, bucket, object, job_id, team and label-*."""

project = pulumi.Config("gcp").require("project")
provider = gcp.Provider("reviews", project=project, region=REGION)

drop = Stack(
    "reviews",
    StackArgs(
        project=project,
        region=REGION,
        api_key=pulumi.Config().require_secret("gemini_api_key"),
        prefix="reviews",
        labels=LABELS,
        uploaders=("group:reviews@example.com",),
        settings={"budgets": {"stack": 50}},
    ),
    pulumi.ResourceOptions(provider=provider),
)

unfinished = gcp.pubsub.Subscription(
    "reviews-unfinished",
    name="reviews-unfinished",
    topic=drop.completed_topic,
    filter=UNFINISHED,
    labels=LABELS,
    message_retention_duration=f"{7 * 24 * 3600}s",
    expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
    opts=pulumi.ResourceOptions(provider=provider),
)

pulumi.export("upload_to", pulumi.Output.format("gs://{0}/", drop.input_bucket))
pulumi.export("results_in", pulumi.Output.format("gs://{0}/", drop.output_bucket))
pulumi.export("unfinished", unfinished.name)
