"""What can go wrong with rows and batches in the Gemini emulator; calls that go wrong are in test_gemini_calls.py."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from google import genai
from google.genai import errors, types

from batchdrop_local.emulators.gemini import Faults, GeminiEmulator, RowFaults
from batchdrop_local.emulators.gemini.batches import EXPIRY_SECONDS
from tests.emulators.gemini_sdk import MODEL, connect, create, kind, line, many, operation, rows_of, run, upload


@pytest.fixture
def client(gemini: GeminiEmulator) -> genai.Client:
    """A client with the version we pin."""
    return connect(gemini)


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
        cache = client.caches.create(model=MODEL, config={"contents": "x" * 9000, "ttl": ttl})
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
