"""The local Cloud Storage server answers everything: what it refuses is a 4xx, and no connection just ends."""

from __future__ import annotations

import io
import json
import shutil
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from batchdrop.core import logs
from batchdrop_local.emulators.storage import StorageEmulator

UPLOAD = "/upload/storage/v1/b/input/o"
MULTIPART = f"POST {UPLOAD}?uploadType=multipart"
PARTS = b'--B\r\nContent-Type: application/json\r\n\r\n{"name":"x"}\r\n--B\r\nContent-Type: a/b\r\n\r\ndata\r\n--B--'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the objects are."""
    return tmp_path / "buckets"


@pytest.fixture
def server(folder: Path) -> Generator[StorageEmulator]:
    """A server without clients."""
    with StorageEmulator(folder, log=logs.log) as running:
        yield running


def ask(server: StorageEmulator, line: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Send one call as it stands; return status and body of the answer."""
    named = {"Host": "x", "Connection": "close", "Content_Length": str(len(body)), **headers}
    lines = [f"{line} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value)]
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), f"no answer to {line}"
    return int(head.split()[1]), rest


CASES: list[tuple[str, bytes, dict[str, str], int]] = [
    ("GET /", b"", {}, 404),
    ("GET /input/x?uploads", b"", {}, 404),
    ("POST /batch/storage/v1", b"--b", {}, 404),
    ("GET /storage/v1/b/input/iam", b"", {}, 404),
    ("PUT /storage/v1/b/input/o", b"{}", {}, 405),
    ("OPTIONS /storage/v1/b/input", b"", {}, 405),
    ("GET /storage/v1/b/input/o/absent", b"", {}, 404),
    ("GET /storage/v1/b/input/o/absent?generation=x", b"", {}, 400),
    ("GET /storage/v1/b/input/o?maxResults=many", b"", {}, 400),
    ("GET /storage/v1/b/input/o?pageToken=%FF", b"", {}, 400),
    ("DELETE /storage/v1/b/input/o/absent", b"", {}, 404),
    ("PATCH /storage/v1/b/input/o/absent", b"{}", {}, 404),
    ("POST /storage/v1/b/input/o/x/compose", b"{}", {}, 400),
    ("POST /storage/v1/b/input/o/x/compose", b'{"sourceObjects":[{"name":"absent"}]}', {}, 404),
    ("POST /storage/v1/b/input/o/absent/rewriteTo/b/input/o/y", b"", {}, 404),
    (f"POST {UPLOAD}?uploadType=novel", b"", {}, 400),
    (f"POST {UPLOAD}", b"data", {}, 400),
    (f"POST {UPLOAD}?uploadType=resumable", b"[1]", {}, 400),
    (f"POST {UPLOAD}?uploadType=resumable", b"{", {}, 400),
    (f"PUT {UPLOAD}?upload_id=none", b"data", {}, 404),
    (f"POST {UPLOAD}?name=x", b"", {"Content_Length": "many"}, 400),
    (f"POST {UPLOAD}?name=x", b"zz\r\n", {"Content_Length": "", "Transfer_Encoding": "chunked"}, 400),
    (MULTIPART, PARTS, {}, 400),
    (MULTIPART, PARTS, {"Content_Type": "multipart/related; boundary=C"}, 400),
    (MULTIPART, PARTS[:60], {"Content_Type": "multipart/related; boundary=B"}, 400),
    (MULTIPART, PARTS.replace(b"--B--", b""), {"Content_Type": "multipart/related; boundary=B"}, 400),
    (MULTIPART, PARTS.replace(b"{", b"["), {"Content_Type": "multipart/related; boundary=B"}, 400),
    (MULTIPART, PARTS.replace(b"}", b',"crc32c":"AAAA"}'), {"Content_Type": "multipart/related; boundary=B"}, 400),
]


@pytest.mark.parametrize(("line", "body", "headers", "status"), CASES, ids=[f"{c[0]} {n}" for n, c in enumerate(CASES)])
def test_what_is_not_understood_is_refused_with_a_sentence(
    server: StorageEmulator, log: io.StringIO, line: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    found, answer = ask(server, line, body, **headers)
    assert (found, json.loads(answer)["error"]["code"]) == (status, status)
    assert json.loads(answer)["error"]["message"]
    assert ask(server, "GET /storage/v1/b/input/o")[1].count(b"items") == 1


@pytest.mark.parametrize("boundary", ["B", '"B"', "'B'", "B; charset=utf-8"])
def test_a_boundary_is_taken_as_clients_write_it(server: StorageEmulator, boundary: str) -> None:
    assert ask(server, MULTIPART, PARTS, Content_Type=f"multipart/related; boundary={boundary}")[0] == 200
    assert ask(server, "GET /storage/v1/b/input/o/x?alt=media") == (200, b"data")


def test_data_that_looks_like_a_boundary_is_data(server: StorageEmulator) -> None:
    data = b"\r\n--A\r\n-\r\n--\r\n" + bytes(range(256)) * 9000
    body = PARTS.replace(b"data", data)
    assert ask(server, MULTIPART, body, Content_Type="multipart/related; boundary=B")[0] == 200
    assert ask(server, "GET /storage/v1/b/input/o/x?alt=media") == (200, data)


def test_a_fault_of_the_server_is_answered_and_logged(server: StorageEmulator, folder: Path, log: io.StringIO) -> None:
    shutil.rmtree(folder / ".writing")
    assert ask(server, f"POST {UPLOAD}?name=secret-name", b"data")[0] == 500
    [line] = [json.loads(text) for text in log.getvalue().splitlines() if "fault" in text]
    assert (line["severity"], line["error"], line["method"]) == ("ERROR", "FileNotFoundError", "POST")
    assert "secret-name" not in log.getvalue()


def test_a_refused_call_is_logged(server: StorageEmulator, log: io.StringIO) -> None:
    ask(server, f"POST {UPLOAD}?uploadType=novel")
    [line] = [json.loads(text) for text in log.getvalue().splitlines()]
    assert (line["message"], line["status"]) == ("storage call refused", 400)


def test_a_read_beyond_the_end_and_a_suffix_are_answered_as_http_says(server: StorageEmulator) -> None:
    ask(server, f"POST {UPLOAD}?name=x", b"0123456789")
    media = "GET /storage/v1/b/input/o/x?alt=media"
    assert ask(server, media, Range="bytes=-3") == (206, b"789")
    assert ask(server, media, Range="bytes=4-5") == (206, b"45")
    assert ask(server, media, Range="bytes=10-")[0] == 416
