"""The Gemini emulator and the unmodified Python SDK, on /v1 (its default) and /v1beta: every call the SDK can make."""

from __future__ import annotations

import base64
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.emulators.gemini_sdk import MODEL, connect, line, rows_of, run, upload

CHUNK = 8 * 1024**2


@pytest.fixture(params=["v1", "v1beta"])
def client(request: pytest.FixtureRequest, gemini: GeminiEmulator) -> genai.Client:
    """A client of one API version."""
    return connect(gemini, request.param)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 20_970_665])
def test_an_upload_of_any_size_arrives_whole(client: genai.Client, size: int) -> None:
    content = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    file = upload(client, content, display_name="input", name="my-name")
    assert (file.name, file.display_name, file.size_bytes) == ("files/my-name", "input", size)
    assert base64.b64decode(file.sha256_hash or "").decode() == hashlib.sha256(content).hexdigest()
    assert client.files.download(file="files/my-name") == content


def test_files_are_uploaded_by_path_listed_in_pages_and_deleted(client: genai.Client, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(line("a", "one"))
    names = [client.files.upload(file=path, config={"mime_type": "jsonl"}).name or "" for _ in range(5)]
    listed = [file.name for file in client.files.list(config={"page_size": 2})]
    assert listed == names[::-1]
    client.files.delete(name=names[0])
    with pytest.raises(errors.ClientError) as refused:
        client.files.get(name=names[0])
    assert refused.value.code == 403


def test_a_file_name_is_taken_once(client: genai.Client) -> None:
    upload(client, b"x", name="mine")
    with pytest.raises(errors.ClientError) as refused:
        upload(client, b"x", name="mine")
    assert (refused.value.code, refused.value.status) == (409, "ALREADY_EXISTS")


def test_a_batch_from_a_file_answers_every_line_by_key(client: genai.Client) -> None:
    keys: list[object] = ["a", "\u2028", "ключ", 'quote " \\', 7]
    job, rows = run(client, b"".join(line(key, f"text {key}") for key in keys))
    assert (job.state, job.display_name, job.model) == (types.JobState.JOB_STATE_SUCCEEDED, "mine", f"models/{MODEL}")
    assert job.done
    assert job.create_time is not None
    assert job.end_time is not None
    assert [row["key"] for row in rows] == keys
    assert all(row["response"]["candidates"][0]["content"]["parts"][0]["text"] for row in rows)


def test_results_stream_to_a_file(client: genai.Client, tmp_path: Path) -> None:
    job, rows = run(client, b"".join(line(n, f"text {n}") for n in range(100)))
    assert job.dest is not None
    client.files.download(file=job.dest.file_name or "", destination=str(tmp_path / "out.jsonl"))
    assert [json.loads(row) for row in (tmp_path / "out.jsonl").read_bytes().splitlines()] == rows


def test_the_output_file_can_only_be_downloaded(client: genai.Client) -> None:
    job, _ = run(client, line("a", "one"))
    assert job.dest is not None
    name = job.dest.file_name or ""
    assert len(name.removeprefix("files/")) == 42
    for refused in (client.files.get, client.files.delete):
        with pytest.raises(errors.ClientError, match="40 characters"):
            refused(name=name)


def test_an_inline_batch_answers_inline_with_its_metadata(client: genai.Client) -> None:
    config: Any = {
        "system_instruction": "be nice",
        "max_output_tokens": 100,
        "response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT", "properties": {"a_name": {"type": "STRING"}}, "required": ["a_name"]},
        "thinking_config": {"thinking_budget": 5},
    }
    requests: Any = [
        {"contents": [{"parts": [{"text": "hi"}], "role": "user"}], "metadata": {"a_key": "r1"}, "config": config},
        {"contents": [{"parts": [{"text": "[[emulate:error=8]]"}], "role": "user"}], "metadata": {"a_key": "r2"}},
    ]
    job = client.batches.create(model=MODEL, src=requests)
    found = client.batches.get(name=job.name or "")
    assert found.dest is not None
    first, second = found.dest.inlined_responses or []
    assert (first.metadata, second.metadata) == ({"a_key": "r1"}, {"a_key": "r2"})
    assert first.response is not None
    assert "a_name" in json.loads(first.response.text or "")
    assert first.response.usage_metadata is not None
    assert first.response.usage_metadata.thoughts_token_count == 5
    assert second.error is not None
    assert second.error.code == 8
    assert next(iter(client.batches.list())).dest is None


def test_embedding_batches_answer_unit_vectors(client: genai.Client) -> None:
    body = [
        {"key": n, "request": {"content": {"parts": [{"text": f"t{n}"}]}, "output_dimensionality": 8}} for n in (1, 2)
    ]
    file = upload(client, b"".join(json.dumps(item).encode() + b"\n" for item in body))
    inline: Any = {
        "inlined_requests": {"contents": [{"parts": [{"text": "one"}]}], "config": {"output_dimensionality": 4}}
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = client.batches.create_embeddings(model="gemini-embedding-001", src={"file_name": file.name})
        small = client.batches.create_embeddings(model="gemini-embedding-001", src=inline)
    for row in rows_of(client, client.batches.get(name=made.name or "")):
        values = row["response"]["embedding"]["values"]
        assert (len(values), row["response"]["tokenCount"]) == (8, "1")
        assert sum(value * value for value in values) == pytest.approx(1, abs=1e-6)
    found = client.batches.get(name=small.name or "").dest
    assert found is not None
    assert found.inlined_embed_content_responses is not None
    first = found.inlined_embed_content_responses[0].response
    assert first is not None
    assert first.embedding is not None
    assert len(first.embedding.values or []) == 4


def test_batches_are_listed_in_pages_cancelled_and_deleted(client: genai.Client, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(pending_seconds=10, running_seconds=10)
    file = upload(client, line("a", "one"))
    names = [client.batches.create(model=MODEL, src=file.name or "").name or "" for _ in range(5)]
    assert [job.name for job in client.batches.list(config={"page_size": 2})] == names[::-1]
    assert client.batches.get(name=names[0]).state == types.JobState.JOB_STATE_PENDING
    gemini.advance(11)
    assert client.batches.get(name=names[0]).state == types.JobState.JOB_STATE_RUNNING
    client.batches.cancel(name=names[0])
    assert client.batches.get(name=names[0]).state == types.JobState.JOB_STATE_CANCELLED
    client.batches.delete(name=names[0])
    assert names[0] not in [job.name for job in client.batches.list()]
    with pytest.raises(errors.ClientError) as refused:
        client.batches.get(name=names[0])
    assert refused.value.code == 404


def test_unknown_models_are_refused_everywhere(client: genai.Client) -> None:
    file = upload(client, line("a", "one"))
    for call in (
        lambda: client.batches.create(model="gemini-0", src=file.name or ""),
        lambda: client.models.count_tokens(model="gemini-0", contents="x"),
        lambda: client.models.generate_content(model="gemini-0", contents="x"),
        lambda: client.models.get(model="gemini-0"),
    ):
        with pytest.raises(errors.ClientError) as refused:
            call()
        assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")


def test_tokens_are_counted_and_single_requests_answered(client: genai.Client) -> None:
    assert client.models.count_tokens(model=MODEL, contents="12345678").total_tokens == 2
    answer = client.models.generate_content(model=MODEL, contents="hello")
    usage = answer.usage_metadata
    assert answer.text
    assert usage is not None
    assert usage.total_token_count == (usage.prompt_token_count or 0) + (usage.candidates_token_count or 0)
    vectors = client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    assert [len(item.values or []) for item in vectors.embeddings or []] == [3072, 3072]
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"
    assert f"models/{MODEL}" in [model.name for model in client.models.list(config={"page_size": 3})]


def test_cached_contents_live_as_long_as_they_were_told(client: genai.Client, gemini: GeminiEmulator) -> None:
    cache = client.caches.create(model=MODEL, config={"contents": "x" * 9000, "ttl": "60s", "display_name": "c"})
    name = cache.name or ""
    answer = client.models.generate_content(model=MODEL, contents="1234", config={"cached_content": name})
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.cached_content_token_count == 2250
    assert answer.usage_metadata.prompt_token_count == 2251
    changed = client.caches.update(name=name, config={"ttl": "7200s"})
    assert changed.expire_time is not None
    assert cache.expire_time is not None
    assert changed.expire_time > cache.expire_time
    gemini.advance(7000)
    assert [item.name for item in client.caches.list()] == [name]
    gemini.advance(300)
    with pytest.raises(errors.ClientError):
        client.caches.get(name=name)


def test_a_deleted_cache_is_gone(client: genai.Client) -> None:
    name = client.caches.create(model=MODEL, config={"contents": "x" * 9000}).name or ""
    client.caches.delete(name=name)
    assert list(client.caches.list()) == []


def test_a_cache_below_its_minimum_is_refused(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match="too small"):
        client.caches.create(model=MODEL, config={"contents": "x" * 8000})


def test_webhooks_are_kept(client: genai.Client) -> None:
    hook = client.webhooks.create(uri="http://127.0.0.1:9/h", subscribed_events=["batch.succeeded"])
    assert (hook.new_signing_secret or "").startswith("whsec_")
    identity = hook.id or ""
    assert client.webhooks.update(id=identity, state="disabled").state == "disabled"
    assert [item.id for item in client.webhooks.list().webhooks or []] == [identity]
    assert (client.webhooks.rotate_signing_secret(id=identity).secret or "") != hook.new_signing_secret
    client.webhooks.delete(id=identity)
    assert not client.webhooks.list().webhooks
