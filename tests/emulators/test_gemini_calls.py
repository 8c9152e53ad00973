"""Calls that go wrong in the Gemini emulator, and the control endpoint."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import httpx2
import pytest
from google import genai
from google.genai import errors

from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.emulators.gemini_sdk import KEY, MODEL, connect, create, line, many, operation, receive, run, upload


@pytest.fixture
def client(gemini: GeminiEmulator) -> genai.Client:
    """A client with the version we pin."""
    return connect(gemini)


def test_a_lost_create_exists_and_is_found_by_its_name(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault(call="create", lose=True, times=1),))
    with pytest.raises(httpx2.RemoteProtocolError):
        create(client, name="lost")
    assert [job.display_name for job in client.batches.list()] == ["lost"]
    create(client, name="lost")
    stats = gemini.stats()
    assert (stats["creates_received"], stats["duplicate_display_names"]) == (2, ["lost"])


def test_a_hanging_create_times_out_for_the_caller_and_exists(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault(call="create", hang_seconds=60, times=1),))
    file = upload(client, line("a", "one"))
    with pytest.raises(httpx2.TimeoutException):
        client.batches.create(model=MODEL, src=file.name or "", config={"http_options": {"timeout": 200}})
    assert len(list(client.batches.list())) == 1


def test_a_late_create_appears_only_later(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(late_create_seconds=50, calls=(CallFault(call="create", lose=True),))
    with pytest.raises(httpx2.RemoteProtocolError):
        create(client)
    gemini.faults = Faults(late_create_seconds=50)
    answered = create(client)
    assert list(client.batches.list()) == []
    with pytest.raises(errors.ClientError):
        client.batches.get(name=answered.name or "")
    gemini.advance(51)
    assert len(list(client.batches.list())) == 2
    assert client.batches.get(name=answered.name or "").name == answered.name


def test_a_lagging_list_shows_a_batch_later_than_get(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(list_lag_seconds=50)
    job = create(client)
    assert client.batches.get(name=job.name or "").name == job.name
    assert list(client.batches.list()) == []
    gemini.advance(51)
    assert len(list(client.batches.list())) == 1


def test_list_pages_are_small_or_end_too_early(client: genai.Client, gemini: GeminiEmulator) -> None:
    for _ in range(5):
        create(client)
    gemini.faults = Faults(page_size=2)
    assert len(list(client.batches.list(config={"page_size": 100}))) == 5
    assert gemini.calls["list"] == 3
    gemini.faults = Faults(list_limit=3)
    assert len(list(client.batches.list())) == 3
    gemini.faults = Faults(calls=(CallFault(call="list", cut_after_bytes=100),))
    with pytest.raises(httpx2.RemoteProtocolError):
        list(client.batches.list())


@pytest.mark.parametrize("after", [0, 1, 5000])
def test_a_cut_download_ends_with_an_error_after_so_many_bytes(
    client: genai.Client, gemini: GeminiEmulator, after: int
) -> None:
    job, _ = run(client, many())
    assert job.dest is not None
    gemini.faults = Faults(calls=(CallFault(call="download", cut_after_bytes=after, times=2),))
    for name in (job.dest.file_name, upload(client, many()).name):
        received: list[bytes] = []
        with pytest.raises(httpx2.RemoteProtocolError):
            receive(f"{gemini.url}/v1beta/{name}:download?alt=media", received)
        assert len(b"".join(received)) == after


def test_bursts_hit_so_many_calls_of_a_kind_and_carry_the_wait(client: genai.Client, gemini: GeminiEmulator) -> None:
    burst = (
        CallFault(call="create", status=429, retry_seconds=12.5, times=2, skip=1),
        CallFault(call="get", status=503),
    )
    gemini.faults = Faults(calls=burst)
    file = upload(client, line("a", "one"))
    client.batches.create(model=MODEL, src=file.name or "")
    for _ in range(2):
        with pytest.raises(errors.ClientError, match="refuse") as limited:
            client.batches.create(model=MODEL, src=file.name or "")
        assert limited.value.code == 429
        assert "'retryDelay': '12.5s'" in str(cast("object", limited.value.details))
    client.batches.create(model=MODEL, src=file.name or "")
    with pytest.raises(errors.ServerError) as refused:
        client.batches.get(name="batches/x")
    assert (refused.value.code, refused.value.status) == (503, "UNAVAILABLE")


def test_a_rate_of_calls_fails_the_same_way_in_every_run(gemini: GeminiEmulator) -> None:
    def outcome() -> list[int]:
        gemini.faults = Faults(calls=(CallFault(call="models", status=500, rate=0.3),))
        with httpx2.Client(headers=KEY) as http:
            return [http.get(f"{gemini.url}/v1/models").status_code for _ in range(100)]

    first = outcome()
    assert 15 < first.count(500) < 45
    assert outcome() == first


def test_a_delay_holds_a_call_and_stopping_lets_it_go(tmp_path: Path) -> None:
    faults = Faults(calls=(CallFault(call="models.list", delay_seconds=600),))
    with GeminiEmulator(data_dir=tmp_path, faults=faults) as gemini:
        failed = threading.Event()

        def call() -> None:
            try:
                httpx2.get(f"{gemini.url}/v1/models", headers=KEY, timeout=60)
            except httpx2.HTTPError:
                failed.set()

        caller = threading.Thread(target=call)
        caller.start()
        while not gemini.calls["models.list"]:
            threading.Event().wait(0.005)
    caller.join(10)
    assert not caller.is_alive()


def test_a_dropped_chunk_breaks_the_upload(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault(call="upload.chunk", drop=True, times=1),))
    with pytest.raises(httpx2.RemoteProtocolError):
        upload(client, b"x" * 100)
    assert gemini.files() == []
    upload(client, b"x" * 100)
    assert len(gemini.files()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"rows":{"error_rate":1.5}}',
        b'{"rows":{"error_rate":0.6,"blocked_rate":0.6}}',
        b'{"pending_seconds":-1}',
        b'{"no_such_fault":1}',
        b'{"calls":[{"call":"get","status":200}]}',
        b"{",
    ],
)
def test_faults_that_make_no_sense_are_refused(gemini: GeminiEmulator, wrong: bytes) -> None:
    answer = httpx2.put(f"{gemini.url}/control/faults", content=wrong)
    assert answer.status_code == 400
    assert gemini.faults == Faults()


def test_the_control_endpoint_sets_forces_advances_counts_and_resets(
    client: genai.Client, gemini: GeminiEmulator
) -> None:
    control = f"{gemini.url}/control"
    assert httpx2.put(f"{control}/faults", json={"running_seconds": 10}).json() == {"running_seconds": 10}
    job = create(client)
    httpx2.post(f"{control}/advance", json={"seconds": 11})
    assert operation(gemini, job)["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"
    httpx2.post(f"{control}/{job.name}/state", json={"state": "FAILED"})
    assert operation(gemini, job)["metadata"]["state"] == "BATCH_STATE_FAILED"
    stats = httpx2.get(f"{control}/stats").json()
    assert (stats["batches"], stats["requests"], stats["files"]) == ({"FAILED": 1}, 1, 1)
    assert stats["calls"]["upload"] == 2
    httpx2.post(f"{control}/reset")
    assert httpx2.get(f"{control}/stats").json()["batches"] == {}
