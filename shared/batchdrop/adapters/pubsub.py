"""Topics in Pub/Sub: `<prefix>-<topic>`, its dead letters in the pull subscription `<prefix>-<topic>-dead`.

A message is published by one call of the API, not by the client's batches: those add 10 ms to each call (measured
13 ms against 1.5 ms on the emulator) and cannot send an attribute that has the name of one of their own arguments.
"""

# The Google clients are partly untyped.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from batchdrop.adapters.refusing import check_message
from batchdrop.core.errors import PermanentError, TransientError
from batchdrop.ports import DeadLetter, Topic

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

TIMEOUT_SECONDS: Final = 30.0
_ADDED: Final = "CloudPubSubDeadLetterSource"
"""Attributes Pub/Sub adds to a dead letter (cloud.google.com/pubsub/docs/dead-letter-topics)."""


class PubSubTopics:
    """A Topics port on one project's topics of one prefix. Clients are made when first needed."""

    def __init__(self, project: str, prefix: str) -> None:
        """Open nothing yet."""
        self._project = project
        self._prefix = prefix

    @cached_property
    def publisher(self) -> PublisherClient:
        """The publisher; it honours PUBSUB_EMULATOR_HOST by itself."""
        from google.cloud.pubsub_v1 import PublisherClient

        return PublisherClient()

    @cached_property
    def subscriber(self) -> SubscriberClient:
        """The subscriber, for dead letters only."""
        from google.cloud.pubsub_v1 import SubscriberClient

        return SubscriberClient()

    def publish(self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        """Return the message id once the broker has stored the message."""
        check_message(data, attributes or {})
        from google.pubsub_v1 import PublisherClient, PubsubMessage

        message = PubsubMessage(data=data, attributes=dict(attributes or {}))
        with _translated():
            answer = PublisherClient.publish(
                self.publisher, topic=self.topic_path(topic), messages=[message], timeout=TIMEOUT_SECONDS
            )
        return answer.message_ids[0]

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """List dead letters of every topic; they are given back at once and not consumed."""
        found: list[DeadLetter] = []
        for topic in (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED):
            path = self._dead_path(topic)
            with _translated():
                answer: Any = self.subscriber.pull(
                    subscription=path, max_messages=limit, timeout=TIMEOUT_SECONDS, return_immediately=True
                )
                handles = [entry.ack_id for entry in answer.received_messages]
                if handles:
                    self.subscriber.modify_ack_deadline(
                        subscription=path, ack_ids=handles, ack_deadline_seconds=0, timeout=TIMEOUT_SECONDS
                    )
            found += [_letter(topic, entry) for entry in answer.received_messages]
        return found[:limit]

    def replay(self, letter: DeadLetter) -> str:
        """Publish a dead letter again on its own topic, then remove it; duplicates are possible.

        The handle of a letter that was given back still acknowledges it, unless it was pulled again meanwhile.
        """
        message_id = self.publish(letter.topic, letter.data, letter.attributes)
        with _translated():
            self.subscriber.acknowledge(
                subscription=self._dead_path(letter.topic), ack_ids=[letter.handle], timeout=TIMEOUT_SECONDS
            )
        return message_id

    def topic_path(self, topic: Topic) -> str:
        """Return a topic's full name."""
        return f"projects/{self._project}/topics/{self._prefix}-{topic}"

    def _dead_path(self, topic: Topic) -> str:
        return f"projects/{self._project}/subscriptions/{self._prefix}-{topic}-dead"


@contextmanager
def _translated() -> Generator[None]:
    from google.api_core import exceptions

    try:
        yield
    except exceptions.DeadlineExceeded:
        raise TransientError("Pub/Sub did not answer in time", code="TOPICS_TIMEOUT") from None
    except (exceptions.InvalidArgument, exceptions.OutOfRange, ValueError):
        raise PermanentError("Pub/Sub does not take this message", code="MESSAGE_REFUSED") from None
    except (exceptions.GoogleAPICallError, exceptions.RetryError):
        raise TransientError("Pub/Sub could not be reached", code="TOPICS_UNAVAILABLE") from None


def _letter(topic: Topic, entry: Any) -> DeadLetter:
    message = entry.message
    attributes = {name: value for name, value in message.attributes.items() if not name.startswith(_ADDED)}
    return DeadLetter(entry.ack_id, topic, message.message_id, message.publish_time, message.data, attributes)
