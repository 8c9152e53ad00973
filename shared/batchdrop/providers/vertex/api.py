"""Gemini on Vertex AI through google-genai: the calls of the port, and what jobs leave in buckets.

Creating, cancelling and deleting go through the SDK's methods. Looking goes through its HTTP client and reads the JSON
itself: the SDK drops labels, counts and the output's directory (google-genai 3.6.1).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from batchdrop.core.address import SCHEME, address
from batchdrop.core.errors import TransientError
from batchdrop.ports import (
    Batch,
    BatchKind,
    BatchPage,
    Busy,
    Created,
    Found,
    Intent,
    Mark,
    ModelInfo,
    Objects,
    Part,
    Provider,
    Refused,
    Unit,
    Unknown,
)
from batchdrop.providers.by_name import find_by_name
from batchdrop.providers.google import CALL_SECONDS, timeout
from batchdrop.providers.vertex import wire
from batchdrop.providers.vertex.calls import calls
from batchdrop.providers.vertex.envelope import VertexEnvelope
from batchdrop.providers.vertex.facts import FACTS
from batchdrop.providers.vertex.joining import Joining, rows

if TYPE_CHECKING:
    from google.genai import Client
    from google.genai.types import BatchJob

_EMBEDS: Final = re.compile(r".*embedding.*")
_BATCHES: Final = re.compile(r"gemini-(2\.5|3(\.\d+)?)-.*")
"""Those that the page "Batch inference with Gemini" names (read in a stored copy 2026-11-23)."""


class VertexApi:
    """One project and location of the service; `objects` are the stack's, among which jobs leave their rows."""

    def __init__(
        self,
        read_token: Callable[[], str],
        project: str,
        location: str,
        objects: Objects,
        base_url: str | None = None,
    ) -> None:
        """Open nothing yet."""
        self._parent = f"projects/{project}/locations/{location}"
        self._objects = objects
        self._calls = calls(read_token, project, location, base_url)

    def account(self) -> str:
        """Return a fingerprint of project and location; jobs of another location are in no list of this one."""
        return hashlib.sha256(self._parent.encode()).hexdigest()[:16]

    def model_info(self, model: str) -> ModelInfo | None:
        """Return what a model can do in batches as the documentation has it; the service says only that it exists."""
        if not re.fullmatch(r"[\w.@-]+", model):
            return None
        if self._calls.get(f"{wire.PUBLISHER}{model}") is None:
            return None
        if _EMBEDS.fullmatch(model):
            return ModelInfo(frozenset())
        said = _BATCHES.fullmatch(model) is not None
        return ModelInfo(frozenset({BatchKind.GENERATE}), said=said)

    # ----------------------------------------------------------------------------------------- batches
    def mark(self) -> Mark | None:
        """Say nothing: a job is found by its label."""
        return None

    def create(self, intent: Intent) -> Created:
        """Send one create call; what proves no refusal is Unknown."""
        job = self._calls.created(partial(_create, intent), Unit.BATCHES)
        if isinstance(job, Refused | Busy | Unknown):
            return job
        raw = job.state.value if job.state else ""
        return Batch(
            name=str(job.name),
            display_name=intent.name,
            model=intent.model,
            state=wire.state_of(raw),
            raw_state=raw,
            created_at=job.create_time or datetime.now(UTC),
        )

    def find(self, intent: Intent, over: Callable[[], bool]) -> Found:
        """Look for the shard's label by the service's own filter."""
        shard = wire.labels_of(intent)["batchdrop_shard"]
        wanted = partial(self._page, filter=f'labels.batchdrop_shard="{shard}"')
        return find_by_name(wanted, intent, over)

    def get(self, name: str) -> Batch | None:
        """Return the job, or None when the service does not know it; once it has ended, with its parts."""
        job = self._calls.get(name)
        if job is None:
            return None
        found = wire.batch(job)
        if not found.state.terminal:
            return found
        return wire.batch(job, tuple(self._parts(wire.directory(job))))

    def _parts(self, folder: str) -> Iterator[str]:
        """Yield the names of all objects of rows in a folder, in order."""
        bucket, prefix = address(folder)
        token: str | None = None
        while bucket:
            page = self._objects.list(bucket, prefix=prefix, page_token=token)
            for info in page.objects:
                if info.name.endswith(".jsonl"):
                    there = f"{SCHEME}{bucket}/{info.name}"
                    yield wire.part_of(there, info.generation)
            token = page.next_token
            if token is None:
                return

    def list(self, page_token: str | None = None) -> BatchPage:
        """Return one page of the location's jobs."""
        return self._page(page_token)

    def _page(self, page_token: str | None, **more: str) -> BatchPage:
        what = f"{self._parent}/batchPredictionJobs"
        body = self._calls.page(what, page_token, **more)
        try:
            jobs = body.get("batchPredictionJobs", ())
            batches = tuple(wire.batch(job) for job in jobs)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TransientError(
                "a page of batches could not be read", code="PROVIDER_SHAPE"
            ) from None
        return BatchPage(batches, body.get("nextPageToken") or None)

    def cancel(self, name: str) -> None:
        """Ask for cancellation; no error when it is terminal or gone."""
        with self._calls.translated(ignore=frozenset({400, 404, 409})):
            self._calls.sdk().batches.cancel(name=name, config=_short())

    def delete(self, name: str) -> None:
        """Delete the job; no error when it is gone, or has not ended: the service deletes no other."""
        with self._calls.translated(ignore=frozenset({400, 404, 409})):
            self._calls.sdk().batches.delete(name=name, config=_short())

    # ----------------------------------------------------------------------------------------- results
    def results(self, batch: Batch) -> Iterator[Part]:
        """Yield the objects of the output, each row with an id if anybody can tell whose it is."""
        if not batch.parts:
            return
        joining = Joining(partial(self._staged, wire.staged_of(batch.parts[0])))
        for name in batch.parts:
            found = rows(self._read(*wire.parted(name)))
            yield Part(name, (joining.with_id(row) + b"\n" for row in found))

    def _staged(self, uri: str) -> Iterator[bytes]:
        return rows(self._objects.read(*address(uri)))

    def _read(self, uri: str, generation: int) -> Iterator[bytes]:
        """Stream an object of rows; one that was written again since is read as it is now: it holds more."""
        bucket, name = address(uri)
        there = self._objects.stat(bucket, name)
        pinned = there.generation if there else generation
        return self._objects.read(bucket, name, generation=pinned)

    # ---------------------------------------------------------------------------------- synchronous calls
    def answer(
        self, *, model: str, kind: BatchKind, request: bytes, timeout_seconds: float
    ) -> bytes:
        """Send one synchronous request; the response goes into a row as it came, so the SDK's types stay out."""
        del kind  # there are no embedding batches here, so none is asked
        path = f"{self._parent}/{wire.PUBLISHER}{model}:generateContent"
        body = self._calls.send("POST", path, request, timeout_seconds)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def vertex(api: VertexApi) -> Provider:
    """Return the service as the steps see it: it reads and writes buckets, and keeps neither files nor caches."""
    envelope = VertexEnvelope()
    return Provider(
        facts=FACTS, envelope=lambda _model, _kind: envelope, batches=api, ask=api
    )


def _create(intent: Intent, sdk: Client) -> BatchJob:
    config: Any = {
        "display_name": intent.name,
        "dest": wire.output_of(intent),
        "http_options": {
            "timeout": int(intent.timeout_seconds * 1000),
            "extra_body": {"labels": wire.labels_of(intent)},
        },
    }
    return sdk.batches.create(model=intent.model, src=intent.staged, config=config)


def _short() -> Any:
    return timeout(CALL_SECONDS)
