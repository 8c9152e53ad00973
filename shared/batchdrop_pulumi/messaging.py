"""Topics, push subscriptions with dead letters, and the bucket's notification.

Every subscription: OIDC caller, backoff 10 to 600 s, 100 attempts, then the dead-letter topic; 7 days of retention; it
never expires. A dead letter waits in a pull subscription of the same name, from which `batchdrop replay` takes it.
The notification comes last: nothing is announced before somebody listens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_gcp as gcp

from batchdrop.core.limits import limit
from batchdrop.ports import Topic
from batchdrop_pulumi.arguments import DAY, StackArgs
from batchdrop_pulumi.services import PUSHED

RETENTION = f"{7 * DAY}s"
MAX_ATTEMPTS = 100
DEAD_ACK_SECONDS = 60


class Topics(pulumi.ComponentResource):
    """The stack's topics, and one for the dead letters of each that is pushed."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make them."""
        super().__init__("batchdrop:index:Topics", f"{name}-topics", None, opts)
        self._stem, self._args = name, args
        self.live = {topic: self._topic(topic.value) for topic in Topic}
        self.dead = {topic: self._topic(f"{topic}-dead") for topic in PUSHED}
        self.register_outputs({})

    def _topic(self, what: str) -> gcp.pubsub.Topic:
        args = self._args
        return gcp.pubsub.Topic(
            f"{self._stem}-{what}",
            name=f"{args.prefix}-{what}",
            project=args.project,
            labels=args.labels,
            message_retention_duration=RETENTION,
            message_storage_policy=gcp.pubsub.TopicMessageStoragePolicyArgs(
                allowed_persistence_regions=[args.region]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


class Subscriptions(pulumi.ComponentResource):
    """Who is pushed to, and where dead letters wait."""

    def __init__(
        self,
        name: str,
        args: StackArgs,
        topics: Topics,
        endpoints: Mapping[Topic, pulumi.Output[str]],
        caller: pulumi.Output[str],
        agent: pulumi.Output[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Make them.

        Args:
            name: Begins the names of the resources.
            args: What the program chose.
            topics: The topics.
            endpoints: The run.app address each topic is pushed to; it is the audience of the token, too.
            caller: The e-mail address of the account whose token the pushes carry.
            agent: Pub/Sub's service agent, which forwards dead letters.
            opts: The parent, and what must be there first.
        """
        super().__init__(
            "batchdrop:index:Subscriptions", f"{name}-subscriptions", None, opts
        )
        self._stem, self._args, self._topics, self._agent = name, args, topics, agent
        self._own = pulumi.ResourceOptions(parent=self)
        self.dead = {topic: self._dead_letters(topic) for topic in endpoints}
        self.live = {
            topic: self._pushed(topic, endpoint, caller)
            for topic, endpoint in endpoints.items()
        }
        self.register_outputs({})

    def _pushed(
        self, topic: Topic, endpoint: pulumi.Output[str], caller: pulumi.Output[str]
    ) -> gcp.pubsub.Subscription:
        args = self._args
        subscription = gcp.pubsub.Subscription(
            f"{self._stem}-{topic}",
            name=f"{args.prefix}-{topic}",
            project=args.project,
            labels=args.labels,
            topic=self._topics.live[topic].id,
            ack_deadline_seconds=limit("push_deadline"),
            message_retention_duration=RETENTION,
            expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            retry_policy=gcp.pubsub.SubscriptionRetryPolicyArgs(
                minimum_backoff="10s", maximum_backoff="600s"
            ),
            dead_letter_policy=gcp.pubsub.SubscriptionDeadLetterPolicyArgs(
                dead_letter_topic=self._topics.dead[topic].id,
                max_delivery_attempts=MAX_ATTEMPTS,
            ),
            push_config=gcp.pubsub.SubscriptionPushConfigArgs(
                push_endpoint=endpoint,
                oidc_token=gcp.pubsub.SubscriptionPushConfigOidcTokenArgs(
                    service_account_email=caller, audience=endpoint
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.dead[topic]]),
        )
        gcp.pubsub.SubscriptionIAMMember(
            f"{self._stem}-pubsub-forwards-{topic}",
            project=args.project,
            subscription=subscription.name,
            role="roles/pubsub.subscriber",
            member=self._agent,
            opts=self._own,
        )
        return subscription

    def _dead_letters(self, topic: Topic) -> gcp.pubsub.Subscription:
        """Keep what is given up on where it can be listed and replayed."""
        args, dead = self._args, self._topics.dead[topic]
        gcp.pubsub.TopicIAMMember(
            f"{self._stem}-pubsub-publishes-{topic}-dead",
            project=args.project,
            topic=dead.name,
            role="roles/pubsub.publisher",
            member=self._agent,
            opts=self._own,
        )
        return gcp.pubsub.Subscription(
            f"{self._stem}-{topic}-dead",
            name=f"{args.prefix}-{topic}-dead",
            project=args.project,
            labels=args.labels,
            topic=dead.id,
            ack_deadline_seconds=DEAD_ACK_SECONDS,
            message_retention_duration=RETENTION,
            expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            opts=self._own,
        )


def announce_uploads(
    name: str,
    args: StackArgs,
    bucket: gcp.storage.Bucket,
    topic: gcp.pubsub.Topic,
    agent: pulumi.Output[str],
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
) -> None:
    """Announce every new object of a bucket on a topic, once all of `after` is there to take it."""
    granted = gcp.pubsub.TopicIAMMember(
        f"{name}-storage-publishes-uploads",
        project=args.project,
        topic=topic.name,
        role="roles/pubsub.publisher",
        member=agent,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    gcp.storage.Notification(
        f"{name}-uploads",
        bucket=bucket.name,
        topic=topic.id,
        payload_format="JSON_API_V1",
        event_types=["OBJECT_FINALIZE"],
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[granted, *after]),
    )
