"""The Gemini Developer API through google-genai, as the Provider port.

Uploading, creating, cancelling and deleting go through the SDK's methods. Looking goes through its HTTP client
and reads the JSON itself: the SDK drops an operation's `error`, and one malformed item makes it refuse a
page (google-genai 3.4.0, batches.py:327-381). Every call has a timeout; no call is retried below this
module, because the SDK's retries would send a create twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from batchdrop.core.clock import SystemClock
from batchdrop.core.errors import (
    CapacityError,
    ConfigurationError,
    PermanentError,
    TransientError,
    UnknownOutcomeError,
)
from batchdrop.ports import (
    JSONL,
    Batch,
    BatchKind,
    BatchPage,
    BatchState,
    Cache,
    CachePage,
    FilePage,
    ModelInfo,
    ProviderFile,
)
from batchdrop.providers.gemini import wire
from batchdrop.providers.gemini.stream import SizedStream

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client
    from google.genai.errors import APIError
    from google.genai.types import BatchJob

API_VERSION: Final = "v1beta"
"""Pinned: the Python SDK's default is v1, the documented batch endpoints are v1beta."""
BASE_URL: Final = "https://generativelanguage.googleapis.com"
CALL_SECONDS: Final = 60.0
TRANSFER_SECONDS: Final = 300.0
PAGE_SIZE: Final = 100
CHUNK: Final = 1 << 20
DOWNLOAD_TRIES: Final = 20
STALLED_TRIES: Final = 4
"""Tries that bring no new byte, with pauses of at most 0.2, 0.4 and 0.8 s between them."""
PAUSE: Final = SystemClock().pause
T = TypeVar("T")

_RECOVERABLE: Final = frozenset({401, 403, 408, 409})
"""Refusals that a person or time can lift: a rotated key, a missing role, a conflict."""


class GeminiProvider:
    """One API key's view of the Batch API. The key is read when first needed and again after a refusal."""

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
        self._http = http
        self._pause = pause
        self._read_key = read_key
        self._base_url = (base_url or BASE_URL).rstrip("/")
        self._open: tuple[Client, httpx2.Client] | None = None

    def account(self) -> str:
        """Return a fingerprint of the key; what was made with another one may be of another project."""
        return hashlib.sha256(self._read_key().encode()).hexdigest()[:16]

    def stage(self, chunks: Iterable[bytes], *, size: int, display_name: str, mime_type: str = JSONL) -> ProviderFile:
        """Upload exactly `size` bytes and prove by checksum that they arrived."""
        client, _ = self._clients()
        source = SizedStream(chunks, size)
        with self._translated():
            file = client.files.upload(
                file=source,
                config={
                    "mime_type": mime_type,
                    "display_name": display_name,
                    "http_options": {"timeout": int(TRANSFER_SECONDS * 1000)},
                },
            )
        sent = source.sha256()
        staged = wire.file(file.model_dump(mode="json", by_alias=True, exclude_none=True))
        if staged.sha256 and staged.sha256 != sent:
            raise TransientError("the staged file has another checksum than what was sent", code="CHECKSUM")
        return staged

    def create(self, *, model: str, kind: BatchKind, file: str, display_name: str, timeout_seconds: float) -> Batch:
        """Send one create call.

        Raises:
            CapacityError: 429, nothing was created.
            PermanentError: Refused for good, nothing was created.
            TransientError: Refused or never sent, nothing was created; time or a person can lift it.
            UnknownOutcomeError: Anything else.
        """
        import httpx2
        from google.genai import errors

        config: Any = {"display_name": display_name, "http_options": {"timeout": int(timeout_seconds * 1000)}}
        try:
            job = self._create(model, kind, file, config)
        except errors.ClientError as error:
            if error.code == 408:
                raise UnknownOutcomeError("the create call timed out", code="CREATE_408") from None
            raise self._translate(error) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise _no_address() from None
        except httpx2.ConnectError:
            raise TransientError("the provider could not be reached", code="PROVIDER_UNREACHABLE") from None
        except (errors.APIError, httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise UnknownOutcomeError(
                "the create call was not answered", code=f"CREATE_{type(error).__name__.upper()}"
            ) from None
        if not job.name:
            raise UnknownOutcomeError("the create call was answered without a name", code="CREATE_NAMELESS")
        state = wire.state_of(job.state.value if job.state else "")
        return Batch(
            name=job.name,
            display_name=display_name,
            model=model,
            state=state,
            raw_state="" if state is BatchState.UNKNOWN else f"BATCH_STATE_{state}",
            created_at=job.create_time or datetime.now(UTC),
        )

    def _create(self, model: str, kind: BatchKind, file: str, config: Any) -> BatchJob:
        client, _ = self._clients()
        if kind is BatchKind.GENERATE:
            return client.batches.create(model=model, src=file, config=config)
        with warnings.catch_warnings():  # the SDK calls its embedding batches experimental
            warnings.simplefilter("ignore")
            return client.batches.create_embeddings(model=model, src={"file_name": file}, config=config)

    def get(self, name: str) -> Batch | None:
        """Return the batch, or None when the provider does not know it."""
        found = self._get_json(name, {})
        return None if found is None else wire.batch(found)

    def list_batches(self, page_token: str | None = None) -> BatchPage:
        """Return one page of the project's batches."""
        body = self._page("batches", page_token)
        try:
            batches = tuple(wire.batch(item) for item in body.get("operations", ()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TransientError("a page of batches could not be read", code="PROVIDER_SHAPE") from None
        return BatchPage(batches, body.get("nextPageToken") or None)

    def cancel(self, name: str) -> None:
        """Ask for cancellation; no error when it is terminal or gone."""
        client, _ = self._clients()
        with self._translated(ignore=frozenset({400, 404, 409})):
            client.batches.cancel(name=name, config={"http_options": {"timeout": int(CALL_SECONDS * 1000)}})

    def delete(self, name: str) -> None:
        """Delete the batch; no error when it is gone."""
        client, _ = self._clients()
        with self._translated(ignore=frozenset({404})):
            client.batches.delete(name=name, config={"http_options": {"timeout": int(CALL_SECONDS * 1000)}})

    def read_results(self, batch: Batch) -> Iterator[bytes]:
        """Stream the result file; a cut transfer is taken up again where it broke, else TransientError.

        Whether the service honours ranges on downloads is not documented, so a continuation reads the bytes that
        came before again and drops them.
        """
        done = stalled = 0
        for attempt in range(DOWNLOAD_TRIES):
            before = done
            try:
                for chunk in self._download(batch.output_file or "", skip=done):
                    done += len(chunk)
                    yield chunk
                return
            except TransientError:
                stalled = 0 if done > before else stalled + 1
                if stalled == STALLED_TRIES or attempt + 1 == DOWNLOAD_TRIES:
                    raise
                self._pause(0.05, 0.1 * 2**stalled)

    def list_files(self, page_token: str | None = None) -> FilePage:
        """Return one page of files."""
        body = self._page("files", page_token)
        try:
            files = tuple(wire.file(item) for item in body.get("files", ()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TransientError("a page of files could not be read", code="PROVIDER_SHAPE") from None
        return FilePage(files, body.get("nextPageToken") or None)

    def delete_file(self, name: str) -> None:
        """Delete a file; no error when it is gone (an expired file is answered 403 or 404)."""
        client, _ = self._clients()
        with self._translated(ignore=frozenset({400, 403, 404})):
            client.files.delete(name=name, config={"http_options": {"timeout": int(CALL_SECONDS * 1000)}})

    def answer(self, *, model: str, kind: BatchKind, request: bytes, timeout_seconds: float) -> bytes:
        """Send one synchronous request; the response goes into a row as it came, so the SDK's types stay out."""
        method = "embedContent" if kind is BatchKind.EMBED else "generateContent"
        body = self._call("POST", f"models/{model}:{method}", request, timeout_seconds)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def count_tokens(self, *, model: str, request: bytes) -> int:
        """Return how many tokens the provider counts in a request, instructions and tools included."""
        wanted = b'{"generateContentRequest":{"model":"models/%b",%b}' % (model.encode(), request.lstrip()[1:])
        body = self._call("POST", f"models/{model}:countTokens", wanted, CALL_SECONDS)
        with self._translated():
            return int(body["totalTokens"])

    def model_info(self, model: str) -> ModelInfo | None:
        """Return what a model can do by the methods the service lists, or None when it does not have the model."""
        found = self._get_json(f"models/{model}", {})
        return None if found is None else wire.model_info(found)

    def create_cache(self, *, model: str, body: bytes, display_name: str, ttl_seconds: int) -> Cache:
        """Make a cached content; the body goes out as the user's requests have it, so the SDK's types stay out."""
        name = json.dumps(display_name).encode()
        whole = b'{"model":"models/%b","displayName":%b,"ttl":"%ds",%b}' % (model.encode(), name, ttl_seconds, body)
        with self._translated():
            return wire.cache(self._call("POST", "cachedContents", whole, CALL_SECONDS))

    def keep_cache(self, name: str, ttl_seconds: int) -> bool:
        """Let a cache live so long from now; one that is gone is answered 403 or 404."""
        try:
            self._call("PATCH", name, b'{"ttl":"%ds"}' % ttl_seconds, CALL_SECONDS)
        except (PermanentError, TransientError) as error:
            if error.code == "PROVIDER_NOT_FOUND" or "cachedcontent" in error.sentence.lower():
                return False
            raise
        return True

    def list_caches(self, page_token: str | None = None) -> CachePage:
        """Return one page of the caches that live."""
        body = self._page("cachedContents", page_token)
        try:
            caches = tuple(wire.cache(item) for item in body.get("cachedContents", ()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TransientError("a page of caches could not be read", code="PROVIDER_SHAPE") from None
        return CachePage(caches, body.get("nextPageToken") or None)

    def delete_cache(self, name: str) -> None:
        """Delete a cache; no error when it is gone (answered 403 or 404)."""
        client, _ = self._clients()
        with self._translated(ignore=frozenset({403, 404})):
            client.caches.delete(name=name, config={"http_options": {"timeout": int(CALL_SECONDS * 1000)}})

    # ------------------------------------------------------------------------------------------ transport
    def _clients(self) -> tuple[Client, httpx2.Client]:
        if self._open is None:
            import httpx2
            from google.genai import Client
            from google.genai.types import HttpOptions

            key = self._read_key()
            headers = {"x-goog-api-key": key}
            http = self._http or httpx2.Client(timeout=CALL_SECONDS, follow_redirects=True, headers=headers)
            options = HttpOptions(
                base_url=self._base_url,
                api_version=API_VERSION,
                httpx_client=http,
                timeout=int(CALL_SECONDS * 1000),
            )
            self._open = (Client(api_key=key, vertexai=False, http_options=options), http)
        return self._open

    def _download(self, name: str, skip: int) -> Iterator[bytes]:
        _, http = self._clients()
        url = f"{self._base_url}/{API_VERSION}/{name}:download"
        with self._translated(), http.stream("GET", url, params={"alt": "media"}) as response:
            if response.status_code != 200:
                response.read()
                raise self._refused(response)
            for chunk in response.iter_bytes(CHUNK):
                if skip >= len(chunk):
                    skip -= len(chunk)
                    continue
                yield chunk[skip:] if skip else chunk
                skip = 0

    def _page(self, what: str, page_token: str | None) -> dict[str, Any]:
        params = {"pageSize": str(PAGE_SIZE)} | ({"pageToken": page_token} if page_token else {})
        body = self._get_json(what, params)
        if body is None:
            raise TransientError("the provider's listing was not found", code="PROVIDER_NOT_FOUND")
        return body

    def _get_json(self, path: str, params: Mapping[str, str]) -> dict[str, Any] | None:
        """GET one JSON object; None on 404."""
        _, http = self._clients()
        with self._translated():
            response = http.get(f"{self._base_url}/{API_VERSION}/{path}", params=dict(params))
            if response.status_code == 404:
                return None
            if response.status_code != 200:
                raise self._refused(response)
            try:
                body: Any = json.loads(response.content)
            except (ValueError, RecursionError):
                body = None
        if not isinstance(body, dict):
            raise TransientError("the provider's answer is not a JSON object", code="PROVIDER_SHAPE")
        return cast("dict[str, Any]", body)

    def _call(self, method: str, path: str, body: bytes, timeout_seconds: float) -> Any:
        """Send one JSON object and return the answer's."""
        _, http = self._clients()
        headers = {"content-type": "application/json"}
        with self._translated():
            url = f"{self._base_url}/{API_VERSION}/{path}"
            response = http.request(method, url, content=body, headers=headers, timeout=timeout_seconds)
            if response.status_code != 200:
                raise self._refused(response)
            return json.loads(response.content)

    @contextmanager
    def _translated(self, ignore: frozenset[int] = frozenset()) -> Generator[None]:
        """Translate everything the SDK and its transport raise."""
        import httpx2
        from google.genai import errors

        try:
            yield
        except errors.APIError as error:
            if error.code not in ignore:
                raise self._translate(error) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise _no_address() from None
        except httpx2.TimeoutException:
            raise TransientError("the provider did not answer in time", code="PROVIDER_TIMEOUT") from None
        except httpx2.HTTPError:
            raise TransientError("the connection to the provider broke", code="PROVIDER_TRANSPORT") from None
        except (ValueError, KeyError, RecursionError) as error:
            raise TransientError(
                "the provider's answer has an unknown shape", code=f"PROVIDER_{type(error).__name__.upper()}"
            ) from None

    def _refused(self, response: httpx2.Response) -> Exception:
        from google.genai import errors

        try:
            errors.APIError.raise_for_response(response)
        except errors.APIError as error:
            return self._translate(error)
        return TransientError("the provider answered with an unexpected status", code="PROVIDER_SHAPE")

    def _translate(self, error: APIError) -> Exception:
        """Name an error by what the caller must do. The provider's sentence is kept: it holds no content of ours."""
        status = re.sub(r"[^A-Z_]", "", str(error.status or "").upper().replace(" ", "_")) or "ERROR"
        code = int(error.code or 0)
        sentence = (error.message or "The provider refused the call.")[:500]
        if code in (401, 403):
            self._open = None
        if code == 429:
            return CapacityError(sentence, retry_after_seconds=_retry_after(error))
        if 400 <= code < 500 and code not in _RECOVERABLE:
            return PermanentError(sentence, code=f"PROVIDER_{status}")
        return TransientError(sentence, code=f"PROVIDER_{status}")


def key_reader(path: Path | None, environment: Mapping[str, str]) -> Callable[[], str]:
    """Return a function that reads the API key: from a file (a mounted secret), else from GEMINI_API_KEY."""

    def read() -> str:
        try:
            key = path.read_text().strip() if path else environment.get("GEMINI_API_KEY", "").strip()
        except OSError:
            raise TransientError("the API key's file cannot be read", code="API_KEY_MISSING") from None
        if not key:
            raise TransientError("there is no Gemini API key", code="API_KEY_MISSING")
        return key

    return read


def _no_address() -> ConfigurationError:
    return ConfigurationError("BATCHDROP_GEMINI_BASE_URL is not an address that can be called", code="ADDRESS_INVALID")


def _retry_after(error: APIError) -> float | None:
    """Return the seconds of a RetryInfo detail (google.rpc.RetryInfo), if the answer has one."""
    match = re.search(r"'retryDelay': '(\d+(?:\.\d+)?)s'", str(cast("object", error.details)))
    return float(match[1]) if match else None
