"""Topics in Pub/Sub: `<prefix>-<topic>`, its dead letters in the pull subscription `<prefix>-<topic>-dead`.

A message is published by one call of the API, not by the client's batches: those add 10 ms to each call (measured
13 ms against 1.5 ms on the emulator) and cannot send an attribute that has the name of one of their own arguments.
"""

# The Google clients are partly untyped.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from batchdrop.adapters.reaching import reached
from batchdrop.adapters.refusing import check_message
from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError, TransientError
from batchdrop.ports import DeadLetter, Topic

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1 import ReceivedMessage as Pulled

TIMEOUT_SECONDS: Final = 30.0
PULL_SECONDS: Final = 4.0
EMPTY_ANSWERS: Final = 2
"""An answer may hold fewer messages than there are, also none (cloud.google.com/pubsub/docs/pull)."""
PULLED_AT_ONCE: Final = 100
LEASE_SECONDS: Final = 60
_PUSHED: Final = (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.LOOKS)
_ADDED: Final = "CloudPubSubDeadLetterSource"
"""Attributes Pub/Sub adds to a dead letter (cloud.google.com/pubsub/docs/dead-letter-topics)."""


class PubSubTopics:
    """A Topics port on one project's topics of one prefix. Clients are made when first needed."""

    def __init__(
        self, project: str, prefix: str, *, pull_seconds: float = PULL_SECONDS
    ) -> None:
        """Open nothing yet. A pull for dead letters waits `pull_seconds` before it is taken for empty."""
        self._project = project
        self._prefix = prefix
        self._pull_seconds = pull_seconds

    @cached_property
    def publisher(self) -> PublisherClient:
        """The publisher; it honours PUBSUB_EMULATOR_HOST by itself."""
        from google.cloud.pubsub_v1 import PublisherClient

        with _translated():
            return PublisherClient()

    @cached_property
    def subscriber(self) -> SubscriberClient:
        """The subscriber, for dead letters only."""
        from google.cloud.pubsub_v1 import SubscriberClient

        with _translated():
            return SubscriberClient()

    def publish(
        self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None
    ) -> str:
        """Return the message id once the broker has stored the message."""
        check_message(data, attributes or {})
        from google.pubsub_v1 import PublisherClient, PubsubMessage

        message = PubsubMessage(data=data, attributes=dict(attributes or {}))
        with _translated():
            answer = PublisherClient.publish(
                self.publisher,
                topic=self.topic_path(topic),
                messages=[message],
                timeout=TIMEOUT_SECONDS,
            )
        return str(answer.message_ids[0])

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """List dead letters of every topic; they are given back when all were seen, and not consumed."""
        with ThreadPoolExecutor(len(_PUSHED)) as pool:
            found = list(pool.map(self._listed, _PUSHED, repeat(limit)))
        return [letter for letters in found for letter in letters][:limit]

    def replay(self) -> Generator[DeadLetter]:
        """Publish every dead letter again on its own topic and remove it; yield each when that is done."""
        for topic in _PUSHED:
            for answer in self._answers(topic):
                yield from self._replayed(topic, answer)

    def _listed(self, topic: Topic, limit: int) -> list[DeadLetter]:
        """Pull a topic's dead letters, at most about `limit`, and give them back."""
        found: dict[str, Pulled] = {}
        try:
            for answer in self._answers(topic):
                known = len(found)
                found.update({pulled.message.message_id: pulled for pulled in answer})
                if len(found) == known or len(found) >= limit:
                    break
        finally:
            self._give_back(topic, [pulled.ack_id for pulled in found.values()])
        return [_letter(topic, pulled) for pulled in found.values()]

    def _replayed(self, topic: Topic, answer: list[Pulled]) -> Generator[DeadLetter]:
        """Publish, then acknowledge, each under a lease that was renewed just before; give back the rest."""
        left = [pulled.ack_id for pulled in answer]
        try:
            for pulled in answer:
                letter = _letter(topic, pulled)
                self._renew(topic, [pulled.ack_id], LEASE_SECONDS)
                self.publish(topic, letter.data, letter.attributes)
                with _translated():
                    self.subscriber.acknowledge(
                        subscription=self._dead_path(topic),
                        ack_ids=[pulled.ack_id],
                        timeout=TIMEOUT_SECONDS,
                    )
                left.remove(pulled.ack_id)
                yield letter
        finally:
            self._give_back(topic, left)

    def _answers(self, topic: Topic) -> Generator[list[Pulled]]:
        """Pull until two answers in a row were empty: one may be, although messages wait."""
        empty = 0
        while empty < EMPTY_ANSWERS:
            answer = self._pulled(topic)
            if answer:
                yield answer
            empty = 0 if answer else empty + 1

    def _pulled(self, topic: Topic) -> list[Pulled]:
        """Wait for messages as long as a pull may take; without any the call ends by its timeout."""
        from google.api_core.exceptions import DeadlineExceeded

        with _translated(), suppress(DeadlineExceeded):
            answer: Any = self.subscriber.pull(
                subscription=self._dead_path(topic),
                max_messages=PULLED_AT_ONCE,
                timeout=self._pull_seconds,
            )
            return list(answer.received_messages)
        return []

    def _renew(self, topic: Topic, handles: list[str], seconds: int) -> None:
        with _translated():
            self.subscriber.modify_ack_deadline(
                subscription=self._dead_path(topic),
                ack_ids=handles,
                ack_deadline_seconds=seconds,
                timeout=TIMEOUT_SECONDS,
            )

    def _give_back(self, topic: Topic, handles: list[str]) -> None:
        """Let messages be pulled again at once; if that fails they come again when their lease ends."""
        with suppress(TransientError):
            for start in range(0, len(handles), PULLED_AT_ONCE):
                self._renew(topic, handles[start : start + PULLED_AT_ONCE], 0)

    def topic_path(self, topic: Topic) -> str:
        """Return a topic's full name."""
        return f"projects/{self._project}/topics/{self._prefix}-{topic}"

    def _dead_path(self, topic: Topic) -> str:
        return f"projects/{self._project}/subscriptions/{self._prefix}-{topic}-dead"


@contextmanager
def _translated() -> Generator[None]:
    from google.api_core import exceptions

    try:
        with reached(Code.TOPICS_UNAVAILABLE):
            yield
    except exceptions.DeadlineExceeded:
        raise TransientError(Code.TOPICS_TIMEOUT) from None
    except (exceptions.InvalidArgument, exceptions.OutOfRange, ValueError):
        raise PermanentError(Code.MESSAGE_REFUSED) from None
    except exceptions.GoogleAPICallError:
        raise TransientError(Code.TOPICS_UNAVAILABLE) from None


def _letter(topic: Topic, pulled: Pulled) -> DeadLetter:
    message: Any = pulled.message
    attributes = {
        name: value
        for name, value in message.attributes.items()
        if not name.startswith(_ADDED)
    }
    return DeadLetter(
        topic, message.message_id, message.publish_time, message.data, attributes
    )
