"""The Topics port: published messages reach a function again and again until it says yes, or are kept as dead."""

from __future__ import annotations

import base64
import json
import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1 import PublisherClient, PubsubMessage

from batchdrop.adapters.cloud.pubsub import PubSubTopics
from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.core.errors import PermanentError
from batchdrop.ports import DeadLetter, Topic, Topics
from batchdrop_local.stack.pubsub_setup import set_up
from batchdrop_local.stack.pusher import pushing

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

    def post(self, body: bytes) -> int:
        """Take a push over HTTP; return the status."""
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
                return response.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

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
        with pushing(local, {Topic.UPLOADS: endpoint.post}):
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
    with pushing(topics, {Topic.UPLOADS: endpoint.post}):
        topics.publish(Topic.UPLOADS, b"poison", {"a": "b"})
        endpoint.next()
        while not topics.dead_letters():
            threading.Event().wait(0.05)
        endpoint.answer = lambda _: 204
        [letter] = topics.replay()
        assert (letter.topic, letter.data, dict(letter.attributes)) == (Topic.UPLOADS, b"poison", {"a": "b"})
        assert base64.b64decode(endpoint.next()["message"]["data"]) == b"poison"
    assert topics.dead_letters() == []


Bury = Callable[[bytes, dict[str, str]], None]
"""Makes a dead letter of the topic `uploads`."""
ARGUMENTS: tuple[str, ...] = ("topic", "data", "ordering_key", "retry", "timeout", "request", "messages", "self")
"""Names of arguments of the clients' methods; each may be the name of an attribute."""


@pytest.fixture(params=["sqlite", "pubsub"])
def dead(request: pytest.FixtureRequest, tmp_path: Path, endpoint: Endpoint) -> tuple[Topics, Bury]:
    """Each adapter in turn, with the means to make dead letters."""
    if request.param == "sqlite":
        local = SqliteTopics(tmp_path / "topics.sqlite", max_attempts=1, min_backoff_seconds=0)

        def given_up(data: bytes, attributes: dict[str, str]) -> None:
            local.publish(Topic.UPLOADS, data, attributes)
            message = local.lease(Topic.UPLOADS, 600)
            assert message is not None
            local.nack(message)
            assert local.lease(Topic.UPLOADS, 600) is None

        return local, given_up
    project = request.getfixturevalue("project")
    set_up(project, "test", {topic: endpoint.url for topic in Topic if topic is not Topic.JOBS_COMPLETED})
    cloud = PubSubTopics(project, "test", pull_seconds=0.5)
    path = f"{cloud.topic_path(Topic.UPLOADS)}-dead"

    def forwarded(data: bytes, attributes: dict[str, str]) -> None:
        added = {"CloudPubSubDeadLetterSourceDeliveryCount": "5"}
        message = PubsubMessage(data=data, attributes={**attributes, **added})
        PublisherClient.publish(cloud.publisher, topic=path, messages=[message])

    return cloud, forwarded


def test_dead_letters_are_listed_again_and_again_until_they_are_replayed(dead: tuple[Topics, Bury]) -> None:
    topics, bury = dead
    bury(b"poison", {"a": "b"})
    [letter], [again] = topics.dead_letters(), topics.dead_letters()
    assert letter == again
    assert (letter.topic, letter.data, dict(letter.attributes)) == (Topic.UPLOADS, b"poison", {"a": "b"})
    [replayed] = topics.replay()
    assert (replayed.message_id, replayed.data) == (letter.message_id, b"poison")
    assert topics.dead_letters() == []
    assert list(topics.replay()) == []


def test_one_replay_takes_every_dead_letter(dead: tuple[Topics, Bury]) -> None:
    topics, bury = dead
    for number in range(230):
        bury(b"%d" % number, {})
    assert len(topics.dead_letters(limit=500)) == 230
    assert {letter.data for letter in topics.replay()} == {b"%d" % number for number in range(230)}
    assert topics.dead_letters() == []


def test_two_replays_at_once_deliver_each_letter_once(dead: tuple[Topics, Bury]) -> None:
    topics, bury = dead
    for number in range(40):
        bury(b"%d" % number, {})
    with ThreadPoolExecutor(2) as pool:
        replays = [pool.submit(list[DeadLetter], topics.replay()) for _ in range(2)]
        found = [letter.data for replay in replays for letter in replay.result()]
    assert sorted(found) == sorted(b"%d" % number for number in range(40))


def test_a_replay_that_is_left_keeps_what_it_did_not_deliver(dead: tuple[Topics, Bury]) -> None:
    topics, bury = dead
    for number in range(3):
        bury(b"%d" % number, {})
    replay = topics.replay()
    first = next(replay)
    replay.close()
    assert {letter.data for letter in topics.dead_letters()} == {b"0", b"1", b"2"} - {first.data}


def test_attributes_may_have_the_names_of_arguments(dead: tuple[Topics, Bury], endpoint: Endpoint) -> None:
    topics, bury = dead
    attributes = dict.fromkeys(ARGUMENTS, "x")
    bury(b"odd", attributes)
    [letter] = topics.replay()
    assert letter.attributes == attributes


def test_a_published_message_may_have_attributes_with_the_names_of_arguments(
    topics: Topics, endpoint: Endpoint
) -> None:
    attributes = dict.fromkeys(ARGUMENTS, "x")
    topics.publish(Topic.UPLOADS, b"odd", attributes)
    assert endpoint.next()["message"]["attributes"] == attributes


def test_a_push_that_lasts_holds_no_other_message_up(topics: Topics, endpoint: Endpoint) -> None:
    second_came = threading.Event()

    def answer(push: dict[str, Any]) -> int:
        if base64.b64decode(push["message"]["data"]) == b"second":
            second_came.set()
            return 204
        return 204 if second_came.wait(WAIT_SECONDS) else 503

    endpoint.answer = answer
    topics.publish(Topic.UPLOADS, b"first")
    topics.publish(Topic.UPLOADS, b"second")
    came = [base64.b64decode(endpoint.next()["message"]["data"]) for _ in range(2)]
    assert sorted(came) == [b"first", b"second"]
    assert second_came.is_set()


def test_a_queue_pushes_one_message_at_a_time_while_none_lasts(tmp_path: Path) -> None:
    topics, under_way, most, done = SqliteTopics(tmp_path / "t.sqlite"), [0], [0], threading.Semaphore(0)

    def push(_body: bytes) -> int:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        os.sched_yield()
        under_way[0] -= 1
        done.release()
        return 204

    with pushing(topics, {Topic.UPLOADS: push}):
        for _ in range(20):
            topics.publish(Topic.UPLOADS, b"{}")
        assert all(done.acquire(timeout=WAIT_SECONDS) for _ in range(20))
    assert most == [1]


def test_messages_survive_a_restart(tmp_path: Path, endpoint: Endpoint) -> None:
    SqliteTopics(tmp_path / "t.sqlite").publish(Topic.UPLOADS, b"kept")
    with pushing(SqliteTopics(tmp_path / "t.sqlite"), {Topic.UPLOADS: endpoint.post}):
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
