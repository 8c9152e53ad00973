"""The Gemini Developer API through google-genai: every protocol of the port.

Uploading, creating, cancelling and deleting go through the SDK's methods. Looking goes through its HTTP client
and reads the JSON itself: the SDK drops an operation's `error`, and one malformed item makes it refuse a
page (google-genai 3.4.0, batches.py:327-381).
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from batchdrop.core.clock import SystemClock
from batchdrop.core.codes import Code
from batchdrop.core.errors import (
    PermanentError,
    TransientError,
)
from batchdrop.ports import (
    JSONL,
    Batch,
    BatchKind,
    BatchPage,
    BatchState,
    Busy,
    Cache,
    CachePage,
    Created,
    FilePage,
    Found,
    Intent,
    Mark,
    ModelInfo,
    Part,
    Provider,
    ProviderFile,
    Refused,
    Staged,
    Unit,
    Unknown,
)
from batchdrop.providers.by_name import find_by_name
from batchdrop.providers.gemini import wire
from batchdrop.providers.gemini.calls import calls
from batchdrop.providers.gemini.envelope import GeminiEnvelope, bodies
from batchdrop.providers.gemini.facts import facts_of
from batchdrop.providers.gemini.stream import SizedStream
from batchdrop.providers.google import CALL_SECONDS, timeout

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client
    from google.genai.types import BatchJob

TRANSFER_SECONDS: Final = 300.0
DOWNLOAD_TRIES: Final = 20
STALLED_TRIES: Final = 4
"""Tries that bring no new byte, with pauses of at most 0.2, 0.4 and 0.8 s between them."""
PAUSE: Final = SystemClock().pause


class GeminiApi:
    """One API key's view of the service."""

    def __init__(
        self,
        read_key: Callable[[], str],
        base_url: str | None = None,
        http: httpx2.Client | None = None,
        pause: Callable[[float, float], None] = PAUSE,
    ) -> None:
        """Open nothing yet.

        Args:
            read_key: Returns the API key; called again after a 401 or 403, so a rotated secret is picked up.
            base_url: Where the API is, if not at Google.
            http: A client to use instead of one of its own; it must send the key.
            pause: Waits between the tries of a download, `Clock.pause`.
        """
        self._pause = pause
        self._read_key = read_key
        self._calls = calls(read_key, base_url, http)

    def account(self) -> str:
        """Return a fingerprint of the key; what was made with another one may be of another project."""
        return hashlib.sha256(self._read_key().encode()).hexdigest()[:16]

    def model_info(self, model: str) -> ModelInfo | None:
        """Return what a model can do by the methods the service lists, or None when it does not have the model."""
        found = self._calls.get(f"models/{model}")
        return None if found is None else wire.model_info(found)

    # ------------------------------------------------------------------------------------------ inputs
    def stage(self, chunks: Iterable[bytes], *, size: int, name: str) -> Staged:
        """Upload exactly `size` bytes and prove by checksum that they arrived."""
        file = self.upload(chunks, size=size, name=name, mime_type=JSONL)
        return Staged(file.name, file.expires_at)

    # ----------------------------------------------------------------------------------------- batches
    def mark(self) -> Mark | None:
        """Say nothing: a batch is found by its name."""
        return None

    def create(self, intent: Intent) -> Created:
        """Send one create call; what proves no refusal is Unknown."""
        job = self._calls.created(partial(_create, intent), Unit.TOKENS)
        if isinstance(job, Refused | Busy | Unknown):
            return job
        state = wire.state_of(job.state.value if job.state else "")
        return Batch(
            name=str(job.name),
            display_name=intent.name,
            model=intent.model,
            state=state,
            raw_state="" if state is BatchState.UNKNOWN else f"BATCH_STATE_{state}",
            created_at=job.create_time or datetime.now(UTC),
        )

    def find(self, intent: Intent, over: Callable[[], bool]) -> Found:
        """Look for our name in all pages of the list."""
        return find_by_name(self.list, intent, over)

    def get(self, name: str) -> Batch | None:
        """Return the batch, or None when the provider does not know it."""
        found = self._calls.get(name)
        return None if found is None else wire.batch(found)

    def list(self, page_token: str | None = None) -> BatchPage:
        """Return one page of the project's batches."""
        body = self._calls.page("batches", page_token)
        try:
            batches = tuple(wire.batch(item) for item in body.get("operations", ()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TransientError(
                "a page of batches could not be read", code="PROVIDER_SHAPE"
            ) from None
        return BatchPage(batches, body.get("nextPageToken") or None)

    def cancel(self, name: str) -> None:
        """Ask for cancellation; no error when it is terminal or gone."""
        with self._calls.translated(ignore=frozenset({400, 404, 409})):
            self._calls.sdk().batches.cancel(name=name, config=timeout(CALL_SECONDS))

    def delete(self, name: str) -> None:
        """Delete the batch; no error when it is gone."""
        with self._calls.translated(ignore=frozenset({404})):
            self._calls.sdk().batches.delete(name=name, config=timeout(CALL_SECONDS))

    def results(self, batch: Batch) -> Iterator[Part]:
        """Yield the result file."""
        for name in batch.parts:
            yield Part(name, self._download(name))

    def _download(self, name: str) -> Iterator[bytes]:
        """Stream a file; a cut transfer is taken up again where it broke, else TransientError.

        Whether the service honours ranges on downloads is not documented, so a continuation reads the bytes that
        came before again and drops them.
        """
        done = stalled = 0
        for attempt in range(DOWNLOAD_TRIES):
            before = done
            try:
                for chunk in self._calls.download(name, skip=done):
                    done += len(chunk)
                    yield chunk
                return
            except TransientError:
                stalled = 0 if done > before else stalled + 1
                if stalled == STALLED_TRIES or attempt + 1 == DOWNLOAD_TRIES:
                    raise
                self._pause(0.05, 0.1 * 2**stalled)

    # ------------------------------------------------------------------------------------------- files
    def upload(
        self, chunks: Iterable[bytes], *, size: int, name: str, mime_type: str
    ) -> ProviderFile:
        """Upload exactly `size` bytes and prove by checksum that they arrived."""
        source = SizedStream(chunks, size)
        with self._calls.translated():
            config: Any = {"mime_type": mime_type, "display_name": name} | timeout(
                TRANSFER_SECONDS
            )
            file = self._calls.sdk().files.upload(file=source, config=config)
        sent = source.sha256()
        staged = wire.file(
            file.model_dump(mode="json", by_alias=True, exclude_none=True)
        )
        if staged.sha256 and staged.sha256 != sent:
            raise TransientError(
                "the staged file has another checksum than what was sent",
                code=Code.CHECKSUM,
            )
        return staged

    def list_files(self, page_token: str | None = None) -> FilePage:
        """Return one page of files."""
        body = self._calls.page("files", page_token)
        try:
            files = tuple(wire.file(item) for item in body.get("files", ()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TransientError(
                "a page of files could not be read", code="PROVIDER_SHAPE"
            ) from None
        return FilePage(files, body.get("nextPageToken") or None)

    def delete_file(self, name: str) -> None:
        """Delete a file; no error when it is gone (an expired file is answered 403 or 404)."""
        with self._calls.translated(ignore=frozenset({400, 403, 404})):
            self._calls.sdk().files.delete(name=name, config=timeout(CALL_SECONDS))

    # ---------------------------------------------------------------------------------- synchronous calls
    def answer(
        self, *, model: str, kind: BatchKind, request: bytes, timeout_seconds: float
    ) -> bytes:
        """Send one synchronous request; the response goes into a row as it came, so the SDK's types stay out."""
        method = "embedContent" if kind is BatchKind.EMBED else "generateContent"
        body = self._calls.send(
            "POST", f"models/{model}:{method}", request, timeout_seconds
        )
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def count_tokens(self, *, model: str, request: bytes) -> int:
        """Return how many tokens the provider counts in a request, instructions and tools included."""
        wanted = b'{"generateContentRequest":{"model":"models/%b",%b}' % (
            model.encode(),
            request.lstrip()[1:],
        )
        body = self._calls.send("POST", f"models/{model}:countTokens", wanted)
        with self._calls.translated():
            return int(body["totalTokens"])

    # ------------------------------------------------------------------------------------------ caches
    def create_cache(
        self, *, model: str, body: bytes, display_name: str, ttl_seconds: int
    ) -> Cache:
        """Make a cached content; the body goes out as the user's requests have it, so the SDK's types stay out."""
        name = json.dumps(display_name).encode()
        whole = b'{"model":"models/%b","displayName":%b,"ttl":"%ds",%b}' % (
            model.encode(),
            name,
            ttl_seconds,
            body,
        )
        with self._calls.translated():
            return wire.cache(self._calls.send("POST", "cachedContents", whole))

    def keep_cache(self, name: str, ttl_seconds: int) -> bool:
        """Let a cache live so long from now; one that is gone is answered 403 or 404."""
        try:
            self._calls.send("PATCH", name, b'{"ttl":"%ds"}' % ttl_seconds)
        except (PermanentError, TransientError) as error:
            if (
                error.code == "PROVIDER_NOT_FOUND"
                or "cachedcontent" in error.sentence.lower()
            ):
                return False
            raise
        return True

    def list_caches(self, page_token: str | None = None) -> CachePage:
        """Return one page of the caches that live."""
        body = self._calls.page("cachedContents", page_token)
        try:
            caches = tuple(wire.cache(item) for item in body.get("cachedContents", ()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TransientError(
                "a page of caches could not be read", code="PROVIDER_SHAPE"
            ) from None
        return CachePage(caches, body.get("nextPageToken") or None)

    def delete_cache(self, name: str) -> None:
        """Delete a cache; no error when it is gone (answered 403 or 404)."""
        with self._calls.translated(ignore=frozenset({403, 404})):
            self._calls.sdk().caches.delete(name=name, config=timeout(CALL_SECONDS))


def gemini(api: GeminiApi, tier: int = 1) -> Provider:
    """Return the service as the steps see it: it has all there is."""
    envelope = GeminiEnvelope()
    return Provider(
        facts=facts_of(tier),
        envelope=lambda _model, _kind: envelope,
        batches=api,
        inputs=api,
        files=api,
        caches=api,
        tokens=api,
        ask=api,
        bodies=bodies,
    )


def _create(intent: Intent, sdk: Client) -> BatchJob:
    config = {"display_name": intent.name} | timeout(intent.timeout_seconds)
    if intent.kind is BatchKind.GENERATE:
        return sdk.batches.create(model=intent.model, src=intent.staged, config=config)
    with warnings.catch_warnings():  # the SDK calls its embedding batches experimental
        warnings.simplefilter("ignore")
        return sdk.batches.create_embeddings(
            model=intent.model, src={"file_name": intent.staged}, config=config
        )
