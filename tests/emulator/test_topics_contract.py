"""The Topics port: published messages reach a function again and again until it says yes, or are kept as dead."""

from __future__ import annotations

import base64
import json
import queue
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from batchdrop.adapters.pubsub import PubSubTopics
from batchdrop.adapters.sqlite_topics import SqliteTopics
from batchdrop.core.errors import PermanentError
from batchdrop.ports import Topic, Topics
from infra.local.pubsub_setup import set_up
from infra.local.pusher import Pusher

WAIT_SECONDS = 30


class Endpoint:
    """A function that remembers what was pushed and answers as it is told."""

    def __init__(self) -> None:
        self.pushes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answer: Callable[[dict[str, Any]], int] = lambda _: 204
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(endpoint.answer(body))
                self.send_header("Content-Length", "0")
                self.end_headers()
                endpoint.pushes.put(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/push/"

    def next(self) -> dict[str, Any]:
        return self.pushes.get(timeout=WAIT_SECONDS)


@pytest.fixture
def endpoint() -> Generator[Endpoint]:
    """A push endpoint on loopback."""
    found = Endpoint()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(params=["sqlite", "pubsub"])
def topics(request: pytest.FixtureRequest, tmp_path: Path, endpoint: Endpoint) -> Generator[Topics]:
    """Each adapter in turn, its uploads pushed to the endpoint."""
    if request.param == "sqlite":
        local = SqliteTopics(tmp_path / "topics.sqlite")
        with Pusher(local, {Topic.UPLOADS: endpoint.url}):
            yield local
        return
    project = request.getfixturevalue("project")
    set_up(project, "test", {Topic.UPLOADS: endpoint.url})
    yield PubSubTopics(project, "test")


def test_a_message_is_pushed_whole(topics: Topics, endpoint: Endpoint) -> None:
    message_id = topics.publish(Topic.UPLOADS, "é\u2028".encode(), {"eventType": "X", "label-a": "ü"})
    push = endpoint.next()["message"]
    assert base64.b64decode(push["data"]).decode() == "é\u2028"
    assert push["attributes"] == {"eventType": "X", "label-a": "ü"}
    assert push["messageId"] == message_id


def test_a_message_comes_again_until_it_is_acknowledged(topics: Topics, endpoint: Endpoint) -> None:
    seen: list[int] = []

    def answer(_: dict[str, Any]) -> int:
        seen.append(1)
        return 503 if len(seen) < 3 else 204

    endpoint.answer = answer
    topics.publish(Topic.UPLOADS, b"{}")
    ids = {endpoint.next()["message"]["messageId"] for _ in range(3)}
    assert len(ids) == 1
    with pytest.raises(queue.Empty):
        endpoint.pushes.get(timeout=1.5)


def test_topics_do_not_mix(topics: Topics, endpoint: Endpoint) -> None:
    topics.publish(Topic.JOBS_COMPLETED, b"{}")
    topics.publish(Topic.UPLOADS, b"1")
    assert base64.b64decode(endpoint.next()["message"]["data"]) == b"1"
    assert endpoint.pushes.empty()


def test_a_dead_letter_is_listed_and_can_be_replayed(tmp_path: Path, endpoint: Endpoint) -> None:
    endpoint.answer = lambda _: 503
    topics = SqliteTopics(tmp_path / "t.sqlite", max_attempts=1)
    with Pusher(topics, {Topic.UPLOADS: endpoint.url}):
        topics.publish(Topic.UPLOADS, b"poison", {"a": "b"})
        endpoint.next()
        while not topics.dead_letters():
            threading.Event().wait(0.05)
        [letter] = topics.dead_letters()
        assert (letter.topic, letter.data, dict(letter.attributes)) == (Topic.UPLOADS, b"poison", {"a": "b"})
        endpoint.answer = lambda _: 204
        topics.replay(letter)
        assert base64.b64decode(endpoint.next()["message"]["data"]) == b"poison"
    assert topics.dead_letters() == []


def test_a_pubsub_dead_letter_is_listed_and_can_be_replayed(project: str, endpoint: Endpoint) -> None:
    pushed = (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED)
    set_up(project, "test", dict.fromkeys(pushed, endpoint.url))
    topics = PubSubTopics(project, "test")
    dead = f"projects/{project}/topics/test-uploads-dead"
    topics.publisher.publish(dead, b"poison", a="b", CloudPubSubDeadLetterSourceDeliveryCount="5").result()
    [letter] = topics.dead_letters()
    assert (letter.topic, letter.data, dict(letter.attributes)) == (Topic.UPLOADS, b"poison", {"a": "b"})
    topics.replay(letter)
    assert base64.b64decode(endpoint.next()["message"]["data"]) == b"poison"


def test_messages_survive_a_restart(tmp_path: Path, endpoint: Endpoint) -> None:
    SqliteTopics(tmp_path / "t.sqlite").publish(Topic.UPLOADS, b"kept")
    with Pusher(SqliteTopics(tmp_path / "t.sqlite"), {Topic.UPLOADS: endpoint.url}):
        assert base64.b64decode(endpoint.next()["message"]["data"]) == b"kept"


@pytest.mark.parametrize(
    ("data", "attributes", "code"),
    [
        (b"{}", {"label-a": "é" * 513}, "ATTRIBUTES_INVALID"),
        (b"{}", {"é" * 129: "x"}, "ATTRIBUTES_INVALID"),
        (b"{}", {"": "x"}, "ATTRIBUTES_INVALID"),
        (b"{}", {"googclient_x": "x"}, "ATTRIBUTES_INVALID"),
        (b"{}", {"a": "\ud800"}, "ATTRIBUTES_INVALID"),
        (b"{}", {f"a{number}": "x" for number in range(101)}, "ATTRIBUTES_INVALID"),
        (b"x" * 10_000_001, {}, "MESSAGE_TOO_LARGE"),
    ],
)
def test_what_pubsub_does_not_take_is_refused_by_both(
    topics: Topics, endpoint: Endpoint, data: bytes, attributes: dict[str, str], code: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        topics.publish(Topic.UPLOADS, data, attributes)
    assert caught.value.code == code
    topics.publish(Topic.UPLOADS, b"next")
    assert base64.b64decode(endpoint.next()["message"]["data"]) == b"next"


def test_the_longest_attributes_arrive(topics: Topics, endpoint: Endpoint) -> None:
    attributes = {f"{number:03d}" + "k" * 253: "v" * 1024 for number in range(100)}
    topics.publish(Topic.UPLOADS, b"{}", attributes)
    assert endpoint.next()["message"]["attributes"] == attributes


def test_an_attribute_may_have_any_name(topics: Topics, endpoint: Endpoint) -> None:
    attributes = {"timeout": "1", "ordering_key": "x", "retry": "y", "topic": "z", "data": "d", "self": "s"}
    topics.publish(Topic.UPLOADS, b"{}", attributes)
    assert endpoint.next()["message"]["attributes"] == attributes


def test_a_message_that_pubsub_refuses_is_refused_for_ever(project: str) -> None:
    topics = PubSubTopics(project, "UPPER case is fine, a space is not")
    with pytest.raises(PermanentError) as caught:
        topics.publish(Topic.UPLOADS, b"{}")
    assert caught.value.code == "MESSAGE_REFUSED"
