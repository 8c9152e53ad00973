"""Topics, push subscriptions with dead letters, and the bucket's notification.

Every subscription: OIDC caller, backoff 10 to 600 s, 100 attempts, then the dead-letter topic; 7 days of retention; it
never expires. A dead letter waits in a pull subscription of the same name, from which `batchdrop replay` takes it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from batchdrop.ports import Topic
from infra.config import StackConfig

PUSHED: Mapping[Topic, str] = {Topic.UPLOADS: "submit", Topic.SHARDS: "submit", Topic.BATCHES_FINISHED: "write"}
RETENTION = f"{7 * 24 * 3600}s"
ACK_SECONDS = 600
MAX_ATTEMPTS = 100


class Messaging(pulumi.ComponentResource):
    """The stack's topics; subscriptions follow when the functions exist."""

    def __init__(
        self, config: StackConfig, project_number: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ):
        """Make topics and dead-letter topics."""
        super().__init__("batchdrop:infra:Messaging", config.prefix, None, opts)
        self._config = config
        self._agent = pulumi.Output.format(
            "serviceAccount:service-{0}@gcp-sa-pubsub.iam.gserviceaccount.com", project_number
        )
        self.topics = {topic: self._topic(f"{config.prefix}-{topic}") for topic in Topic}
        self.dead = {topic: self._topic(f"{config.prefix}-{topic}-dead") for topic in PUSHED}
        self.register_outputs({})

    def notify_uploads(self, bucket: gcp.storage.Bucket, storage_agent: pulumi.Input[str]) -> None:
        """Announce every new object of a bucket on `uploads`."""
        granted = gcp.pubsub.TopicIAMMember(
            "storage-publishes-uploads",
            topic=self.topics[Topic.UPLOADS].name,
            role="roles/pubsub.publisher",
            member=pulumi.Output.concat("serviceAccount:", storage_agent),
            opts=pulumi.ResourceOptions(parent=self),
        )
        gcp.storage.Notification(
            f"{self._config.prefix}-uploads",
            bucket=bucket.name,
            topic=self.topics[Topic.UPLOADS].id,
            payload_format="JSON_API_V1",
            event_types=["OBJECT_FINALIZE"],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[granted]),
        )

    def push(self, endpoints: Mapping[str, pulumi.Output[str]], caller: pulumi.Output[str]) -> None:
        """Push each topic to its function, as the caller's account.

        Args:
            endpoints: The run.app address of each function; it is the audience of the token, too.
            caller: The e-mail address of the account whose token the pushes carry.
        """
        for topic, function in PUSHED.items():
            self._subscription(topic, endpoints[function], caller)

    def _subscription(self, topic: Topic, endpoint: pulumi.Output[str], caller: pulumi.Output[str]) -> None:
        name = f"{self._config.prefix}-{topic}"
        own = pulumi.ResourceOptions(parent=self)
        subscription = gcp.pubsub.Subscription(
            name,
            name=name,
            topic=self.topics[topic].id,
            ack_deadline_seconds=ACK_SECONDS,
            message_retention_duration=RETENTION,
            expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            retry_policy=gcp.pubsub.SubscriptionRetryPolicyArgs(minimum_backoff="10s", maximum_backoff="600s"),
            dead_letter_policy=gcp.pubsub.SubscriptionDeadLetterPolicyArgs(
                dead_letter_topic=self.dead[topic].id, max_delivery_attempts=MAX_ATTEMPTS
            ),
            push_config=gcp.pubsub.SubscriptionPushConfigArgs(
                push_endpoint=endpoint,
                oidc_token=gcp.pubsub.SubscriptionPushConfigOidcTokenArgs(
                    service_account_email=caller, audience=endpoint
                ),
            ),
            opts=own,
        )
        gcp.pubsub.SubscriptionIAMMember(
            f"pubsub-forwards-{topic}",
            subscription=subscription.name,
            role="roles/pubsub.subscriber",
            member=self._agent,
            opts=own,
        )
        self._dead_letters(topic, f"{name}-dead", own)

    def _dead_letters(self, topic: Topic, name: str, own: pulumi.ResourceOptions) -> None:
        """Keep what is given up on where it can be listed and replayed."""
        gcp.pubsub.Subscription(
            name,
            name=name,
            topic=self.dead[topic].id,
            ack_deadline_seconds=60,
            message_retention_duration=RETENTION,
            expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            opts=own,
        )
        gcp.pubsub.TopicIAMMember(
            f"pubsub-publishes-{topic}-dead",
            topic=self.dead[topic].name,
            role="roles/pubsub.publisher",
            member=self._agent,
            opts=own,
        )

    def _topic(self, name: str) -> gcp.pubsub.Topic:
        return gcp.pubsub.Topic(
            name,
            name=name,
            message_retention_duration=RETENTION,
            message_storage_policy=gcp.pubsub.TopicMessageStoragePolicyArgs(
                allowed_persistence_regions=[self._config.region]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
