"""Pushes messages of the SQLite queue to the functions over HTTP, in Pub/Sub's shape and by its rules.

Answers 102, 200, 201, 202 and 204 acknowledge; anything else, and no answer, lets the message come again later
(cloud.google.com/pubsub/docs/push). A push is woken by a publish of this process; for messages of another one
it looks once in a while.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from batchdrop.adapters.local.sqlite_topics import Leased, SqliteTopics
from batchdrop.ports import Topic, Topics
from batchdrop_local.stack.keeping import keep_doing

ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})
DEADLINE_SECONDS = 600.0
LOOK_SECONDS = 0.5
CONCURRENCY = 4


class Pusher:
    """Threads that push each topic's messages to its URL until stopped."""

    def __init__(self, topics: Topics, routes: Mapping[Topic, str], concurrency: int = CONCURRENCY) -> None:
        """Push nothing yet.

        Args:
            topics: The queue; only an SQLite one can be pushed from.
            routes: Where each topic's messages go.
            concurrency: Pushes in flight for each topic.
        """
        if not isinstance(topics, SqliteTopics):
            raise TypeError("only the SQLite queue needs a pusher")
        self._topics = topics
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(
                target=keep_doing,
                args=("push", partial(self._push_next, topic, url), self._stopped),
                name=f"push {topic} {n}",
                daemon=True,
            )
            for topic, url in routes.items()
            for n in range(concurrency)
        ]

    def __enter__(self) -> Self:
        """Begin pushing."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let pushes in flight end, then stop."""
        self._stopped.set()
        with self._topics.published:
            self._topics.published.notify_all()
        for thread in self._threads:
            thread.join()

    def _push_next(self, topic: Topic, url: str) -> None:
        message = self._topics.lease(topic, DEADLINE_SECONDS)
        if message is None:
            with self._topics.published:
                if not self._stopped.is_set():
                    self._topics.published.wait(LOOK_SECONDS)
        elif push(url, message) in ACKNOWLEDGED:
            self._topics.ack(message)
        else:
            self._topics.nack(message)


def push(url: str, message: Leased) -> int:
    """Push one message; return the status, 0 when there was no answer."""
    body = json.dumps(envelope(message)).encode()
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE_SECONDS)
    try:
        connection.request("POST", address.path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def envelope(message: Leased) -> dict[str, object]:
    """Return a message as Pub/Sub pushes it, both spellings included."""
    published = message.published_at.isoformat().replace("+00:00", "Z")
    return {
        "message": {
            "data": base64.b64encode(message.data).decode(),
            "attributes": dict(message.attributes),
            "messageId": str(message.id),
            "message_id": str(message.id),
            "publishTime": published,
            "publish_time": published,
        },
        "subscription": f"projects/local/subscriptions/batchdrop-{message.topic}",
        "deliveryAttempt": message.attempt,
    }
