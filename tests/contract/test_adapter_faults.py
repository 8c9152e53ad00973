"""What credentials and transport do wrong reaches a step as an error of ours: real clients, real HTTP."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core.exceptions import RetryError
from google.auth.exceptions import TransportError

from batchdrop.adapters.cloud.firestore import FirestoreDocuments
from batchdrop.adapters.cloud.gcs import GcsObjects
from batchdrop.adapters.cloud.pubsub import PubSubTopics
from batchdrop.adapters.reaching import reached
from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, ConfigurationError, TransientError
from batchdrop.core.state import queries
from batchdrop.ports import Collection, Topic
from batchdrop.providers.gemini.api import GeminiApi

CALLS: dict[str, Callable[[], object]] = {
    "stat": lambda: GcsObjects("demo-local").stat("b", "n"),
    "read": lambda: list(GcsObjects("demo-local").read("b", "n")),
    "create": lambda: GcsObjects("demo-local").create("bucket", "n").close(),
    "list objects": lambda: GcsObjects("demo-local").list("b"),
    "delete object": lambda: GcsObjects("demo-local").delete("b", "n"),
    "get": lambda: FirestoreDocuments("demo-local").get(Collection.META, "x"),
    "create record": lambda: FirestoreDocuments("demo-local").create(Collection.META, "x", index={}, data={}),
    "query": lambda: FirestoreDocuments("demo-local").query(queries.ledgers()),
    "count": lambda: FirestoreDocuments("demo-local").count(queries.queued()),
    "publish": lambda: PubSubTopics("demo-local", "x").publish(Topic.UPLOADS, b""),
    "dead letters": lambda: PubSubTopics("demo-local", "x").dead_letters(),
}


@pytest.fixture(params=sorted(CALLS))
def call(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Each call in turn, without any credentials."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")
    return CALLS[request.param]


def test_a_metadata_server_that_does_not_answer_is_passing(call: Callable[[], object]) -> None:
    with pytest.raises(TransientError) as caught:
        call()
    assert caught.value.code == "CREDENTIALS_MISSING"


def test_credentials_that_are_named_and_not_there_are_a_fault_of_the_configuration(
    call: Callable[[], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.sentence
    assert str(tmp_path) not in caught.value.sentence


class Server:
    """A server that answers as it is told."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda _: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                server.answer(self)

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Generator[Server]:
    """A server on loopback."""
    with Server() as found:
        yield found


@pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        ("invalid_grant", ConfigurationError, "CREDENTIALS_EXPIRED"),
        ("unauthorized_client", TransientError, "CREDENTIALS_UNAVAILABLE"),
    ],
)
def test_a_refused_refresh_is_passing_unless_a_person_must_log_in(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    error: type[BatchdropError],
    code: str,
) -> None:
    server.answer = lambda handler: answer(handler, 400, json.dumps({"error": said}).encode())
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(tmp_path, server.url)))
    with pytest.raises(error) as caught:
        GcsObjects("demo-local").stat("b", "n")
    assert caught.value.code == code


def account(folder: Path, token_uri: str) -> Path:
    """Write the key file of a service account that nobody knows."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found = {
        "type": "service_account",
        "client_email": "nobody@demo-local.example",
        "private_key": key.decode(),
        "private_key_id": "0",
        "token_uri": token_uri,
    }
    path = folder / "account.json"
    path.write_text(json.dumps(found))
    return path


def test_an_answer_that_is_shorter_than_asked_for_is_passing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"name": "n", "bucket": "b", "generation": "1", "size": "100", "timeCreated": "2026-11-25T00:00:00Z"}

    def short(handler: BaseHTTPRequestHandler) -> None:
        if "alt=media" in handler.path:
            answer(handler, 206, b"x" * 10, Content_Range="bytes 0-9/100")
        else:
            answer(handler, 200, json.dumps(described).encode(), Content_Type="application/json")

    server.answer = short
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    with pytest.raises(TransientError):
        list(GcsObjects("demo-local").read("b", "n"))


@pytest.mark.parametrize(
    "fault",
    [
        TransportError("no route"),
        RetryError("the time for retries is over", None),
        requests.ConnectionError("reset"),
        requests.exceptions.ChunkedEncodingError("cut"),
        urllib3.exceptions.ReadTimeoutError(None, "/", "stalled"),  # type: ignore[arg-type]
        urllib3.exceptions.DecodeError("garbage"),
        http.client.IncompleteRead(b"x", 9),
        ConnectionResetError("reset"),
        TimeoutError("late"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_every_fault_of_the_transport_is_passing(fault: Exception) -> None:
    with pytest.raises(TransientError), reached(Code.STORAGE_UNAVAILABLE):
        raise fault


@pytest.mark.parametrize("address", ["http://127.0.0.1:none", "localhost:1"])
def test_an_address_that_is_none_is_a_fault_of_the_configuration(address: str) -> None:
    provider = GeminiApi(lambda: "a key", address)
    calls: tuple[Callable[[], object], ...] = (
        lambda: provider.get("batches/x"),
        lambda: provider.model_info("m"),
        lambda: provider.stage([b"x"], size=1, name="d"),
    )
    for one in calls:
        with pytest.raises(ConfigurationError) as caught:
            one()
        assert "BATCHDROP_GEMINI_BASE_URL" in caught.value.sentence
