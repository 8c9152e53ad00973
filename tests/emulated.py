"""The adapters of the cloud, driven in turn: Google's Firestore and Pub/Sub emulators and our Cloud Storage server.

A test has a project of its own on Google's emulators, so nothing need be emptied. Subscriptions are pulled, one
message after another: the queue knows how many it published, so a pull waits exactly while a message is on its way.
"""

# The Google clients are partly untyped.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from batchdrop.adapters.cloud.firestore import FirestoreDocuments
from batchdrop.adapters.cloud.gcs import GcsObjects
from batchdrop.adapters.cloud.pubsub import PubSubTopics
from batchdrop.adapters.local.sqlite_topics import Leased
from batchdrop.ports import Topic
from batchdrop_local.emulators.storage.server import GcsServer
from batchdrop_local.stack.pubsub_setup import set_up

PREFIX: Final = "test"
PUSHED: Final = (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.LOOKS)
PULL_SECONDS = 20.0


class PulledTopics(PubSubTopics):
    """Pub/Sub with a queue's ends: what was published is leased, acknowledged or given back by the test."""

    def __init__(self, project: str) -> None:
        """Make the topics and subscriptions as `infra/` names them, without a push endpoint."""
        super().__init__(project, PREFIX)
        set_up(project, PREFIX, dict.fromkeys(PUSHED, ""))
        self._coming: dict[Topic, set[str]] = {topic: set() for topic in Topic}
        self._given_back = Counter[Topic]()
        self._handles: dict[int, str] = {}
        self._completed: list[Leased] = []
        self.others_publish = False
        """Set by a test in which messages come from elsewhere, too: every lease looks at the subscription."""
        path = self.topic_path(Topic.JOBS_COMPLETED)
        self.subscriber.create_subscription(name=self._subscription(Topic.JOBS_COMPLETED), topic=path)

    def publish(self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        """Publish, and remember that a message is coming."""
        message_id = super().publish(topic, data, attributes)
        self._coming[topic].add(message_id)
        return message_id

    def lease(self, topic: Topic, seconds: float) -> Leased | None:
        """Pull one message; wait for it when one is on its way, else look once for those given back.

        The subscription says for how long, `seconds` does not.
        """
        del seconds
        if not (self._coming[topic] or self._given_back[topic] or self.others_publish):
            return None
        answer: Any = self.subscriber.pull(
            subscription=self._subscription(topic),
            max_messages=1,
            return_immediately=not self._coming[topic],
            timeout=PULL_SECONDS,
        )
        for entry in answer.received_messages:
            message = entry.message
            if message.message_id in self._coming[topic]:
                self._coming[topic].remove(message.message_id)
            elif self._given_back[topic]:
                self._given_back[topic] -= 1
            found = int(message.message_id)
            self._handles[found] = entry.ack_id
            attempt = entry.delivery_attempt or 1
            return Leased(found, topic, message.data, dict(message.attributes), message.publish_time, attempt)
        return None

    def ack(self, message: Leased) -> None:
        """Take the message as done."""
        handle = self._handles.pop(message.id)
        self.subscriber.acknowledge(subscription=self._subscription(message.topic), ack_ids=[handle])

    def nack(self, message: Leased) -> None:
        """Give the message back; the subscription lets it come again after a pause."""
        self._given_back[message.topic] += 1
        self.subscriber.modify_ack_deadline(
            subscription=self._subscription(message.topic),
            ack_ids=[self._handles.pop(message.id)],
            ack_deadline_seconds=0,
        )

    def messages(self, topic: Topic) -> list[Leased]:
        """Return all messages about ended jobs, oldest first."""
        assert topic is Topic.JOBS_COMPLETED
        while self._coming[topic]:
            message = self.lease(topic, PULL_SECONDS)
            if message is not None:
                self.ack(message)
                self._completed.append(message)
        return sorted(self._completed, key=lambda message: message.id)

    def close(self) -> None:
        """End the clients' connections."""
        self.publisher.stop()
        self.publisher.transport.close()
        self.subscriber.close()

    def _subscription(self, topic: Topic) -> str:
        return self.topic_path(topic).replace("/topics/", "/subscriptions/")


@dataclass(frozen=True, slots=True)
class Emulated:
    """The ports of one project; the storage server dates objects by the clock of the stack that uses it."""

    server: GcsServer
    objects: GcsObjects
    documents: FirestoreDocuments
    topics: PulledTopics

    def close(self) -> None:
        """End the clients' connections."""
        self.topics.close()
        self.documents.client.close()
        self.objects.client.close()


def emulated(project: str, server: GcsServer) -> Emulated:
    """Return the ports of a new project; the environment names the emulators."""
    return Emulated(server, GcsObjects(project), FirestoreDocuments(project), PulledTopics(project))
