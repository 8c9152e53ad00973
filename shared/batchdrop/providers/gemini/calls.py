"""Calls to the service: one HTTP client, the key, and every failure translated once.

Every call has a timeout; none is retried, because the SDK's retries would send a create twice. The SDK is imported by
the first call that goes through it, and by the first refusal: 0.27 s that a process which only looks and reads saves.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from batchdrop.core.errors import (
    BatchdropError,
    CapacityError,
    ConfigurationError,
    PermanentError,
    TransientError,
)

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client
    from google.genai.errors import APIError

API_VERSION: Final = "v1beta"
"""Pinned: the Python SDK's default is v1, the documented batch endpoints are v1beta."""
BASE_URL: Final = "https://generativelanguage.googleapis.com"
CALL_SECONDS: Final = 60.0
PAGE_SIZE: Final = 100
CHUNK: Final = 1 << 20

_RECOVERABLE: Final = frozenset({401, 403, 408, 409})
"""Refusals that a person or time can lift: a rotated key, a missing role, a conflict."""


class Calls:
    """One API key's way to the service. The key is read when first needed and again after a refusal."""

    def __init__(
        self,
        read_key: Callable[[], str],
        base_url: str | None,
        http: httpx2.Client | None,
    ) -> None:
        """Open nothing yet."""
        self._http = http
        self._read_key = read_key
        self._base_url = (base_url or BASE_URL).rstrip("/")
        self._opened: httpx2.Client | None = None
        self._sdk: Client | None = None

    def fingerprint(self) -> str:
        """Return a digest of the key."""
        return hashlib.sha256(self._read_key().encode()).hexdigest()[:16]

    def sdk(self) -> Client:
        """Return the SDK's client, which calls through our HTTP client."""
        if self._sdk is None:
            from google.genai import Client
            from google.genai.types import HttpOptions

            trusted = _trusted()
            options = HttpOptions(
                base_url=self._base_url,
                api_version=API_VERSION,
                httpx_client=self._client(),
                client_args={"verify": trusted},
                async_client_args={"verify": trusted, "ssl": trusted},
                timeout=int(CALL_SECONDS * 1000),
            )
            self._sdk = Client(
                api_key=self._read_key(), vertexai=False, http_options=options
            )
        return self._sdk

    def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        """GET one JSON object; None on 404."""
        http = self._client()
        with self.translated():
            response = http.get(
                f"{self._base_url}/{API_VERSION}/{path}", params=dict(params or {})
            )
            if response.status_code == 404:
                return None
            if response.status_code != 200:
                raise self._refused(response)
            try:
                body: Any = json.loads(response.content)
            except (ValueError, RecursionError):
                body = None
        if not isinstance(body, dict):
            raise TransientError(
                "the provider's answer is not a JSON object", code="PROVIDER_SHAPE"
            )
        return cast("dict[str, Any]", body)

    def page(self, what: str, page_token: str | None) -> dict[str, Any]:
        """GET one page of a listing."""
        params = {"pageSize": str(PAGE_SIZE)} | (
            {"pageToken": page_token} if page_token else {}
        )
        body = self.get(what, params)
        if body is None:
            raise TransientError(
                "the provider's listing was not found", code="PROVIDER_NOT_FOUND"
            )
        return body

    def send(
        self, method: str, path: str, body: bytes, timeout_seconds: float = CALL_SECONDS
    ) -> Any:
        """Send one JSON object and return the answer's."""
        http = self._client()
        headers = {"content-type": "application/json"}
        with self.translated():
            url = f"{self._base_url}/{API_VERSION}/{path}"
            response = http.request(
                method, url, content=body, headers=headers, timeout=timeout_seconds
            )
            if response.status_code != 200:
                raise self._refused(response)
            return json.loads(response.content)

    def download(self, name: str, skip: int) -> Iterator[bytes]:
        """Stream a file's bytes behind the first `skip`."""
        http = self._client()
        url = f"{self._base_url}/{API_VERSION}/{name}:download"
        with (
            self.translated(),
            http.stream("GET", url, params={"alt": "media"}) as response,
        ):
            if response.status_code != 200:
                response.read()
                raise self._refused(response)
            for chunk in response.iter_bytes(CHUNK):
                if skip >= len(chunk):
                    skip -= len(chunk)
                    continue
                yield chunk[skip:] if skip else chunk
                skip = 0

    @contextmanager
    def translated(self, ignore: frozenset[int] = frozenset()) -> Generator[None]:
        """Translate everything the SDK and its transport raise."""
        import httpx2

        try:
            yield
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise no_address() from None
        except httpx2.TimeoutException:
            raise TransientError(
                "the provider did not answer in time", code="PROVIDER_TIMEOUT"
            ) from None
        except httpx2.HTTPError:
            raise TransientError(
                "the connection to the provider broke", code="PROVIDER_TRANSPORT"
            ) from None
        except _api_error() as error:
            if error.code not in ignore:
                raise self.named(error) from None
        except (ValueError, KeyError, RecursionError) as error:
            raise TransientError(
                "the provider's answer has an unknown shape",
                code=f"PROVIDER_{type(error).__name__.upper()}",
            ) from None

    def named(self, error: APIError) -> BatchdropError:
        """Name an error by what the caller must do. The provider's sentence is kept: it holds no content of ours."""
        status = (
            re.sub(r"[^A-Z_]", "", str(error.status or "").upper().replace(" ", "_"))
            or "ERROR"
        )
        code = int(error.code or 0)
        sentence = (error.message or "The provider refused the call.")[:500]
        if code in (401, 403):
            self._opened = self._sdk = None
        if code == 429:
            return CapacityError(sentence, retry_after_seconds=_retry_after(error))
        if 400 <= code < 500 and code not in _RECOVERABLE:
            return PermanentError(sentence, code=f"PROVIDER_{status}")
        return TransientError(sentence, code=f"PROVIDER_{status}")

    def _client(self) -> httpx2.Client:
        if self._opened is None:
            import httpx2

            headers = {"x-goog-api-key": self._read_key()}
            self._opened = self._http or httpx2.Client(
                timeout=CALL_SECONDS,
                follow_redirects=True,
                headers=headers,
                verify=_trusted(),
            )
        return self._opened

    def _refused(self, response: httpx2.Response) -> Exception:
        from google.genai import errors

        try:
            errors.APIError.raise_for_response(response)
        except errors.APIError as error:
            return self.named(error)
        return TransientError(
            "the provider answered with an unexpected status", code="PROVIDER_SHAPE"
        )


def key_reader(path: Path | None, environment: Mapping[str, str]) -> Callable[[], str]:
    """Return a function that reads the API key: from a file (a mounted secret), else from GEMINI_API_KEY."""

    def read() -> str:
        try:
            key = (
                path.read_text().strip()
                if path
                else environment.get("GEMINI_API_KEY", "").strip()
            )
        except OSError:
            raise TransientError(
                "the API key's file cannot be read", code="API_KEY_MISSING"
            ) from None
        if not key:
            raise TransientError("there is no Gemini API key", code="API_KEY_MISSING")
        return key

    return read


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom we trust, read once: each client would read it anew, the SDK's four times (18 ms each)."""
    import httpx2

    return httpx2.create_ssl_context()


def _api_error() -> type[APIError]:
    """Return what the SDK raises; asked for only when something was raised."""
    from google.genai.errors import APIError

    return APIError


def no_address() -> ConfigurationError:
    """Return the error of an address that cannot be called."""
    return ConfigurationError(
        "BATCHDROP_GEMINI_BASE_URL is not an address that can be called",
        code="ADDRESS_INVALID",
    )


def _retry_after(error: APIError) -> float | None:
    """Return the seconds of a RetryInfo detail (google.rpc.RetryInfo), if the answer has one."""
    match = re.search(
        r"'retryDelay': '(\d+(?:\.\d+)?)s'", str(cast("object", error.details))
    )
    return float(match[1]) if match else None
