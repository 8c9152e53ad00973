"""The Gemini emulator on the wire: what the SDKs do not show."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator, RowFaults
from tests.emulators.gemini_sdk import line

Json = dict[str, Any]
Event = tuple[dict[str, str], bytes]
CREATE = "/v1beta/models/gemini-2.5-flash:batchGenerateContent"


@pytest.fixture
def http(gemini: GeminiEmulator) -> Generator[httpx2.Client]:
    """An HTTP client with a key."""
    with httpx2.Client(base_url=gemini.url, headers={"x-goog-api-key": "k"}, timeout=20) as client:
        yield client


def start(http: httpx2.Client, size: int, **file: Any) -> str:
    """Start an upload; return its URL."""
    headers = {"X-Goog-Upload-Command": "start", "X-Goog-Upload-Header-Content-Length": str(size)}
    answer = http.post("/upload/v1beta/files", json={"file": file}, headers=headers)
    assert answer.status_code == 200
    return str(answer.headers["X-Goog-Upload-URL"])


def send(url: str, offset: int, content: bytes, command: str = "upload") -> httpx2.Response:
    """Send a chunk, without a key as the Python SDK does."""
    headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}
    return httpx2.post(url, content=content, headers=headers)


def put(http: httpx2.Client, content: bytes) -> str:
    """Upload a file; return its name."""
    found: Json = send(start(http, len(content)), 0, content, "upload, finalize").json()
    return str(found["file"]["name"])


def make(http: httpx2.Client, content: bytes, **more: Any) -> Json:
    """Create a batch from content; return the operation as it is afterwards."""
    body = {"batch": {"displayName": "mine", "inputConfig": {"fileName": put(http, content)}, **more}}
    made = http.post(CREATE, json=body).json()
    found: Json = http.get(f"/v1beta/{made['name']}").json()
    return found


def test_an_operation_has_the_envelope_of_the_service(http: httpx2.Client, gemini: GeminiEmulator) -> None:
    content = line("a", "one") + line("b", "[[emulate:error=13]]") + line("c", "two")
    found = make(http, content, priority="5")
    metadata = found["metadata"]
    assert len(found["name"]) == len("batches/") + 36
    assert metadata["@type"].endswith("GenerateContentBatch")
    assert metadata["batchStats"] == {"requestCount": "3", "successfulRequestCount": "2", "failedRequestCount": "1"}
    assert metadata["output"] == {"responsesFile": f"files/batch-{found['name'].removeprefix('batches/')}"}
    assert found["response"]["responsesFile"] == metadata["output"]["responsesFile"]
    assert (metadata["priority"], found["done"], metadata["name"]) == ("5", True, found["name"])
    assert len(metadata["createTime"]) == len("2025-09-01T04:13:24.263450184Z")
    gemini.faults = Faults(running_seconds=60)
    running = make(http, content)
    assert "done" not in running
    assert running["metadata"]["batchStats"] == {"requestCount": "3", "pendingRequestCount": "3"}


def test_bodies_may_be_spelled_in_snake_case(http: httpx2.Client) -> None:
    name = put(http, line("a", "one"))
    body = {"batch": {"input_config": {"file_name": name}, "display_name": "snake"}}
    assert http.post(CREATE, json=body).json()["metadata"]["displayName"] == "snake"


def test_the_names_inside_inline_requests_are_left_alone(http: httpx2.Client) -> None:
    schema = {"type": "OBJECT", "properties": {"a_b": {"type": "STRING"}}, "required": ["a_b"]}
    request = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"responseSchema": schema}}
    inline = {"requests": {"requests": [{"request": request, "metadata": {"my_key": "1"}}]}}
    name = http.post(CREATE, json={"batch": {"inputConfig": inline}}).json()["name"]
    [item] = http.get(f"/v1/{name}").json()["response"]["inlinedResponses"]["inlinedResponses"]
    assert item["metadata"] == {"my_key": "1"}
    assert "a_b" in json.loads(item["response"]["candidates"][0]["content"]["parts"][0]["text"])


def test_a_path_prefix_and_the_download_path_are_served(http: httpx2.Client) -> None:
    name = put(http, b"bytes")
    assert http.get(f"/proxy/v1beta/{name}").json()["name"] == name
    assert http.get(f"/download/v1beta/{name}:download?alt=media").content == b"bytes"


def test_a_call_without_a_key_is_refused_but_a_chunk_is_not(http: httpx2.Client, gemini: GeminiEmulator) -> None:
    assert httpx2.get(f"{gemini.url}/v1beta/files").status_code == 403
    assert httpx2.get(f"{gemini.url}/v1beta/files?key=k").status_code == 200
    assert put(http, b"x")


def test_repeated_chunks_do_no_harm_and_gaps_are_refused(http: httpx2.Client) -> None:
    url = start(http, 10)
    assert send(url, 0, b"01234").headers["X-Goog-Upload-Status"] == "active"
    assert send(url, 0, b"01234").headers["X-Goog-Upload-Status"] == "active"
    assert send(url, 7, b"789").status_code == 400
    assert send(url, 0, b"", "query").headers["X-Goog-Upload-Size-Received"] == "5"
    last = send(url, 3, b"3456789", "upload, finalize")
    assert send(url, 3, b"3456789", "upload, finalize").json() == last.json()
    assert last.headers["X-Goog-Upload-Status"] == "final"
    file = last.json()["file"]
    assert http.get(f"/v1beta/{file['name']}:download").content == b"0123456789"
    assert base64.b64decode(file["sha256Hash"]).decode() == hashlib.sha256(b"0123456789").hexdigest()
    assert len(http.get("/v1beta/files").json()["files"]) == 1


def test_an_upload_goes_on_after_a_chunk_that_failed(http: httpx2.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault(call="upload.chunk", status=503, times=1),))
    url = start(http, 3)
    refused = send(url, 0, b"abc", "upload, finalize")
    assert (refused.status_code, "X-Goog-Upload-Status" in refused.headers) == (503, False)
    assert send(url, 0, b"abc", "upload, finalize").status_code == 200


def test_requests_that_make_no_sense_are_answered_400_or_404(http: httpx2.Client) -> None:
    assert http.post(CREATE, content=b"{").status_code == 400
    assert http.post(CREATE, json={"batch": {"inputConfig": {"requests": {"requests": []}}}}).status_code == 400
    assert http.post(CREATE, json={"batch": {"inputConfig": {"fileName": "files/none"}}}).status_code == 403
    assert http.post(CREATE, content=b" " * (21 * 1024**2)).status_code == 400
    assert http.get("/v1beta/batches?pageToken=x").status_code == 400
    assert http.get("/v1beta/nothing").status_code == 404
    registered = http.post("/v1/files:register", json={"uris": ["gs://b/o"]}).json()["files"][0]
    assert http.post(CREATE, json={"batch": {"inputConfig": {"fileName": registered["name"]}}}).status_code == 400


def test_a_body_nobody_reads_does_not_spoil_the_connection(http: httpx2.Client) -> None:
    name = put(http, b"x")
    assert http.request("DELETE", f"/v1beta/{name}", content=b"{}").json() == {}
    assert http.request("GET", "/v1beta/files", content=b"{}").json() == {}
    assert http.get("/v1beta/files").json() == {}


def test_tokens_of_a_whole_request_are_counted(http: httpx2.Client) -> None:
    parts = {"parts": [{"text": "12345678"}]}
    body = {"generateContentRequest": {"contents": [parts], "systemInstruction": parts}}
    path = "/v1beta/models/gemini-2.5-flash:countTokens"
    assert http.post(path, json=body).json()["totalTokens"] == 4
    assert http.post(path, json={"contents": [parts]}).json()["totalTokens"] == 2


def test_a_batch_can_be_renamed(http: httpx2.Client) -> None:
    name = make(http, line("a", "one"))["name"]
    body = {"batch": {"displayName": "other", "priority": "-3"}}
    found = http.patch(f"/v1beta/{name}:updateGenerateContentBatch?updateMask=displayName", json=body).json()
    assert (found["metadata"]["displayName"], found["metadata"]["priority"]) == ("other", "-3")


def test_deleting_the_input_leaves_the_batch_its_lines(http: httpx2.Client) -> None:
    name = put(http, line("a", "one"))
    made = http.post(CREATE, json={"batch": {"inputConfig": {"fileName": name}}}).json()
    output = f"files/batch-{made['name'].removeprefix('batches/')}"
    before = http.get(f"/v1beta/{output}:download").content
    assert http.delete(f"/v1beta/{name}").json() == {}
    assert http.get(f"/v1beta/{output}:download").content == before


def test_a_restart_on_the_same_folder_knows_everything(tmp_path: Path) -> None:
    faults = Faults(rows=RowFaults(error_rate=0.5, heal=True), running_seconds=60)
    content = b"".join(line(n, f"text {n}") for n in range(50))
    headers = {"x-goog-api-key": "k"}
    downloads: list[bytes] = []
    for restart in range(2):
        with (
            GeminiEmulator(data_dir=tmp_path / "data", faults=faults if not restart else None) as gemini,
            httpx2.Client(base_url=gemini.url, headers=headers) as http,
        ):
            if not restart:
                make(http, content)
            gemini.advance(61)
            [batch] = http.get("/v1beta/batches").json()["operations"]
            assert len(http.get("/v1beta/files").json()["files"]) == 1
            downloads.append(http.get(f"/v1beta/{batch['response']['responsesFile']}:download").content)
    assert downloads[0] == downloads[1]
    assert b'"error"' in downloads[0]


def test_the_program_serves_prints_its_address_and_ends_with_a_signal(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "batchdrop_local.emulators.gemini",
        "--data",
        str(tmp_path / "d"),
        "--models",
        "my-model",
    ]
    command += ["--port-file", str(tmp_path / "port"), "--faults", '{"page_size":1}']
    root = Path(__file__).parents[2]
    headers = {"x-goog-api-key": "k"}
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as program:
        try:
            url = (program.stdout or sys.stdin).readline().removeprefix("gemini emulator: ").strip()
            assert (tmp_path / "port").read_text() == url.rpartition(":")[2]
            assert httpx2.get(f"{url}/v1/models/my-model", headers=headers).status_code == 200
            assert len(httpx2.get(f"{url}/v1/models", headers=headers).json()["models"]) == 1
        finally:
            program.terminate()
        assert program.wait(10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_while_large_files_pass(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "batchdrop_local.emulators.gemini",
        "--data",
        str(tmp_path / "d"),
        "--faults",
        "{}",
    ]
    content = line("a", "x" * 100_000) * 1500
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as program:
        try:
            url = (program.stdout or sys.stdin).readline().removeprefix("gemini emulator: ").strip()
            with httpx2.Client(base_url=url, headers={"x-goog-api-key": "k"}, timeout=60) as http:
                output = make(http, content)["response"]["responsesFile"]
                assert http.get(f"/v1beta/{output}:download").content.count(b"\n") == 1500
            status = Path(f"/proc/{program.pid}/status").read_text()
        finally:
            program.terminate()
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    assert (len(content) > 150_000_000, peak < 100) == (True, True), f"{peak} MiB"


def test_many_callers_at_once_are_all_served(http: httpx2.Client, gemini: GeminiEmulator) -> None:
    def one(number: int) -> Json:
        return make(http, line(number, f"text {number}"), displayName=f"b{number}")

    with ThreadPoolExecutor(16) as callers:
        made = list(callers.map(one, range(64)))
    assert len({found["name"] for found in made}) == 64
    assert gemini.stats()["batches"] == {"SUCCEEDED": 64}


def test_faults_that_make_no_sense_stop_the_program(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "batchdrop_local.emulators.gemini",
        "--data",
        str(tmp_path),
        "--faults",
        '{"seed":"x"}',
    ]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (done.returncode, "seed" in done.stderr) == (2, True)


def test_stopping_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with GeminiEmulator(data_dir=tmp_path) as gemini, httpx2.Client(headers={"x-goog-api-key": "k"}) as http:
        http.get(f"{gemini.url}/v1/models")
        assert set(threading.enumerate()) > before
        gemini.stop()
        assert set(threading.enumerate()) == before


def test_openai_batches_read_and_write_openais_form(http: httpx2.Client) -> None:
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    failing = {**body, "messages": [{"role": "user", "content": [{"type": "text", "text": "[[emulate:error=13]]"}]}]}
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": item}
        for name, item in (("a", body), ("b", failing))
    ]
    name = put(http, b"".join(json.dumps(item).encode() + b"\n" for item in lines))
    wanted = {"completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": name}
    made = http.post("/v1beta/openai/batches", json=wanted).json()
    assert made["status"] == "in_progress"
    found = http.get(f"/v1beta/openai/batches/{made['id'].replace('/', '%2F')}").json()
    assert (found["status"], found["request_counts"]) == ("completed", {"total": 2, "completed": 1, "failed": 1})
    rows = [json.loads(row) for row in http.get(f"/v1beta/{found['output_file_id']}:download").text.splitlines()]
    choice = rows[0]["response"]["body"]["choices"][0]
    assert (rows[0]["custom_id"], choice["finish_reason"], len(choice["message"]["content"])) == ("a", "length", 12)
    assert rows[1]["error"]["code"] == 13
    assert [item["id"] for item in http.get("/v1beta/openai/batches?limit=2").json()["data"]] == [made["id"]]
    assert http.post(f"/v1beta/openai/batches/{made['id']}/cancel").json()["status"] == "completed"


@contextlib.contextmanager
def receiver(refusals: int = 0) -> Generator[tuple[str, queue.Queue[Event]]]:
    """Take webhook messages; refuse the first few."""
    events: queue.Queue[Event] = queue.Queue()
    left = [refusals]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            events.put(({name.lower(): value for name, value in self.headers.items()}, body))
            left[0] -= 1
            self.send_response(503 if left[0] >= 0 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002 - its signature
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", events
        finally:
            server.shutdown()
            thread.join()


def test_a_static_webhook_is_told_signed_and_again_until_it_answers(http: httpx2.Client) -> None:
    with receiver(refusals=1) as (uri, events):
        hook = http.post("/v1/webhooks", json={"uri": uri, "subscribed_events": ["batch.succeeded"]}).json()
        batch = make(http, line("a", "one"))
        first, again = events.get(timeout=10), events.get(timeout=10)
    headers, body = again
    assert first[1] == body
    message = json.loads(body)
    assert (message["type"], message["data"]["id"]) == ("batch.succeeded", batch["name"])
    key = base64.b64decode(hook["new_signing_secret"].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_a_batchs_own_webhook_is_told_with_a_jwt(http: httpx2.Client, gemini: GeminiEmulator) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    gemini.faults = Faults(end_state="FAILED", fail_code=8, fail_message="full")
    with receiver() as (uri, events):
        make(http, line("a", "one"), webhookConfig={"uris": [uri], "user_metadata": {"my_job": 1}})
        headers, body = events.get(timeout=10)
    message = json.loads(body)
    assert (message["type"], message["user_metadata"]) == ("batch.failed", {"my_job": 1})
    assert (message["data"]["error_code"], message["data"]["error_message"]) == (8, "full")
    key = http.get("/.well-known/jwks.json").json()["keys"][0]
    n, e = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "==")) for name in ("n", "e"))
    head, _, signature = headers["webhook-signature"].rpartition(".")
    public = rsa.RSAPublicNumbers(e, n).public_key()
    public.verify(base64.urlsafe_b64decode(signature + "=="), head.encode(), padding.PKCS1v15(), hashes.SHA256())
