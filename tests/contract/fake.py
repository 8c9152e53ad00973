"""A provider in a hundred lines: all that a new one has to write. It answers a request with its own text in capitals.

Its line is `<id> <body>`, so that nothing can rely on another service's shape; its language is `fake_language`. A
request whose text is `fail` gets a fault. It comes in six kinds, as services do: its input is a file of its own, an
object that it reads when results are asked for, or a body that `create` sends; and its batches carry a name, or none.
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
    Mark,
    ModelInfo,
    Objects,
    Part,
    Provider,
    Sight,
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
    """Batches that have ended when they are looked at; `objects` are those of the stack, for what lies in WORK."""

    def __init__(self, facts: Facts = FACTS, objects: Objects | None = None) -> None:
        self.facts = facts
        self.objects = objects
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.made = 0
        self.hanging: set[str] = set()

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

    def delete_file(self, name: str) -> None:
        self.files.pop(name, None)

    def mark(self) -> Mark | None:
        return None if self.facts.names_batches else Mark(at=datetime.now(UTC), newest=next(reversed(self.batches), ""))

    def create(self, intent: Intent) -> Created:
        name, source = f"fake/{self.made}", intent.staged
        self.made += 1
        if self.facts.staging is Staging.STREAM:
            self.files[source := f"body of {name}"] = self.read(intent.staged)
        ours = intent.name if self.facts.names_batches else ""
        made = Batch(name, ours, intent.model, BatchState.RUNNING, "busy", datetime.now(UTC), parts=(source,))
        self.batches[name] = made
        return made

    def read(self, reference: str) -> bytes:
        """Return what lies in a file, or in an object of WORK: its length is known before it is read."""
        if reference in self.files:
            return self.files[reference]
        bucket, _, name = reference.removeprefix("gs://").partition("/")
        assert self.objects is not None
        info = self.objects.stat(bucket, name)
        assert info is not None
        data = b"".join(self.objects.read(bucket, name, generation=info.generation))
        assert len(data) == info.size
        return data

    def find(self, intent: Intent, over: Callable[[], bool]) -> Found:
        if self.facts.names_batches:
            return find_by_name(self.list, intent, over)
        since = intent.mark.at if intent.mark else datetime.fromtimestamp(0, UTC)
        later = [batch for batch in self.list().batches if batch.created_at >= since]
        candidates = tuple(batch for batch in later if self.may_be(batch, intent))
        ours = tuple(batch for batch in candidates if batch.state.terminal)
        for batch in candidates:
            self.get(batch.name)  # what runs has ended when it is looked for again
        return Found(Sight.OURS, ours) if ours else Found(Sight.IN_DOUBT if candidates else Sight.NONE, candidates)

    def may_be(self, batch: Batch, intent: Intent) -> bool:
        """Tell whether a batch has the right count and, when it has ended, the ids of the intent."""
        lines = self.read(batch.parts[0]).splitlines()
        ids = not batch.state.terminal or lines[0].startswith(intent.wire.encode())
        return ids and len(lines) == intent.requests and batch.name not in intent.past

    def get(self, name: str) -> Batch | None:
        if name in self.batches and not self.batches[name].state.terminal and name not in self.hanging:
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
            yield Part(part, map(answered, reversed(self.read(part).splitlines())))


def answered(line: bytes) -> bytes:
    """Return the line of results for a request."""
    id, _, body = line.partition(b" ")
    text = json.loads(body)["say"]
    if text == "fail":
        return id + b" !it was told to\n"
    return b"%b %b\n" % (id, json.dumps({"said": text.upper()}).encode())


def fake(batches: FakeBatches) -> Provider:
    """Return the provider."""
    inputs = batches if batches.facts.staging is Staging.FILE else None
    return Provider(batches.facts, lambda _model, _kind: FakeEnvelope(), batches, inputs)
