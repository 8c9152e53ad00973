"""A provider in sixty lines: all that a new one has to write. It answers each request with its own text, in capitals.

Its line is `<id> <body>`, so that nothing can rely on another service's shape; its language is `fake_language`. A
request whose text is `fail` gets a fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from batchdrop.core.errors import PermanentError
from batchdrop.core.result.result import Fault, Result
from batchdrop.ports import (
    Batch,
    BatchKind,
    BatchPage,
    BatchState,
    Created,
    Facts,
    Found,
    Intent,
    ModelInfo,
    Part,
    Provider,
    Staged,
    Staging,
    Unit,
)
from batchdrop.providers.by_name import find_by_name

FACTS = Facts(
    kind="fake",
    dialect="fake",
    models=(r"fake-.*",),
    staging=Staging.FILE,
    unit=Unit.TOKENS,
    names_batches=True,
    id_pattern=r"[a-z0-9-]{1,40}",
    max_batch_requests=1_000,
    max_batch_bytes=1_000_000,
    max_file_bytes=0,
    max_batches=10,
    max_stored_bytes=10_000_000,
    file_life=48 * 3600.0,
    stuck_after=26 * 3600.0,
)


class FakeEnvelope:
    """`<id> <body>` out, `<id> <body>` or `<id> !<message>` in."""

    def line(self, id: bytes, body: bytes) -> bytes:
        return b"%b %b\n" % (id, body.replace(b"\n", b" "))

    def size(self, id_bytes: int, body_bytes: int) -> int:
        return id_bytes + body_bytes + 2

    def read(self, line: bytes) -> tuple[str, Result] | None:
        found = re.fullmatch(rb"([a-z0-9-]+) (!)?(.+)", line)
        if found is None:
            return None
        if found[2]:
            return found[1].decode(), Result(fault=Fault("FAKE_FAULT", found[3].decode(errors="replace")))
        return found[1].decode(), Result(msgspec.Raw(found[3]))


class FakeBatches:
    """Batches that have ended when they are looked at."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}

    def account(self) -> str:
        return "nobody's"

    def model_info(self, model: str) -> ModelInfo | None:
        return ModelInfo(frozenset(BatchKind)) if model == "fake-1" else None

    def stage(self, chunks: Iterable[bytes], *, size: int, name: str) -> Staged:
        data = b"".join(chunks)
        if len(data) != size:
            raise PermanentError("the lines have another length than planned", code="SIZE_MISMATCH")
        self.files[reference := f"{name}#{len(self.files)}"] = data
        return Staged(reference)

    def create(self, intent: Intent) -> Created:
        name = f"fake/{len(self.batches)}"
        state, part = BatchState.RUNNING, (intent.staged,)
        made = Batch(name, intent.name, intent.model, state, "busy", datetime.now(UTC), parts=part)
        self.batches[name] = made
        return made

    def find(self, intent: Intent, over: Callable[[], bool]) -> Found:
        return find_by_name(self.list, intent, over)

    def get(self, name: str) -> Batch | None:
        if name in self.batches and not self.batches[name].state.terminal:
            self.batches[name] = replace(self.batches[name], state=BatchState.SUCCEEDED, raw_state="done")
        return self.batches.get(name)

    def list(self, page_token: str | None = None) -> BatchPage:
        return BatchPage(tuple(self.batches.values()), page_token)

    def cancel(self, name: str) -> None:
        if name in self.batches:
            self.batches[name] = replace(self.batches[name], state=BatchState.CANCELLED, raw_state="stopped")

    def delete(self, name: str) -> None:
        self.batches.pop(name, None)

    def results(self, batch: Batch) -> Iterator[Part]:
        for part in batch.parts:
            yield Part(part, map(answered, reversed(self.files[part].splitlines())))


def answered(line: bytes) -> bytes:
    """Return the line of results for a request."""
    id, _, body = line.partition(b" ")
    text = json.loads(body)["say"]
    if text == "fail":
        return id + b" !it was told to\n"
    return b"%b %b\n" % (id, json.dumps({"said": text.upper()}).encode())


def fake(batches: FakeBatches) -> Provider:
    """Return the provider."""
    return Provider(FACTS, lambda _model, _kind: FakeEnvelope(), batches)
