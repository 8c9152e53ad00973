"""Every fault of the Gemini emulator, seen through the Python SDK or on the wire."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec
import pytest
from google import genai
from google.genai import errors, types

from infra.local.gemini import CallFault, Faults, GeminiEmulator, RowFaults
from infra.local.gemini.batches import EXPIRY_SECONDS
from tests.emulator.test_gemini_sdk import MODEL, Row, line, rows_of, run, upload

KEY = {"x-goog-api-key": "k"}


@pytest.fixture
def client(gemini: GeminiEmulator) -> genai.Client:
    """A client with the version we pin."""
    options = types.HttpOptions(base_url=gemini.url, api_version="v1beta", timeout=20_000)
    return genai.Client(api_key="k", vertexai=False, http_options=options)


def many(count: int = 400) -> bytes:
    """Write an input of so many lines."""
    return b"".join(line(f"k{n}", f"text {n}", generationConfig={"maxOutputTokens": 100}) for n in range(count))


def kind(row: Row) -> str:
    """Name what happened to a row."""
    if "error" in row:
        return f"error {row['error']['code']}"
    response = row["response"]
    if "promptFeedback" in response:
        return "blocked"
    candidate = response["candidates"][0]
    reason = str(candidate["finishReason"])
    return "empty" if reason == "STOP" and "parts" not in candidate["content"] else reason


def operation(gemini: GeminiEmulator, job: types.BatchJob) -> Row:
    """Return a batch as it is on the wire."""
    answer = httpx2.get(f"{gemini.url}/v1beta/{job.name}", headers=KEY)
    assert answer.status_code == 200
    body: Row = answer.json()
    return body


def create(client: genai.Client, content: bytes = b"", name: str = "mine") -> types.BatchJob:
    """Create a batch from a file."""
    file = upload(client, content or line("a", "one"))
    return client.batches.create(model=MODEL, src=file.name or "", config={"display_name": name})


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (RowFaults(error_rate=0.25), {"error 13", "STOP"}),
        (RowFaults(error_rate=0.5, error_codes=(3, 14)), {"error 3", "error 14", "STOP"}),
        (RowFaults(blocked_rate=0.25), {"blocked", "STOP"}),
        (RowFaults(empty_rate=0.25), {"empty", "STOP"}),
        (RowFaults(truncated_rate=0.25), {"MAX_TOKENS", "STOP"}),
    ],
)
def test_a_rate_hits_that_share_of_rows_the_same_in_every_batch(
    client: genai.Client, gemini: GeminiEmulator, rows: RowFaults, expected: set[str]
) -> None:
    gemini.faults = Faults(rows=rows)
    _, first = run(client, many())
    _, second = run(client, many())
    assert first == second
    found = Counter(kind(row) for row in first)
    assert set(found) == expected
    share = 1 - found["STOP"] / 400
    assert abs(share - max(rows.error_rate, rows.blocked_rate, rows.empty_rate, rows.truncated_rate)) < 0.08
    gemini.faults = Faults(rows=msgspec.structs.replace(rows), seed=2)
    assert run(client, many())[1] != first


def test_missing_rows_have_no_line_and_duplicated_rows_two(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(rows=RowFaults(missing_rate=0.2, duplicate_rate=0.2))
    _, rows = run(client, many())
    found = Counter(row["key"] for row in rows)
    assert 280 < len(found) < 360
    assert set(found.values()) == {1, 2}


def test_shuffled_rows_are_the_same_rows_in_another_order(client: genai.Client, gemini: GeminiEmulator) -> None:
    _, plain = run(client, many())
    gemini.faults = Faults(rows=RowFaults(shuffle=True, unknown_rows=2))
    _, shuffled = run(client, many())
    keys = [row["key"] for row in shuffled]
    assert keys[-2:] == ["nobody-0", "nobody-1"]
    assert keys[:-2] != [row["key"] for row in plain]
    assert sorted(shuffled[:-2], key=str) == sorted(plain, key=str)


def test_invalid_rows_are_not_json_although_a_schema_was_given(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(rows=RowFaults(invalid_rate=1))
    config = {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}}
    _, [row] = run(client, line("a", "one", generationConfig=config))
    with pytest.raises(json.JSONDecodeError):
        json.loads(row["response"]["candidates"][0]["content"]["parts"][0]["text"])


def test_healing_rows_fail_only_in_the_first_batch_that_holds_them(
    client: genai.Client, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(rows=RowFaults(error_rate=0.3, heal=True))
    first, rows = run(client, many(100))
    assert {kind(row) for row in rows} == {"error 13", "STOP"}
    assert {kind(row) for row in run(client, many(100))[1]} == {"STOP"}
    assert rows_of(client, first) == rows


@pytest.mark.parametrize(
    ("marker", "first", "second"),
    [
        ("block", ["blocked"], ["blocked"]),
        ("filter", ["SAFETY"], ["SAFETY"]),
        ("error=9", ["error 9"], ["error 9"]),
        ("error-once=13", ["error 13"], ["STOP"]),
        ("missing", [], []),
        ("missing-once", [], ["STOP"]),
        ("empty", ["empty"], ["empty"]),
        ("duplicate", ["STOP", "STOP"], ["STOP", "STOP"]),
        ("truncate=500", ["MAX_TOKENS"], ["STOP"]),
    ],
)
def test_a_marker_asks_for_a_fate(client: genai.Client, marker: str, first: list[str], second: list[str]) -> None:
    def fate(limit: int) -> list[str]:
        config = {"maxOutputTokens": limit}
        return [kind(row) for row in run(client, line("a", f"x [[emulate:{marker}]]", generationConfig=config))[1]]

    assert fate(100) == first
    assert fate(2000) == second


def test_lines_that_cannot_be_read_become_error_rows(client: genai.Client) -> None:
    bad = [b"{", b'{"key":"k2","request":7}', b"\xff\xfe", b'["x"]', b'{"key":"k5"}', b"[" * 5000]
    job, rows = run(client, b"\n".join([*bad, b"", b"   ", line("good", "one")]))
    assert [kind(row) for row in rows] == ["error 3"] * len(bad) + ["STOP"]
    assert [row["key"] for row in rows] == [None, "k2", None, None, "k5", None, "good"]
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("bad", [line("p", "[[emulate:poison]]"), b"{\n"])
def test_one_bad_line_fails_the_whole_batch(
    client: genai.Client, gemini: GeminiEmulator, bad: bytes, *, named: bool
) -> None:
    gemini.faults = Faults(malformed_fails_batch=True, poison_names_line=named)
    found = operation(gemini, create(client, line("a", "one") + bad + line("b", "two")))
    assert found["metadata"]["state"] == "BATCH_STATE_FAILED"
    assert found["error"]["code"] == 3
    assert ("line 2" in found["error"]["message"]) is named
    assert "response" not in found


def test_a_batch_goes_through_its_states_by_the_clock(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(pending_seconds=100, running_seconds=200)
    job = create(client)
    states: list[str] = []
    for _ in range(4):
        states.append(operation(gemini, job)["metadata"]["state"].removeprefix("BATCH_STATE_"))
        gemini.advance(99)
    assert states == ["PENDING", "PENDING", "RUNNING", "RUNNING"]
    assert operation(gemini, job)["done"] is True


@pytest.mark.parametrize(
    ("word", "done", "error", "output"),
    [
        ("SUCCEEDED", True, None, True),
        ("PARTIALLY_SUCCEEDED", True, None, True),
        ("FAILED", True, 13, False),
        ("EXPIRED", True, 4, False),
        ("CANCELLED", True, 1, False),
        ("RECALIBRATING", None, None, False),
    ],
)
def test_a_batch_ends_in_the_state_it_was_told(
    client: genai.Client, gemini: GeminiEmulator, word: str, *, done: bool | None, error: int | None, output: bool
) -> None:
    gemini.faults = Faults(end_state=word)
    job = create(client)
    found = operation(gemini, job)
    assert found["metadata"]["state"] == f"BATCH_STATE_{word}"
    assert found.get("done") is done
    assert found.get("error", {}).get("code") == error
    assert ("response" in found, "output" in found["metadata"]) == (output, output)


@pytest.mark.parametrize(("word", "later"), [("PENDING", "EXPIRED"), ("RUNNING", "EXPIRED"), ("SULKING", "SULKING")])
def test_a_held_state_stays_until_the_batch_expires(
    client: genai.Client, gemini: GeminiEmulator, word: str, later: str
) -> None:
    gemini.faults = Faults(hold_state=word)
    job = create(client)
    assert operation(gemini, job)["metadata"]["state"] == f"BATCH_STATE_{word}"
    gemini.advance(EXPIRY_SECONDS + 1)
    found = operation(gemini, job)
    assert found["metadata"]["state"] == f"BATCH_STATE_{later}"
    assert "response" not in found


def test_cancelling_takes_its_time_and_may_come_too_late(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=100, cancel_seconds=60)
    soon, late = create(client), create(client)
    client.batches.cancel(name=soon.name or "")
    assert operation(gemini, soon)["metadata"]["state"] == "BATCH_STATE_RUNNING"
    gemini.advance(70)
    client.batches.cancel(name=late.name or "")
    assert operation(gemini, soon)["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    gemini.advance(70)
    assert operation(gemini, late)["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"


@pytest.mark.parametrize("kept", [False, True])
def test_a_cancelled_batch_keeps_part_of_its_results_or_none(
    client: genai.Client, gemini: GeminiEmulator, *, kept: bool
) -> None:
    gemini.faults = Faults(running_seconds=100, cancelled_keep_results=kept, answered_share=0.5)
    job = create(client, many())
    client.batches.cancel(name=job.name or "")
    job = client.batches.get(name=job.name or "")
    assert job.state == types.JobState.JOB_STATE_CANCELLED
    assert (job.dest is not None and job.dest.file_name is not None) is kept
    if kept:
        assert 150 < len(rows_of(client, job)) < 250


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


def receive(url: str, into: list[bytes]) -> None:
    """Download, keeping what came before an error."""
    with httpx2.stream("GET", url, headers=KEY) as answer:
        for piece in answer.iter_raw():
            into.append(piece)  # noqa: PERF402 - extend would forget them when it raises


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


def test_limits_refuse_with_429(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=100, max_batches=1)
    create(client)
    with pytest.raises(errors.ClientError, match="concurrent"):
        create(client)
    gemini.faults = Faults(running_seconds=100, enqueued_tokens={MODEL: 100})
    with pytest.raises(errors.ClientError, match="enqueued tokens"):
        create(client, many(20))
    gemini.advance(101)
    create(client)
    gemini.faults = Faults(storage_bytes=1000)
    with pytest.raises(errors.ClientError, match="storage"):
        upload(client, b"x" * 1001)
    gemini.faults = Faults(file_bytes=100)
    with pytest.raises(errors.ClientError, match="exceeds the limit"):
        upload(client, b"x" * 101)


def test_files_expire_after_48_hours_but_their_batches_keep_the_input(
    client: genai.Client, gemini: GeminiEmulator
) -> None:
    job, rows = run(client, many(10))
    gemini.advance(EXPIRY_SECONDS + 1)
    assert list(client.files.list()) == []
    assert rows_of(client, job) == rows
    gemini.advance(43 * 86400)
    with pytest.raises(errors.ClientError):
        rows_of(client, job)


def test_a_cache_must_outlive_the_batch(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=100)
    outcomes: list[str] = []
    for ttl in ("50s", "500s"):
        cache = client.caches.create(model=MODEL, config={"contents": "x" * 40, "ttl": ttl})
        job = create(client, line("a", "one", cachedContent=cache.name))
        gemini.advance(101)
        outcomes.append(kind(rows_of(client, client.batches.get(name=job.name or ""))[0]))
    assert outcomes == ["error 5", "STOP"]


def test_structured_error_details_make_the_sdk_refuse_an_inline_job(
    client: genai.Client, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(rows=RowFaults(error_rate=1, error_details=True))
    requests: Any = [{"contents": [{"parts": [{"text": "hi"}]}]}]
    job = client.batches.create(model=MODEL, src=requests)
    with pytest.raises(ValueError, match="validation error"):
        client.batches.get(name=job.name or "")
    assert operation(gemini, job)["response"]["inlinedResponses"]["inlinedResponses"][0]["error"]["details"]


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
