"""What the tests of the Gemini emulator share: the SDK's client, inputs, runs, and names for what became of a row."""

from __future__ import annotations

import io
import json
from typing import Any, Final

import httpx2
from google import genai
from google.genai import types

from batchdrop_local.emulators.gemini import GeminiEmulator

MODEL: Final = "gemini-2.5-flash"
KEY: Final = {"x-goog-api-key": "k"}
Row = dict[str, Any]


def connect(gemini: GeminiEmulator, version: str = "v1beta") -> genai.Client:
    """Return the unmodified SDK's client."""
    options = types.HttpOptions(base_url=gemini.url, api_version=version, timeout=20_000)
    return genai.Client(api_key="k", vertexai=False, http_options=options)


def line(key: object, text: str, **more: Any) -> bytes:
    """Write one line of an input file."""
    request = {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}
    return json.dumps({"key": key, "request": request}).encode() + b"\n"


def upload(client: genai.Client, content: bytes, **config: Any) -> types.File:
    """Upload bytes as an input file."""
    return client.files.upload(file=io.BytesIO(content), config=types.UploadFileConfig(mime_type="jsonl", **config))


def run(client: genai.Client, content: bytes) -> tuple[types.BatchJob, list[Row]]:
    """Run a batch to its end; return it and its result rows."""
    file = upload(client, content)
    job = client.batches.create(model=MODEL, src=file.name or "", config={"display_name": "mine"})
    done = client.batches.get(name=job.name or "")
    return done, rows_of(client, done)


def rows_of(client: genai.Client, job: types.BatchJob) -> list[Row]:
    """Download the results of a batch."""
    assert job.dest is not None
    assert job.dest.file_name is not None
    return [json.loads(row) for row in client.files.download(file=job.dest.file_name).split(b"\n") if row]


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


def receive(url: str, into: list[bytes]) -> None:
    """Download, keeping what came before an error."""
    with httpx2.stream("GET", url, headers=KEY) as answer:
        for piece in answer.iter_raw():
            into.append(piece)  # noqa: PERF402 - extend would forget them when it raises
