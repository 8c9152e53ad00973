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
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

from batchdrop.adapters.local.sqlite_topics import Leased, SqliteTopics
from batchdrop.ports import Topic, Topics
from batchdrop_local.stack.keeping import kept_up

ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})
DEADLINE_SECONDS = 600.0
LOOK_SECONDS = 0.5
CONCURRENCY = 4


@contextmanager
def pushing(
    topics: Topics, routes: Mapping[Topic, str], concurrency: int = CONCURRENCY
) -> Generator[None]:
    """Push each topic's messages to its URL until the block ends; pushes in flight are let end.

    Args:
        topics: The queue; only an SQLite one can be pushed from.
        routes: Where each topic's messages go.
        concurrency: Pushes in flight for each topic.
    """
    if not isinstance(topics, SqliteTopics):
        raise TypeError("only the SQLite queue needs a pusher")
    stopped = threading.Event()

    def wake() -> None:
        with topics.published:
            topics.published.notify_all()

    steps = {
        f"push {topic} {number}": partial(_push_next, topics, topic, url, stopped)
        for topic, url in routes.items()
        for number in range(concurrency)
    }
    with kept_up(steps, stopped, wake):
        yield


def _push_next(
    topics: SqliteTopics, topic: Topic, url: str, stopped: threading.Event
) -> None:
    message = topics.lease(topic, DEADLINE_SECONDS)
    if message is None:
        with topics.published:
            if not stopped.is_set():
                topics.published.wait(LOOK_SECONDS)
    elif push(url, message) in ACKNOWLEDGED:
        topics.ack(message)
    else:
        topics.nack(message)


def push(url: str, message: Leased) -> int:
    """Push one message; return the status, 0 when there was no answer."""
    body = json.dumps(envelope(message)).encode()
    address = urlsplit(url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=DEADLINE_SECONDS
    )
    try:
        connection.request(
            "POST", address.path, body, {"Content-Type": "application/json"}
        )
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
