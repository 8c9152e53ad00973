"""The Vertex AI emulator, driven by the unmodified SDK, and by plain HTTP where the SDK drops what the service says."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from batchdrop_local.emulators.gemini import CallFault, RowFaults
from batchdrop_local.emulators.vertex import Faults, VertexEmulator

MODEL: Final = "gemini-2.5-flash"
PARENT: Final = "/v1/projects/acme/locations/europe-west4/batchPredictionJobs"
Json = dict[str, Any]


class Buckets:
    """Objects in memory; each write is a generation of its own."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.writes = 0

    def exists(self, bucket: str, name: str) -> bool:
        return (bucket, name) in self.objects

    def read(self, bucket: str, name: str) -> Iterator[bytes]:
        yield self.objects[bucket, name]

    def write(self, bucket: str, name: str, pieces: Iterable[bytes]) -> None:
        self.objects[bucket, name] = b"".join(pieces)
        self.writes += 1

    def rows(self) -> list[Json]:
        """Return all rows, in the order of objects and lines."""
        names = sorted(name for _, name in self.objects if "predictions" in name)
        return [json.loads(row) for name in names for row in self.objects["work", name].splitlines()]


@pytest.fixture
def buckets() -> Buckets:
    return Buckets()


@pytest.fixture
def vertex(tmp_path: Path, buckets: Buckets) -> Generator[VertexEmulator]:
    """An emulator whose clock stands still."""
    with VertexEmulator(data_dir=tmp_path / "vertex", storage=buckets, clock=lambda: 1_750_000_000.0) as emulator:
        yield emulator


def connect(vertex: VertexEmulator, location: str = "europe-west4") -> genai.Client:
    options = types.HttpOptions(base_url=vertex.url, api_version="v1", timeout=20_000)
    return genai.Client(
        vertexai=True, project="acme", location=location, credentials=Credentials("a token"), http_options=options
    )


@pytest.fixture
def sdk(vertex: VertexEmulator) -> genai.Client:
    return connect(vertex)


@pytest.fixture
def http(vertex: VertexEmulator) -> Generator[httpx2.Client]:
    with httpx2.Client(base_url=vertex.url, headers={"Authorization": "Bearer t"}, timeout=20) as client:
        yield client


def line(number: int, text: str, **more: Any) -> bytes:
    request = {"contents": [{"role": "user", "parts": [{"text": text}]}], "system_instruction": None}
    return json.dumps({"key": f"k-{number}", "request": request, **more}).encode() + b"\n"


@pytest.fixture
def make(sdk: genai.Client, buckets: Buckets) -> Callable[..., str]:
    """Create a job of so many lines; return its name."""

    def make(count: int = 10, name: str = "mine", **labels: str) -> str:
        buckets.objects["work", "in.jsonl"] = b"".join(line(number, f"text {number}") for number in range(count))
        body = {"labels": labels} if labels else None
        config = types.CreateBatchJobConfig(
            display_name=name, dest="gs://work/out/", http_options=types.HttpOptions(extra_body=body)
        )
        return sdk.batches.create(model=MODEL, src="gs://work/in.jsonl", config=config).name or ""

    return make


def test_a_job_reads_and_writes_objects_and_says_where(
    make: Callable[..., str], sdk: genai.Client, buckets: Buckets, http: httpx2.Client
) -> None:
    name = make(10)
    job = sdk.batches.get(name=name)
    assert job.state == types.JobState.JOB_STATE_SUCCEEDED
    assert job.model == f"publishers/google/models/{MODEL}"
    assert name.startswith("projects/"), "the service answers with the project's number"
    assert not name.startswith("projects/acme/")
    rows = buckets.rows()
    assert sorted(row["key"] for row in rows) == sorted(f"k-{number}" for number in range(10))
    assert all(row["status"] == "" and row["response"]["candidates"] for row in rows)
    assert rows[0]["request"]["contents"][0]["parts"][0]["fileData"] is None, "the echo is normalised"
    shown = http.get(f"/v1/{name}").json()
    assert shown["completionStats"] == {"successfulCount": "10"}
    folder = shown["outputInfo"]["gcsOutputDirectory"].removeprefix("gs://work/")
    assert all(name == "in.jsonl" or name.startswith(folder) for _, name in buckets.objects)


def test_labels_are_kept_and_filtered_by(make: Callable[..., str], http: httpx2.Client) -> None:
    wanted, _ = make(1, batchdrop_shard="a-1", team="red"), make(1, batchdrop_shard="b-1", team="red")

    def found(text: str) -> list[str]:
        page = http.get(PARENT, params={"filter": text}).json()
        return [job["name"] for job in page.get("batchPredictionJobs", ())]

    assert found('labels.batchdrop_shard="a-1"') == [wanted]
    assert found('labels.team="red" AND NOT labels.batchdrop_shard="b-1"') == [wanted]
    assert len(found('displayName="mine"')) == 2
    assert found('state="JOB_STATE_FAILED"') == []
    assert http.get(PARENT, params={"filter": "anything"}).status_code == 400
    elsewhere = http.get(PARENT.replace("europe-west4", "global"), params={"filter": 'labels.team="red"'})
    assert elsewhere.json() == {}, "jobs live in a location"


@pytest.mark.parametrize("labels", [{"Team": "a"}, {"team": "Équipe"}, {"team": "a.b"}])
def test_labels_outside_the_alphabet_are_refused(make: Callable[..., str], labels: dict[str, str]) -> None:
    with pytest.raises(errors.ClientError) as caught:
        make(1, **labels)
    assert caught.value.code == 400


def test_pages_of_a_list_are_read_by_the_sdk(
    make: Callable[..., str], sdk: genai.Client, vertex: VertexEmulator
) -> None:
    vertex.faults = Faults(page_size=2)
    made = {make(1) for _ in range(5)}
    assert {job.name for job in sdk.batches.list()} == made


def test_failed_rows_have_a_status_text_whatever_the_jobs_state(
    make: Callable[..., str], sdk: genai.Client, buckets: Buckets, vertex: VertexEmulator
) -> None:
    vertex.faults = Faults(rows=RowFaults(error_rate=1.0, error_codes=(3,)))
    assert sdk.batches.get(name=make(3)).state == types.JobState.JOB_STATE_SUCCEEDED
    for row in buckets.rows():
        assert row["response"] == {}
        said = json.loads(row["status"][row["status"].index("{") :])
        assert said["error"]["code"] == 400


def test_ids_come_back_or_not(
    make: Callable[..., str], sdk: genai.Client, buckets: Buckets, vertex: VertexEmulator
) -> None:
    vertex.faults = Faults(echo_keys=False, reversed_rows=True, output_objects=3)
    sdk.batches.get(name=make(10))
    rows = buckets.rows()
    assert len(rows) == 10
    assert not any("key" in row for row in rows)
    assert rows[0]["request"]["contents"][0]["parts"][0]["text"] == "text 9"
    assert len([name for _, name in buckets.objects if "predictions_000" in name]) == 3


def test_output_grows_while_a_job_runs_and_after_its_end(
    make: Callable[..., str], sdk: genai.Client, buckets: Buckets, vertex: VertexEmulator
) -> None:
    vertex.faults = Faults(running_seconds=100, running_share=0.5, late_seconds=60)
    name = make(100)
    assert sdk.batches.get(name=name).state == types.JobState.JOB_STATE_RUNNING
    early = len(buckets.rows())
    vertex.advance(100)
    assert sdk.batches.get(name=name).state == types.JobState.JOB_STATE_SUCCEEDED
    at_end = len(buckets.rows())
    vertex.advance(60)
    sdk.batches.get(name=name)
    assert 0 < early < 100
    assert 0 < at_end < 100
    assert len(buckets.rows()) == 100
    assert buckets.writes == 3, "each time another generation"


def test_a_cancelled_job_keeps_what_it_did(
    make: Callable[..., str], sdk: genai.Client, buckets: Buckets, vertex: VertexEmulator
) -> None:
    vertex.faults = Faults(running_seconds=1000, cancel_seconds=10, answered_share=0.5)
    name = make(100)
    sdk.batches.cancel(name=name)
    assert sdk.batches.get(name=name).state == types.JobState.JOB_STATE_CANCELLING
    with pytest.raises(errors.ClientError):
        sdk.batches.delete(name=name)
    vertex.advance(10)
    assert sdk.batches.get(name=name).state == types.JobState.JOB_STATE_CANCELLED
    assert 20 < len(buckets.rows()) < 80
    sdk.batches.delete(name=name)
    assert len(buckets.rows()) > 20, "deleting a job leaves its output"
    with pytest.raises(errors.ClientError) as caught:
        sdk.batches.get(name=name)
    assert caught.value.code == 404


def test_an_input_that_is_not_there_fails_the_job(sdk: genai.Client) -> None:
    config = types.CreateBatchJobConfig(display_name="mine", dest="gs://work/out/")
    made = sdk.batches.create(model=MODEL, src="gs://work/none.jsonl", config=config)
    found = sdk.batches.get(name=made.name or "")
    assert found.state == types.JobState.JOB_STATE_FAILED
    assert found.error is not None
    assert found.error.message is not None
    assert "none.jsonl" in found.error.message


def test_a_lost_answer_leaves_a_job_behind(
    make: Callable[..., str], http: httpx2.Client, vertex: VertexEmulator
) -> None:
    vertex.faults = Faults(calls=(CallFault(call="create", times=1, lose=True),))
    with pytest.raises(httpx2.HTTPError):
        make(1, batchdrop_shard="a-1")
    page = http.get(PARENT, params={"filter": 'labels.batchdrop_shard="a-1"'}).json()
    assert len(page["batchPredictionJobs"]) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_calls_are_refused_as_told(make: Callable[..., str], vertex: VertexEmulator, status: int) -> None:
    vertex.faults = Faults(calls=(CallFault(call="create", times=1, status=status),))
    with pytest.raises(errors.APIError) as caught:
        make(1)
    assert caught.value.code == status
    assert make(1)


def test_calls_without_credentials_are_refused(vertex: VertexEmulator) -> None:
    assert httpx2.get(f"{vertex.url}{PARENT}").status_code == 401


def test_models_are_known_or_not(sdk: genai.Client) -> None:
    assert sdk.models.get(model=MODEL).name == f"publishers/google/models/{MODEL}"
    with pytest.raises(errors.ClientError) as caught:
        sdk.models.get(model="nobodys-model")
    assert caught.value.code == 404


def test_a_restart_knows_its_jobs(tmp_path: Path, buckets: Buckets) -> None:
    with VertexEmulator(data_dir=tmp_path / "v", storage=buckets) as first:
        buckets.objects["work", "in.jsonl"] = line(1, "one")
        config = types.CreateBatchJobConfig(display_name="mine", dest="gs://work/out/")
        client = connect(first)
        name = client.batches.create(model=MODEL, src="gs://work/in.jsonl", config=config).name or ""
    with VertexEmulator(data_dir=tmp_path / "v", storage=buckets) as second:
        client = connect(second)
        assert client.batches.get(name=name).state == types.JobState.JOB_STATE_SUCCEEDED
