"""What only Vertex AI does: rows by their status text, ids by the echoed request, jobs by their label in one call."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.core.errors import ConfigurationError
from batchdrop.core.settings import CommonSettings, load
from batchdrop.ports import Batch, BatchKind, BatchState, Busy, Cause, Intent, Refused, Sight, Unit, Unknown
from batchdrop.providers.vertex import wire
from batchdrop.providers.vertex.api import VertexApi
from batchdrop.providers.vertex.calls import address_of
from batchdrop.providers.vertex.envelope import VertexEnvelope
from batchdrop.providers.vertex.joining import Joining, digest_of, rows
from batchdrop.wiring import providers_of
from batchdrop_local.emulators.gemini import CallFault
from batchdrop_local.emulators.vertex import Faults, VertexEmulator
from batchdrop_local.stack.agent import Agent
from tests.harness import NOWHERE

MODEL = "gemini-2.5-flash"
REQUEST = b'{"contents":[{"parts":[{"text":"one"}]}]}'


@pytest.fixture
def objects(tmp_path: Path) -> DirectoryObjects:
    found = DirectoryObjects(tmp_path / "buckets")
    with found.create("work", "a.jsonl") as writer:
        writer.write(VertexEnvelope().line(b"wire-1", REQUEST))
        writer.close()
    return found


@pytest.fixture
def emulator(tmp_path: Path, objects: DirectoryObjects) -> Generator[VertexEmulator]:
    with VertexEmulator(data_dir=tmp_path / "vertex", storage=Agent(objects)) as found:
        yield found


@pytest.fixture
def api(emulator: VertexEmulator, objects: DirectoryObjects) -> VertexApi:
    return VertexApi(lambda: "a token", "acme", "europe-west4", objects, emulator.url)


def intent(name: str = "bd.stack.shard-1", attempt: int = 1) -> Intent:
    return Intent(name, MODEL, BatchKind.GENERATE, "gs://work/a.jsonl", requests=1, attempt=attempt)


def row(**members: Any) -> bytes:
    return json.dumps({"key": "wire-1", "request": {}, "response": {}, **members}).encode()


# ---------------------------------------------------------------------------------------------- rows
@pytest.mark.parametrize(
    ("status", "code", "message", "passing"),
    [
        (
            'Bad Request: {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}',
            "PROVIDER_INVALID_ARGUMENT",
            "no",
            False,
        ),
        ('{"error": {"code": 429, "message": "later"}}', "PROVIDER_RESOURCE_EXHAUSTED", "later", True),
        ('{"error": {"code": 403, "message": "no"}}', "PROVIDER_PERMISSION_DENIED", "no", False),
        (
            'X: {"error": {"code": 400, "message": "being provisioned", "status": "FAILED_PRECONDITION"}}',
            "PROVIDER_FAILED_PRECONDITION",
            "being provisioned",
            True,
        ),
        ("Something went wrong", "PROVIDER_UNKNOWN", "Something went wrong", True),
        ("half {", "PROVIDER_UNKNOWN", "half {", True),
    ],
)
def test_a_row_fails_by_its_status_text(status: str, code: str, message: str, passing: bool) -> None:
    opened = VertexEnvelope().read(row(status=status))
    assert opened is not None
    fault = opened[1].fault
    assert fault is not None
    assert (fault.code, fault.message, fault.passing) == (code, message, passing)


def test_an_empty_status_is_an_answer() -> None:
    opened = VertexEnvelope().read(row(status="", response={"candidates": []}))
    assert opened is not None
    assert opened[1].fault is None
    assert bytes(opened[1].body) == b'{"candidates": []}'


# --------------------------------------------------------------------------------------------- joining
SNAKE = b'{"generation_config":{"max_output_tokens":3,"temperature":1},"contents":[{"parts":[{"text":"x"}]}]}'
ECHO = (
    b'{"contents":[{"parts":[{"text":"x","fileData":null}],"role":null}],'
    b'"generationConfig":{"temperature":1.0,"maxOutputTokens":3},"safetySettings":null}'
)


def test_an_echo_has_the_digest_of_what_was_asked_and_another_request_has_not() -> None:
    assert digest_of(SNAKE) == digest_of(ECHO)
    assert digest_of(SNAKE) != digest_of(SNAKE.replace(b'"x"', b'"y"'))
    assert digest_of(SNAKE) != digest_of(SNAKE.replace(b":3", b":4"))
    assert digest_of(b"{") is None


def test_rows_are_joined_by_what_they_echo_and_never_by_position() -> None:
    staged = [VertexEnvelope().line(b"w-%d" % n, b'{"a":"%d"}' % (n // 2)).strip() for n in range(4)]
    joining = Joining(lambda: staged)
    texts = [b'{"request":{"a":"%d"},"status":""}' % n for n in (1, 0, 1, 0, 1, 7)]
    ids = [json.loads(joining.with_id(text)).get("key") for text in texts]
    assert ids == ["w-2", "w-0", "w-3", "w-1", None, None], "a row too many, and one of nobody, stay without an id"


def test_an_id_that_came_back_is_kept_and_nothing_is_read_for_it() -> None:
    def never() -> list[bytes]:
        raise AssertionError("what was staged is not needed")

    kept = b'{"key":"w-1","request":{"a":1}}'
    assert Joining(never).with_id(kept) == kept
    assert Joining(never).with_id(b"not json") == b"not json"


def test_a_null_key_gives_way() -> None:
    joining = Joining(lambda: [b'{"key":"w-1","request":{"a":1}}'])
    assert json.loads(joining.with_id(b'{"key":null,"request":{"a":1}}')) == {"key": "w-1", "request": {"a": 1}}


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_rows_are_whole_however_they_are_cut(size: int) -> None:
    data = b"one\ntwo\n\nthree"
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert list(rows(chunks)) == [b"one", b"two", b"", b"three"]


# ----------------------------------------------------------------------------------------------- calls
def test_a_job_is_found_by_its_label_in_one_call(api: VertexApi, emulator: VertexEmulator) -> None:
    for number in range(30):
        api.create(intent(f"bd.stack.other-{number}"))
    made = api.create(intent())
    assert isinstance(made, Batch)
    emulator.faults = Faults(page_size=10)
    before = emulator.calls["list"]
    found = api.find(intent(), lambda: False)
    assert (found.sight, [batch.name for batch in found.batches]) == (Sight.OURS, [made.name])
    assert emulator.calls["list"] - before == 1
    assert emulator.made()[-1]["labels"] == {
        "batchdrop_stack": "stack",
        "batchdrop_shard": "shard-1",
        "batchdrop_attempt": "1",
    }


def test_each_attempt_has_an_output_of_its_own(api: VertexApi, emulator: VertexEmulator) -> None:
    api.create(intent())
    api.create(intent(attempt=2))
    prefixes = {job["outputConfig"]["gcsDestination"]["outputUriPrefix"] for job in emulator.made()}
    assert prefixes == {"gs://work/a.jsonl.out/1/", "gs://work/a.jsonl.out/2/"}


@pytest.mark.parametrize(
    ("fault", "kind", "unit"),
    [
        (CallFault("create", status=400), Refused, None),
        (CallFault("create", status=429), Busy, Unit.BATCHES),
        (CallFault("create", status=403), Busy, None),
        (CallFault("create", status=500), Unknown, None),
        (CallFault("create", lose=True), Unknown, None),
        (CallFault("create", drop=True), Unknown, None),
    ],
)
def test_what_a_create_proves(
    api: VertexApi, emulator: VertexEmulator, fault: CallFault, kind: type[Any], unit: Unit | None
) -> None:
    emulator.faults = Faults(calls=(fault,))
    created = api.create(intent())
    assert isinstance(created, kind)
    assert not isinstance(created, Busy) or created.unit is unit
    assert emulator.calls["create"] == 1, "the SDK sent it twice"


def test_a_location_is_another_account(objects: DirectoryObjects) -> None:
    places = [VertexApi(lambda: "", "acme", place, objects).account() for place in ("global", "europe-west4")]
    assert len(set(places)) == 2


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("global", "https://aiplatform.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_each_location_has_its_address(location: str, address: str) -> None:
    assert address_of(location) == address


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("QUEUED", BatchState.PENDING),
        ("PAUSED", BatchState.RUNNING),
        ("CANCELLING", BatchState.CANCELLING),
        ("PARTIALLY_SUCCEEDED", BatchState.PARTIALLY_SUCCEEDED),
        ("EXPIRED", BatchState.EXPIRED),
        ("A_NEW_WORD", BatchState.UNKNOWN),
        ("", BatchState.UNKNOWN),
    ],
)
def test_every_state_word_is_read(word: str, state: BatchState) -> None:
    assert wire.batch({"name": "x", "state": f"JOB_STATE_{word}"}).state is state


@pytest.mark.parametrize(
    ("code", "more", "cause"),
    [
        (8, {}, Cause.WAIT),
        (9, {}, Cause.WAIT),
        (8, {"completionStats": {"successfulCount": "1"}}, Cause.POISON),
        (3, {}, Cause.POISON),
    ],
)
def test_a_job_goes_again_as_it_is_only_when_it_did_nothing(code: int, more: dict[str, Any], cause: Cause) -> None:
    job = {"name": "x", "state": "JOB_STATE_FAILED", "error": {"code": code}, **more}
    failed = wire.batch(job).failed
    assert failed is not None
    assert failed.cause is cause


def test_a_provider_without_a_location_is_refused_at_start() -> None:
    with pytest.raises(ConfigurationError) as caught:
        providers_of(load(CommonSettings, providers={"v": {"kind": "vertex"}}), NOWHERE)
    assert "needs a `location`" in caught.value.sentence


def test_nothing_secret_goes_over_plain_http(emulator: VertexEmulator) -> None:
    instance = {"kind": "vertex", "location": "global", "base_url": emulator.url}
    found = providers_of(load(CommonSettings, providers={"vertex_ai": instance}), NOWHERE)
    assert found["vertex_ai"].batches.list().batches == (), "no credentials were looked for"
