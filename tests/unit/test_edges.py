"""The edges: messages, names, settings, logs, answers, and files that are not what they seem."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core import logs
from batchdrop.core.errors import (
    BatchdropError,
    CapacityError,
    ConfigurationError,
    LeaseLostError,
    PermanentError,
    TransientError,
    UnknownOutcomeError,
)
from batchdrop.core.limits import LIMITS
from batchdrop.core.settings import PollSettings, SubmitSettings, WriteSettings, load
from batchdrop.core.state import names
from batchdrop.core.state.messages import Uploaded, Wake, decode_message, decode_push
from batchdrop.core.upload.kinds import is_upload
from batchdrop.core.upload.sniff import gunzip, not_jsonl
from batchdrop.handling import answered
from batchdrop.providers.gemini.facts import facts_of
from batchdrop.wiring import providers_of
from tests.harness import NOWHERE

JOB = "0" * 32


def push(data: bytes = b"{}", attributes: Any = None, **more: Any) -> bytes:
    message: dict[str, Any] = {
        "data": base64.b64encode(data).decode(),
        "attributes": attributes or {},
        "messageId": "7",
    }
    return json.dumps({"message": message, "subscription": "s", **more}).encode()


# -------------------------------------------------------------------------------------------- messages
def test_a_notification_names_one_generation() -> None:
    attributes = {"eventType": "OBJECT_FINALIZE", "bucketId": "b", "objectId": "a/é", "objectGeneration": "17"}
    found = decode_push(push(attributes=attributes, deliveryAttempt=3))
    assert (found.message_id, found.delivery_attempt) == ("7", 3)
    assert decode_message(found) == Uploaded("b", "a/é", 17)


def test_other_notifications_are_passed_over() -> None:
    assert decode_message(decode_push(push(attributes={"eventType": "OBJECT_DELETE"}))) is None


@pytest.mark.parametrize("wake", [Wake(JOB), Wake(JOB, f"{JOB}-00001")])
def test_a_wake_is_read_back(wake: Wake) -> None:
    assert decode_message(decode_push(push(wake.encode()))) == wake


@pytest.mark.parametrize("job_id", ["", "../x", JOB[:31], JOB + "0", "A" * 32, "__x__", 7, None])
@pytest.mark.parametrize("shard_id", [None, f"{JOB}-00001"])
def test_a_wake_of_no_job_of_ours_is_named(job_id: object, shard_id: str | None) -> None:
    data = json.dumps({"schema": "batchdrop.wake/1", "job_id": job_id, "shard_id": shard_id}).encode()
    with pytest.raises(PermanentError) as caught:
        decode_message(decode_push(push(data)))
    assert caught.value.code == "WAKE_INVALID"


@pytest.mark.parametrize("shard_id", ["", "a/b/c", JOB, f"{JOB}-", f"{JOB}-0001", f"{JOB}-00001/x", "." * 32, 7, []])
def test_a_wake_of_no_shard_of_ours_is_named(shard_id: object) -> None:
    data = json.dumps({"schema": "batchdrop.wake/1", "job_id": JOB, "shard_id": shard_id}).encode()
    with pytest.raises(PermanentError) as caught:
        decode_message(decode_push(push(data)))
    assert caught.value.code == "WAKE_INVALID"


def test_every_id_we_make_passes_for_one() -> None:
    job = names.job_id("input", "a.jsonl", 1)
    plan = [names.shard_id(job, index) for index in (0, 99_999, 100_000)]
    assert names.is_job_id(job)
    assert all(map(names.is_shard_id, [*plan, names.child_id(plan[0], "again", 0)]))


def test_a_wake_of_a_later_version_is_understood() -> None:
    data = json.dumps({"schema": "batchdrop.wake/2", "job_id": JOB, "shard_id": None, "more": 1}).encode()
    assert decode_message(decode_push(push(data))) == Wake(JOB)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"7", b'{"message":[]}', b'{"message":{"data":"?"}}', b"[" * 9999])
def test_what_is_no_push_is_named(body: bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        decode_push(body)
    assert caught.value.code == "PUSH_INVALID"


def test_a_push_without_data_is_a_push() -> None:
    assert decode_push(b'{"message":{"attributes":{"a":"b"}}}').data == b""


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"schema":"other/1","job_id":"x"}', b'{"job_id":"x"}'])
def test_what_is_no_wake_is_named(data: bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        decode_message(decode_push(push(data)))
    assert caught.value.code == "WAKE_INVALID"


def test_a_notification_without_its_attributes_is_named() -> None:
    with pytest.raises(PermanentError) as caught:
        decode_message(decode_push(push(attributes={"eventType": "OBJECT_FINALIZE"})))
    assert caught.value.code == "NOTIFICATION_INVALID"


@given(st.binary(max_size=200))
def test_no_body_makes_the_decoder_fail_otherwise(body: bytes) -> None:
    try:
        decode_message(decode_push(body))
    except PermanentError:
        pass


# --------------------------------------------------------------------------------------------- answers
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 204),
        (PermanentError("x"), 204),
        (LeaseLostError("x"), 204),
        (TransientError("x"), 503),
        (UnknownOutcomeError("x"), 503),
        (CapacityError("x"), 503),
        (ConfigurationError("x"), 503),
        (ValueError("a secret text"), 503),
        (RecursionError(), 503),
    ],
)
def test_an_answer_is_204_or_503_and_quotes_nothing(error: Exception | None, status: int, log: io.StringIO) -> None:
    def work() -> None:
        if error is not None:
            raise error

    assert answered(work) == ("", status)
    assert "secret" not in log.getvalue()
    assert error is None or isinstance(error, LeaseLostError) or "severity" in log.getvalue()


def test_every_error_has_a_code() -> None:
    for kind in BatchdropError.__subclasses__():
        assert kind("sentence").code == kind.default_code != BatchdropError.default_code


# ----------------------------------------------------------------------------------------------- names
def test_ids_are_the_same_for_the_same_thing_only() -> None:
    assert names.job_id("b", "a/é", 1) == names.job_id("b", "a/é", 1)
    assert (
        len({names.job_id(b, n, g) for b, n, g in (("b", "a", 1), ("b", "a", 2), ("b/a", "", 1), ("c", "a", 1))}) == 4
    )
    shard = names.shard_id(JOB, 3)
    assert names.child_id(shard, "again", 0) == names.child_id(shard, "again", 0)
    assert names.child_id(shard, "again", 0) != names.child_id(shard, "longer", 0)
    assert names.child_id(shard, "again", 0).startswith(f"{JOB}-")


def test_display_names_belong_to_one_stack() -> None:
    for shard in (names.shard_id(JOB, 3), names.child_id(names.shard_id(JOB, 3), "split", 1)):
        name = names.display_name("abc123", shard)
        assert names.shard_of_display_name("abc123", name) == shard
        assert names.shard_of_display_name("other", name) is None
    for foreign in ("bd.abc123.", "my batch", "bd.abc123.../../x", f"xbd.abc123.{JOB}-1"):
        assert names.shard_of_display_name("abc123", foreign) is None


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("a/b.jsonl", f"a/b.jsonl/{JOB}/"),
        ("x" * 901, f"_/{JOB}/"),
        ("é" * 451, f"_/{JOB}/"),
        ("a\nb", f"_/{JOB}/"),
        ("a\x85b", f"_/{JOB}/"),
        ("../a", f"_/{JOB}/"),
        ("a//b", f"_/{JOB}/"),
        ("a/./b", f"_/{JOB}/"),
    ],
)
def test_output_goes_beside_the_uploads_name_or_to_a_safe_place(name: str, prefix: str) -> None:
    assert names.output_prefix(name, JOB) == prefix


@given(st.text(max_size=300))
def test_no_name_leaves_its_folder(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    prefix = names.output_prefix(name, JOB)
    assert prefix.endswith(f"/{JOB}/")
    assert ".." not in prefix.split("/")


@pytest.mark.parametrize(
    ("name", "upload"),
    [
        ("a.jsonl", True),
        ("a/b.ndjson", True),
        ("a.jsonl.gz", True),
        ("a.json", False),
        ("a/", False),
        (".a.jsonl", False),
        ("a/.b/c.jsonl", False),
        ("gcloud/tmp/x.jsonl", False),
        ("team/gsutil/tmp/x.jsonl", False),
        ("mygcloud/tmp/x.jsonl", True),
    ],
)
def test_what_an_upload_is(name: str, upload: bool) -> None:
    assert is_upload(name) is upload


# -------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("settings", "variables", "word"),
    [
        (SubmitSettings, {"LEASE_SECONDS": "10"}, "lease_seconds"),
        (SubmitSettings, {"CALL_SECONDS": "9999"}, "call_seconds"),
        (SubmitSettings, {"RECORD_DAYS": "9", "SWEEP_DAYS": "9"}, "record_days"),
        (SubmitSettings, {"QUARANTINE_SECONDS": "1"}, "quarantine_seconds"),
        (SubmitSettings, {"QUARANTINE_SECONDS": "119"}, "quarantine_seconds"),
        (SubmitSettings, {"CALL_SECONDS": "50"}, "create_timeout_seconds"),
        (SubmitSettings, {"CREATE_TIMEOUT_SECONDS": "400"}, "call_seconds"),
        (SubmitSettings, {"HELD_DAYS": "30"}, "held_days"),
        (SubmitSettings, {"DUPLICATE_DAYS": "31"}, "duplicate_days"),
        (PollSettings, {"BATCH_DEADLINE_HOURS": "48"}, "batch_deadline_hours"),
        (PollSettings, {"BATCH_DEADLINE_HOURS_BY_MODEL": '{"m": 50}'}, "batch_deadline_hours"),
        (PollSettings, {"SWEEP_SECONDS": "1800", "CACHE_SECONDS": "3600"}, "cache_seconds"),
        (WriteSettings, {"FINISH_TIMEOUT_SECONDS": "200"}, "finish_timeout_seconds"),
        (SubmitSettings, {"POLICY": "loose"}, "POLICY"),
        (WriteSettings, {"WINDOW_BYTES": "0"}, "WINDOW_BYTES"),
        (PollSettings, {"DUE_LIMIT": "many"}, "DUE_LIMIT"),
    ],
)
def test_wrong_settings_are_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, settings: type[SubmitSettings], variables: dict[str, str], word: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"BATCHDROP_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        providers_of(load(settings), NOWHERE)
    assert caught.value.code == "SETTINGS_INVALID"
    assert word in caught.value.sentence


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        (SubmitSettings, {"QUARANTINE_SECONDS": "120"}),
        (SubmitSettings, {"CALL_SECONDS": "120"}),
        (SubmitSettings, {"HELD_DAYS": "29", "DUPLICATE_DAYS": "30"}),
        (PollSettings, {"BATCH_DEADLINE_HOURS": "47"}),
        (WriteSettings, {"FINISH_TIMEOUT_SECONDS": "120"}),
    ],
)
def test_settings_that_just_fit_are_taken(
    monkeypatch: pytest.MonkeyPatch, settings: type[SubmitSettings], variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"BATCHDROP_{name}", value)
    load(settings)


def test_all_relations_that_are_broken_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HELD_DAYS": "30", "DUPLICATE_DAYS": "31", "QUARANTINE_SECONDS": "1"}.items():
        monkeypatch.setenv(f"BATCHDROP_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load(SubmitSettings)
    assert all(word in caught.value.sentence for word in ("held_days", "duplicate_days", "quarantine_seconds"))


def test_limits_have_sources_and_the_longest_model_name_rules() -> None:
    assert all(limit.source and limit.unit for limit in LIMITS.values())
    assert facts_of(1).tokens_of("gemini-2.5-flash-lite-001") == 10_000_000
    assert facts_of(1).tokens_of("gemini-2.5-flash") == 3_000_000
    assert facts_of(1).tokens_of("something-else") == 3_000_000


def test_a_log_line_is_one_line_of_json() -> None:
    with io.StringIO() as out, logs.to(out):
        logs.log("what happened", severity="ERROR", text="a\nb\u2028c", count=1)
        [line] = out.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["severity"], entry["message"], entry["text"], entry["count"]) == (
        "ERROR",
        "what happened",
        "a\nb\u2028c",
        1,
    )


# ------------------------------------------------------------------------------------------- file kinds
@pytest.mark.parametrize("head", [b"", b"{}", b'\xef\xbb\xbf{"a":1}', b"  \n{", b"\xc3\xa9", b"hello"])
def test_what_may_be_json_lines_is_let_through(head: bytes) -> None:
    assert not_jsonl(head) is None


pieces = st.lists(st.binary(max_size=300), max_size=5)


@given(pieces, st.integers(1, 50))
def test_gzip_of_any_number_of_members_is_undone(members: list[bytes], size: int) -> None:
    packed = b"".join(map(gzip.compress, members))
    if not packed:
        return
    chunks = (packed[start : start + size] for start in range(0, len(packed), size))
    assert b"".join(gunzip(chunks, max_bytes=1 << 20, max_ratio=1000)) == b"".join(members)


@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_make_gunzip_fail_otherwise(data: bytes) -> None:
    try:
        b"".join(gunzip(iter([b"\x1f\x8b", data]), max_bytes=1 << 20, max_ratio=1000))
    except PermanentError as error:
        assert error.code in ("GZIP_INVALID", "GZIP_BOMB")  # noqa: PT017


def test_the_functions_import_without_io(tmp_path: Path) -> None:
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[2]
    for name in ("submit", "poll", "write"):
        code = (
            "import socket, importlib.util as u\n"
            "def refuse(*a, **k): raise SystemExit('network at import')\n"
            "socket.socket.connect = refuse\n"
            f"s = u.spec_from_file_location('m', {str(root / 'functions' / name / 'main.py')!r})\n"
            "m = u.module_from_spec(s); s.loader.exec_module(m)\n"
            "import sys; assert not any(n.startswith(('google.cloud.storage', 'google.genai')) for n in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root / "shared")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "head",
    [
        b'{"key":1}\n{"key":"\x00"}\n{"key":2}\n',
        b'[1,2]\n{"key":1}\n{"key":2}\n',
        b'\xef\xbb\xbf[\n{"key":1}\n{"key":2}\n',
    ],
)
def test_one_bad_line_among_lines_does_not_refuse_the_upload(head: bytes) -> None:
    assert not_jsonl(head) is None


@pytest.mark.parametrize(
    "head", [b'[\n{"key":1},\n{"key":2}\n]\n', b'[{"key":1}]', b"\x00\x01\x02", b'[\n{"key":1}\n]\n']
)
def test_an_array_and_binary_data_are_still_no_lines(head: bytes) -> None:
    assert not_jsonl(head) is not None
