"""Topics and subscriptions on the Pub/Sub emulator, named and set up as `infra/` does it in the cloud.

A dead-lettered message goes to `<prefix>-<topic>-dead`, and waits in the pull subscription of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.protobuf.duration_pb2 import Duration

from batchdrop.ports import Topic

ACK_SECONDS = 600
MAX_ATTEMPTS = 100


def set_up(
    project: str,
    prefix: str,
    endpoints: Mapping[Topic, str],
    *,
    min_backoff_seconds: int = 1,
) -> None:
    """Create every topic, push subscription and dead-letter subscription.

    Args:
        project: The project's id.
        prefix: What topic names begin with.
        endpoints: Where each topic's messages are pushed.
        min_backoff_seconds: The first pause after a nack (10 in the cloud).
    """
    with PublisherClient() as publisher, SubscriberClient() as subscriber:
        for topic in Topic:
            publisher.create_topic(name=_topic(project, prefix, topic))
        for topic, endpoint in endpoints.items():
            dead = f"{_topic(project, prefix, topic)}-dead"
            publisher.create_topic(name=dead)
            subscriber.create_subscription(
                name=dead.replace("/topics/", "/subscriptions/"),
                topic=dead,
                ack_deadline_seconds=60,
            )
            request: dict[str, Any] = {
                "name": _topic(project, prefix, topic).replace(
                    "/topics/", "/subscriptions/"
                ),
                "topic": _topic(project, prefix, topic),
                "push_config": {"push_endpoint": endpoint},
                "ack_deadline_seconds": ACK_SECONDS,
                "retry_policy": {
                    "minimum_backoff": Duration(seconds=min_backoff_seconds),
                    "maximum_backoff": Duration(seconds=600),
                },
                "dead_letter_policy": {
                    "dead_letter_topic": dead,
                    "max_delivery_attempts": MAX_ATTEMPTS,
                },
            }
            subscriber.create_subscription(request=request)


def _topic(project: str, prefix: str, topic: Topic) -> str:
    return f"projects/{project}/topics/{prefix}-{topic}"
