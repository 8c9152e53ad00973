"""The main job, from an uploaded file to rows, and its plain failures."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from decimal import Decimal

import pytest

from batchdrop_local.emulators.gemini import Faults, GeminiEmulator, RowFaults
from tests.harness import Stack, assert_accounted, jsonl, lines, request

Make = Callable[..., Stack]


def test_every_line_becomes_one_result_in_input_order(stack: Stack) -> None:
    job = stack.run(stack.upload("team-a/reviews.jsonl", lines(*(f"review {n}" for n in range(50)))))
    assert (job.state, job.verdict, job.team) == ("DONE", "complete", "team-a")
    assert_accounted(stack, job)
    rows = stack.rows(job, "results")
    assert [row["line"] for row in rows] == list(range(1, 51))
    assert [row["key"] for row in rows] == [f"k{n}" for n in range(1, 51)]
    assert set(rows[0]) == {
        "line",
        "key",
        "outcome",
        "text",
        "finish_reason",
        "usage",
        "model",
        "round",
        "files",
        "response",
    }


def test_the_completion_message_says_what_happened_and_where(stack: Stack) -> None:
    info = stack.upload("a.jsonl", lines("one"), {"label-cost-center": "42", "label-team": "blue"})
    job = stack.run(info)
    [(data, attributes)] = stack.completions()
    assert data["manifest"] == job.manifest
    assert data["counts"]["results"] == 1
    assert data["schema"] == "batchdrop.job/1"
    assert attributes["state"] == "DONE"
    assert attributes["verdict"] == "complete"
    assert attributes["team"] == "blue"
    assert attributes["label-cost-center"] == "42"
    assert attributes["bucket"] == "input"
    assert attributes["object"] == "a.jsonl"


def test_the_manifest_describes_every_part(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one", "two [[emulate:error=3]]") + b"{}\n"))
    body = stack.manifest(job)
    output = stack.output(job)
    assert {part["name"] for part in body["parts"]} == set(output) - {"manifest.json"}
    for part in body["parts"]:
        assert part["bytes"] == len(output[part["name"]])
        assert part["rows"] == output[part["name"]].count(b"\n")
    assert body["source"]["generation"] == job.source.generation
    assert body["batches"][0]["state"] == "BATCH_STATE_SUCCEEDED"
    assert body["counts"]["by_outcome"] == {"answered": 1, "error": 1}


def test_work_objects_and_provider_files_are_removed_at_the_end(stack: Stack) -> None:
    stack.run(stack.upload("a.jsonl", lines("one")))
    assert stack.objects.list("work").objects == ()
    assert stack.gemini.files() == []
    assert stack.gemini.batches() == []


@pytest.mark.parametrize(
    ("data", "blank"),
    [
        (lines("one", "two").rstrip(b"\n"), 0),
        (lines("one", "two").replace(b"\n", b"\r\n"), 0),
        (b"\xef\xbb\xbf" + lines("one", "two"), 0),
        (b"\xef\xbb\xbf\n" + lines("one", "two"), 1),
        (lines("one").replace(b"\n", b"\n\n  \n") + lines("two"), 2),
        (lines("one", "two") + b"\n\n", 2),
    ],
    ids=[
        "no final newline",
        "CRLF",
        "byte order mark",
        "byte order mark on a line of its own",
        "blank lines between",
        "blank lines at the end",
    ],
)
def test_odd_line_ends_lose_nothing(stack: Stack, data: bytes, blank: int) -> None:
    job = stack.run(stack.upload("a.jsonl", data))
    assert (job.counts.results, job.counts.blank) == (2, blank)
    assert_accounted(stack, job)


def test_odd_keys_come_back_as_they_were(stack: Stack) -> None:
    keys = ["\u2028", "ключ", "", 7, 7.5, None, True, "dup", "dup", 'quo"te', "\u0085", "😀"]
    job = stack.run(stack.upload("a.jsonl", jsonl({"key": key, "request": request("x")} for key in keys)))
    assert [row["key"] for row in stack.rows(job, "results")] == keys
    assert (job.counts.duplicate_keys, job.counts.missing_keys) == (1, 1)


def test_a_line_without_a_key_is_answered_under_null(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", jsonl([{"request": request("x")}])))
    assert stack.rows(job, "results")[0]["key"] is None
    assert job.counts.missing_keys == 1


def test_separators_inside_strings_do_not_cut_lines(stack: Stack) -> None:
    data = jsonl([{"key": "a\u2028b", "request": request("first\u2028second\u2029third\u0085")}])
    job = stack.run(stack.upload("a.jsonl", data))
    assert (job.counts.lines, job.counts.results) == (1, 1)


def test_bad_lines_are_named_by_line_and_field_and_the_rest_runs(stack: Stack) -> None:
    data = (
        lines("one")
        + b'{"key":"x","request":{"contents":[{"parts":[{"text":"y"}]}],"temperature":1}}\n'
        + b"not json\n"
        + lines("four")
    )
    job = stack.run(stack.upload("a.jsonl", data))
    assert (job.state, job.verdict) == ("DONE", "partial")
    assert_accounted(stack, job)
    first, second = stack.rows(job, "rejections")
    assert (first["line"], first["code"], first["pointer"]) == (2, "MISPLACED_FIELD", "/request/temperature")
    assert first["key"] == "x"
    assert "generationConfig" in first["message"]
    assert (second["line"], second["code"]) == (3, "NOT_JSON")


def test_a_line_over_the_limit_is_rejected_and_the_next_one_runs(stack_with: Make) -> None:
    stack = stack_with(max_line_bytes=300)
    job = stack.run(stack.upload("a.jsonl", lines("x" * 400, "short")))
    assert [row["code"] for row in stack.rows(job, "rejections")] == ["LINE_TOO_LONG"]
    assert [row["line"] for row in stack.rows(job, "results")] == [2]


def test_embeddings_and_generations_do_not_mix(stack: Stack) -> None:
    embed = {"key": "e", "request": {"content": {"parts": [{"text": "x"}]}}}
    job = stack.run(stack.upload("a.jsonl", lines("one") + jsonl([embed])))
    assert [row["code"] for row in stack.rows(job, "rejections")] == ["MIXED_KINDS"]


def test_an_embedding_upload_is_answered_with_vectors(stack: Stack) -> None:
    entries = [
        {"key": n, "request": {"content": {"parts": [{"text": f"text {n}"}]}, "outputDimensionality": 8}}
        for n in range(3)
    ]
    job = stack.run(stack.upload("a.jsonl", jsonl(entries), {"model": "gemini-embedding-001"}))
    rows = stack.rows(job, "results")
    assert [len(row["response"]["embedding"]["values"]) for row in rows] == [8, 8, 8]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "EMPTY_UPLOAD"),
        (b"\n \n", "EMPTY_UPLOAD"),
        (b'[{"key":1}]', "NOT_JSONL"),
        (b"PK\x03\x04zip", "NOT_JSONL"),
        ("{}".encode("utf-16"), "NOT_JSONL"),
        (b"\x00\x01\x02", "NOT_JSONL"),
        (b"hello\nworld\n", "ALL_LINES_REJECTED"),
    ],
)
def test_a_file_that_cannot_run_is_rejected_with_a_reason(stack: Stack, data: bytes, code: str) -> None:
    job = stack.run(stack.upload("a.jsonl", data))
    assert job.state == "REJECTED"
    assert job.failure is not None
    assert job.failure.code == code
    assert stack.manifest(job)["error"]["code"] == code
    [(message, attributes)] = stack.completions()
    assert (message["error"]["code"], attributes["state"]) == (code, "REJECTED")
    assert stack.gemini.calls["create"] == 0


def test_a_rejected_file_still_reports_its_lines(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", b"hello\nworld\n"))
    assert [row["line"] for row in stack.rows(job, "rejections")] == [1, 2]


def test_the_strict_policy_runs_nothing_when_a_line_is_bad(stack_with: Make) -> None:
    stack = stack_with(policy="strict")
    job = stack.run(stack.upload("a.jsonl", lines("one") + b"{}\n"))
    assert job.state == "REJECTED"
    assert job.failure is not None
    assert job.failure.code == "STRICT_POLICY"
    assert stack.gemini.calls["create"] == 0


def test_an_unknown_model_is_rejected_before_money_is_spent(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one"), {"model": "gemini-9-ultra"}))
    assert job.failure is not None
    assert (job.state, job.failure.code) == ("REJECTED", "UNKNOWN_MODEL")
    assert stack.gemini.calls["upload"] == 0


def test_a_model_outside_the_allow_list_is_rejected(stack_with: Make) -> None:
    stack = stack_with(models="gemini-2.5-flash")
    job = stack.run(stack.upload("a.jsonl", lines("one"), {"model": "gemini-2.5-pro"}))
    assert job.failure is not None
    assert job.failure.code == "UNKNOWN_MODEL"


def test_the_uploads_model_is_the_one_that_runs(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one"), {"model": "gemini-2.5-pro"}))
    assert stack.rows(job, "results")[0]["model"] == "gemini-2.5-pro"


@pytest.mark.parametrize(
    "name", ["notes.txt", ".hidden.jsonl", "a/", "gcloud/tmp/parallel_composite.jsonl", "x/.y/z.jsonl"]
)
def test_other_objects_are_not_uploads(stack: Stack, name: str) -> None:
    stack.upload(name, lines("one"))
    stack.deliver()
    assert stack.context_store_is_empty()


def test_a_gzip_upload_runs_like_its_content(stack: Stack) -> None:
    data = lines("one", "two", "three")
    job = stack.run(stack.upload("a.jsonl.gz", gzip.compress(data[:150]) + gzip.compress(data[150:])))
    assert (job.counts.lines, job.counts.results) == (3, 3)
    assert_accounted(stack, job)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (gzip.compress(lines("one"))[:-9], "GZIP_INVALID"),
        (b"\x1f\x8b\x08\x00garbage-garbage", "GZIP_INVALID"),
        (gzip.compress(b"\n" * 30_000_000), "GZIP_BOMB"),
    ],
    ids=["cut", "damaged", "bomb"],
)
def test_a_bad_gzip_upload_is_rejected(stack_with: Make, data: bytes, code: str) -> None:
    stack = stack_with(max_gzip_ratio=10)
    job = stack.run(stack.upload("a.jsonl.gz", data))
    assert job.failure is not None
    assert (job.state, job.failure.code) == ("REJECTED", code)


def test_a_large_upload_is_cut_into_shards_and_comes_back_as_one_job(stack_with: Make) -> None:
    stack = stack_with(range_lines=7, shard_requests=20)
    job = stack.run(stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(100)))))
    assert len(stack.shards(job.job_id)) == 5
    assert_accounted(stack, job)
    names = sorted(name for name in stack.output(job) if name.startswith("results"))
    assert len(names) > 10
    assert [row["line"] for row in stack.rows(job, "results")] == list(range(1, 101))


def test_planning_and_writing_continue_where_their_time_ended(stack_with: Make) -> None:
    stack = stack_with(range_lines=5, shard_requests=10, call_seconds=1e-9)
    job = stack.run(stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(40)))), until=lambda job: job.plan.step > 1)
    stack.overrides = {"range_lines": 5, "shard_requests": 10}
    job = stack.run(stack.objects_info(job))
    assert_accounted(stack, job)
    assert job.counts.results == 40


# ------------------------------------------------------------------------------------------- outcomes
def test_each_failure_of_a_row_is_told_apart(stack: Stack) -> None:
    texts = {
        "fine": "",
        "blocked prompt [[emulate:block]]": "PROMPT_PROHIBITED_CONTENT",
        "filtered answer [[emulate:filter]]": "ANSWER_SAFETY",
        "refused [[emulate:error=3]]": "PROVIDER_INVALID_ARGUMENT",
        "always internal [[emulate:error=13]]": "PROVIDER_INTERNAL",
        "empty [[emulate:empty]]": "EMPTY_ANSWER",
        "never answered [[emulate:missing]]": "NO_ANSWER",
    }
    job = stack.run(stack.upload("a.jsonl", lines(*texts)))
    assert_accounted(stack, job)
    codes = {row["line"]: row["code"] for row in stack.rows(job, "errors")}
    assert codes == {number: code for number, code in enumerate(texts.values(), 1) if code}
    assert job.counts.by_outcome == {"answered": 1, "blocked": 2, "empty": 1, "error": 2, "missing": 1}


def test_a_passing_failure_is_mended_in_a_later_round(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one", "two [[emulate:error-once=13]]", "three")))
    rows = stack.rows(job, "results")
    assert [(row["line"], row["round"]) for row in rows] == [(1, 0), (2, 1), (3, 0)]
    assert job.verdict == "complete"


def test_a_truncated_answer_is_asked_for_again_with_twice_the_room(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one", "long [[emulate:truncate=90]]", maxOutputTokens=60)))
    rows = stack.rows(job, "results")
    assert [(row["outcome"], row["round"]) for row in rows] == [("answered", 0), ("answered", 1)]


def test_an_answer_that_stays_truncated_is_kept_as_such(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("long [[emulate:truncate=9000]]", maxOutputTokens=60)))
    [row] = stack.rows(job, "results")
    assert (row["outcome"], row["finish_reason"]) == ("truncated", "MAX_TOKENS")
    assert job.verdict == "complete"


def test_invalid_json_is_asked_for_once_more(stack: Stack) -> None:
    config = {"responseMimeType": "application/json"}
    job = stack.run(stack.upload("a.jsonl", lines("fine", "bad [[emulate:invalid]]", **config)))
    [good] = stack.rows(job, "results")
    [bad] = stack.rows(job, "errors")
    assert isinstance(good["json"], dict)
    assert (bad["outcome"], bad["code"]) == ("invalid", "NOT_JSON")


def test_no_round_is_made_when_none_is_allowed(stack_with: Make) -> None:
    stack = stack_with(max_rounds=0)
    job = stack.run(stack.upload("a.jsonl", lines("one [[emulate:error-once=13]]")))
    assert len(stack.rows(job, "errors")) == 1
    assert len(stack.shards(job.job_id)) == 1


@pytest.mark.parametrize(
    ("limits", "code"), [({"max_upload_bytes": 10}, "UPLOAD_TOO_LARGE"), ({"max_lines": 2}, "TOO_MANY_LINES")]
)
def test_an_upload_over_a_limit_is_rejected_whole(
    stack_with: Callable[..., Stack], limits: dict[str, int], code: str
) -> None:
    stack = stack_with(**limits, range_lines=1)
    job = stack.run(stack.upload("a.jsonl", lines("one", "two", "three")))
    assert (job.state, job.failure and job.failure.code) == ("REJECTED", code)
    assert stack.gemini.calls["create"] == 0


@pytest.mark.parametrize("window", [1, 2_000, 1 << 25])
def test_results_in_any_order_come_back_in_input_order(stack_with: Make, gemini: GeminiEmulator, window: int) -> None:
    gemini.faults = Faults(rows=RowFaults(shuffle=True, duplicate_rate=0.3, missing_rate=0.1, unknown_rows=3))
    stack = stack_with(range_lines=7, window_bytes=window, max_rounds=0)
    job = stack.run(stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(60)))))
    assert_accounted(stack, job)
    assert job.counts.by_outcome["missing"] > 0
    assert [shard.unknown_rows for shard in stack.shards(job.job_id)] == [3]


def test_rows_lost_by_the_provider_are_asked_for_again(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(rows=RowFaults(missing_rate=0.3, heal=True))
    job = stack.run(stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(60)))))
    assert (job.counts.results, job.verdict) == (60, "complete")


def test_the_same_upload_gives_the_same_bytes(stack: Stack, stack_with: Make) -> None:
    data = lines(*(f"t{n} [[emulate:error-once=13]]" if n % 7 == 0 else f"t{n}" for n in range(40)))
    first = stack.run(stack.upload("a.jsonl", data))
    stack.gemini.reset()
    second = stack.run(stack.upload("b.jsonl", data, {"again": "1"}))
    one, two = stack.output(first), stack.output(second)
    del one["manifest.json"], two["manifest.json"]
    assert one == two


# -------------------------------------------------------------------------------------------- batches
@pytest.mark.parametrize(
    ("state", "code"),
    [("EXPIRED", "BATCH_EXPIRED"), ("CANCELLED", "BATCH_CANCELLED")],
)
def test_a_batch_that_ends_without_results_is_run_again_in_halves_then_reported(
    stack: Stack, gemini: GeminiEmulator, state: str, code: str
) -> None:
    gemini.faults = Faults(end_state=state)
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert [row["code"] for row in stack.rows(job, "errors")] == [code, code]
    assert_accounted(stack, job)
    assert gemini.calls["create"] == 1 + 2 + 2


def test_a_cancelled_batch_keeps_the_answers_it_has(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(end_state="CANCELLED", cancelled_keep_results=True, answered_share=0.5)
    job = stack.run(stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(40)))))
    assert job.counts.results > 5
    assert_accounted(stack, job)


def test_a_partially_succeeded_batch_is_completed_by_a_round(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(end_state="PARTIALLY_SUCCEEDED", answered_share=0.5)
    info = stack.upload("a.jsonl", lines(*(f"t{n}" for n in range(40))))
    stack.run(info, until=lambda job: any(shard.round for shard in stack.shards(job.job_id)))
    gemini.faults = Faults()
    job = stack.run(info)
    assert (job.counts.results, job.verdict) == (40, "complete")


def test_a_failed_batch_is_halved_until_the_poison_line_stands_alone(stack: Stack) -> None:
    texts = [f"t{n}" for n in range(20)]
    texts[13] += " [[emulate:poison]]"
    job = stack.run(stack.upload("a.jsonl", lines(*texts)))
    [row] = stack.rows(job, "errors")
    assert (row["line"], row["code"]) == (14, "BATCH_FAILED_INVALID_ARGUMENT")
    assert job.counts.results == 19
    assert_accounted(stack, job)


def test_a_state_nobody_knows_is_polled_on_and_alarmed_never_success(
    stack: Stack, gemini: GeminiEmulator, log: object
) -> None:
    gemini.faults = Faults(hold_state="RECALIBRATING")
    info = stack.upload("a.jsonl", lines("one"))
    for _ in range(6):
        stack.deliver()
        stack.tick()
    job = stack.find_by(info)
    assert job.state == "RUNNING"
    [shard] = stack.shards(job.job_id)
    assert (shard.state, shard.batch.state, shard.batch.raw_state) == (
        "SUBMITTED",
        "UNKNOWN",
        "BATCH_STATE_RECALIBRATING",
    )
    assert "unknown batch state" in str(log.getvalue())  # type: ignore[attr-defined]
    gemini.faults = Faults()
    [batch] = gemini.batches()
    gemini.force(batch["name"], "SUCCEEDED")
    assert stack.run(info).counts.results == 1


@pytest.mark.embedded_only("26 hours of ticks take two minutes there; test_deadlines has shorter ones")
def test_a_batch_that_never_ends_is_cancelled_and_its_lines_reported(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(hold_state="RUNNING")
    job = stack.run(stack.upload("a.jsonl", lines("one")), rounds=20_000)
    assert gemini.calls["cancel"] >= 1
    [row] = stack.rows(job, "errors")
    assert row["outcome"] == "missing"
    assert_accounted(stack, job)


# -------------------------------------------------------------------------------------------- uploads
def test_an_upload_delivered_twice_runs_once(stack: Stack) -> None:
    info = stack.upload("a.jsonl", lines("one"))
    stack.announce(info)
    job = stack.run(info)
    stack.announce(info)
    stack.deliver()
    assert stack.gemini.calls["create"] == 1
    assert len(stack.completions()) == 1
    assert job.counts.results == 1


def test_an_upload_overwritten_while_it_runs_is_answered_for_the_bytes_it_had(stack: Stack) -> None:
    first = stack.upload("a.jsonl", lines("old one", "old two"))
    stack.deliver_one()
    second = stack.upload("a.jsonl", lines("new"))
    old, new = stack.run(first), stack.run(second)
    assert (old.counts.results, new.counts.results) == (2, 1)
    assert old.job_id != new.job_id


def test_an_upload_replaced_before_it_was_looked_at_is_gone_with_a_message(stack: Stack) -> None:
    first = stack.upload("a.jsonl", lines("old"))
    second = stack.upload("a.jsonl", lines("new"))
    old, new = stack.run(first), stack.run(second)
    assert (old.state, new.state) == ("GONE", "DONE")
    assert {data["state"] for data, _ in stack.completions()} == {"GONE", "DONE"}


def test_the_same_bytes_uploaded_again_at_once_are_a_duplicate(stack: Stack) -> None:
    first = stack.run(stack.upload("a.jsonl", lines("one")))
    second = stack.run(stack.upload("a.jsonl", lines("one")))
    assert (first.state, second.state) == ("DONE", "DUPLICATE")
    assert second.duplicate_of == first.job_id
    assert stack.gemini.calls["create"] == 1


def test_the_same_bytes_uploaded_later_run_again(stack_with: Make) -> None:
    stack = stack_with(duplicate_days=0)
    stack.run(stack.upload("a.jsonl", lines("one")))
    assert stack.run(stack.upload("a.jsonl", lines("one"))).state == "DONE"


# ------------------------------------------------------------------------------------------ cancelling
def test_a_cancelled_job_stops_and_accounts_for_every_line(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = stack.upload("a.jsonl", lines("one", "two"))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    stack.want(info, "cancel")
    job = stack.run(info)
    assert job.state == "CANCELLED"
    assert [row["code"] for row in stack.rows(job, "errors")] == ["CANCELLED", "CANCELLED"]
    assert_accounted(stack, job)
    assert gemini.calls["create"] == 1


def test_a_job_cancelled_before_it_was_planned_never_reaches_the_provider(stack: Stack, gemini: GeminiEmulator) -> None:
    info = stack.upload("a.jsonl", lines("one"))
    stack.receive_only(info)
    stack.want(info, "cancel")
    job = stack.run(info)
    assert (job.state, gemini.calls["upload"]) == ("CANCELLED", 0)


# ----------------------------------------------------------------------------------- many ranges in a shard
@pytest.mark.embedded_only("500 ranges take half a minute there; the lists are work objects on both")
def test_a_shard_of_more_ranges_than_its_document_holds_writes_every_row(
    stack_with: Callable[..., Stack], gemini: GeminiEmulator
) -> None:
    stack = stack_with(range_lines=1)
    texts = [f"t{number}" + (" [[emulate:missing-once]]" if number < 503 else "") for number in range(510)]
    job = stack.run(stack.upload("a.jsonl", lines(*texts)))
    assert_accounted(stack, job)
    assert (job.counts.results, job.verdict) == (510, "complete")
    shards = stack.shards(job.job_id)
    assert [shard.listed_segments for shard in shards if shard.kind == "plan"] == [510]
    assert all(len(shard.segments) <= 500 and len(shard.lists) <= 500 for shard in shards)
    assert Decimal(stack.manifest(job)["cost"]["amount"]) > 0
