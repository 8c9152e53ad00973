"""Pushes messages of the SQLite queue to the functions, in Pub/Sub's shape and by its rules.

Answers 102, 200, 201, 202 and 204 acknowledge; anything else, and no answer, lets the message come again later
(cloud.google.com/pubsub/docs/push).

A topic's messages are pushed one after the other: beside each other they would only fight for the interpreter (52 ms
an upload with four threads a topic, 39 with one; 1,000 uploads at once). A push that lasts, for it waits for the
network or has a large file, holds nobody up: another thread goes on beside it.

    thread of the topic   |push|push|push .................. lasting ..|push|
    one more                                  |push|push|push|

A thread is woken by a publish of this process to its topic. For messages of another process, and for those that rest
after a refusal, it looks once in a while.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

from batchdrop.adapters.local.sqlite_topics import Leased, SqliteTopics
from batchdrop.ports import Topic, Topics
from batchdrop_local.stack.keeping import kept_up

ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})
LEASE_SECONDS = 600.0
LOOK_SECONDS = 0.5
LASTING_SECONDS = 0.5
"""After so long a push has another one begin beside it."""
MORE = 3
"""Pushes of one topic in flight beside the first, at most."""
Push = Callable[[bytes], int]
"""Hands a pushed body to a function and returns the status of its answer; any OSError is no answer."""


@contextmanager
def pushing(topics: Topics, routes: Mapping[Topic, Push]) -> Generator[None]:
    """Push each topic's messages until the block ends; pushes in flight are let end.

    Args:
        topics: The queue; only an SQLite one can be pushed from.
        routes: Where each topic's messages go.
    """
    if not isinstance(topics, SqliteTopics):
        raise TypeError("only the SQLite queue needs a pusher")
    stopped = threading.Event()
    lanes = [_Lane(topics, topic, push, stopped) for topic, push in routes.items()]

    def wake() -> None:
        for lane in lanes:
            lane.published.set()

    with ThreadPoolExecutor(MORE * len(lanes), "push more") as more:
        steps = {f"push {lane.topic}": lane.push_or_wait for lane in lanes}
        relieve = partial(_relieve, lanes, more, stopped)
        with kept_up({**steps, "relieve": relieve}, stopped, wake):
            yield


class _Lane:
    """One topic's pushes."""

    def __init__(
        self, topics: SqliteTopics, topic: Topic, push: Push, stopped: threading.Event
    ) -> None:
        self.topic = topic
        self.published = topics.published(topic)
        self._topics = topics
        self._push = push
        self._stopped = stopped
        self._begun: dict[int, float] = {}
        """When the pushes in flight began (monotonic seconds), by their messages."""

    def push_or_wait(self) -> None:
        """Push one message, or wait a while for the next."""
        self.published.clear()  # before looking: what is published from here on is seen
        if not self._push_one() and not self._stopped.is_set():
            self.published.wait(LOOK_SECONDS)

    def push_all(self) -> None:
        """Push messages until there is none."""
        while not self._stopped.is_set() and self._push_one():
            pass

    def wants_more(self, now: float) -> bool:
        """Tell whether every push in flight lasts, and one more may go on beside them."""
        begun = list(self._begun.values())
        return 0 < len(begun) <= MORE and now - max(begun) > LASTING_SECONDS

    def _push_one(self) -> bool:
        """Push the message that is ready longest; False when there is none."""
        message = self._topics.lease(self.topic, LEASE_SECONDS)
        if message is None:
            return False
        self._begun[message.id] = time.monotonic()
        try:
            acknowledged = self._answer(message) in ACKNOWLEDGED
        finally:
            del self._begun[message.id]
        if acknowledged:
            self._topics.ack(message)
        else:
            self._topics.nack(message)
        return True

    def _answer(self, message: Leased) -> int:
        with suppress(OSError):
            return self._push(json.dumps(envelope(message)).encode())
        return 0


def _relieve(
    lanes: Sequence[_Lane], more: ThreadPoolExecutor, stopped: threading.Event
) -> None:
    if stopped.wait(LASTING_SECONDS):
        return
    for lane in lanes:
        if lane.wants_more(time.monotonic()):
            more.submit(lane.push_all)


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
