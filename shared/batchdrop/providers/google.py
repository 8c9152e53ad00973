"""Calls to a Google service over HTTP, whichever of its providers makes them: every failure translated once.

Every call has a timeout; none is retried, because the SDK's retries would send a create twice. The SDK is imported by
the first call that goes through it, and by the first refusal: 0.27 s that a process which only looks and reads saves.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from batchdrop.core.codes import Code
from batchdrop.core.errors import (
    BatchdropError,
    CapacityError,
    ConfigurationError,
    PermanentError,
    TransientError,
)
from batchdrop.ports import Busy, Refused, Unit, Unknown

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client
    from google.genai.errors import APIError, ClientError
    from google.genai.types import BatchJob

CALL_SECONDS: Final = 60.0
PAGE_SIZE: Final = 100
CHUNK: Final = 1 << 20

_RECOVERABLE: Final = frozenset({401, 403, 408, 409})
"""Refusals that a person or time can lift: a rotated key, a missing role, a conflict."""


class Calls:
    """One account's way to a service. What lets it in is read when first needed and again after a refusal."""

    def __init__(
        self,
        root: str,
        open_http: Callable[[], httpx2.Client],
        open_sdk: Callable[[httpx2.Client], Client],
        setting: str,
    ) -> None:
        """Open nothing yet.

        Args:
            root: The service's address and version.
            open_http: Opens a client whose calls are let in.
            open_sdk: Opens the SDK's client, which calls through ours.
            setting: Where the address stands, for who wrote it wrong.
        """
        self._root = root
        self._open_http = open_http
        self._open_sdk = open_sdk
        self._setting = setting
        self._opened: httpx2.Client | None = None
        self._sdk: Client | None = None

    def sdk(self) -> Client:
        """Return the SDK's client, which calls through our HTTP client."""
        if self._sdk is None:
            self._sdk = self._open_sdk(self._client())
        return self._sdk

    def created(
        self, send: Callable[[Client], BatchJob], full: Unit
    ) -> BatchJob | Refused | Busy | Unknown:
        """Send one create call through the SDK; what proves no refusal is Unknown.

        Args:
            send: Makes the call.
            full: What the service has no more of when it says that there is too much.
        """
        import httpx2
        from google.genai import errors

        try:
            job = send(self.sdk())
        except errors.ClientError as error:
            return self._not_created(error, full)
        except BatchdropError as error:  # nothing lets us in: nothing was sent
            return Busy(None, error.code, error.sentence)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            return Busy(None, self.no_address().code, self.no_address().sentence)
        except httpx2.ConnectError:
            return Busy(
                None, "PROVIDER_UNREACHABLE", "the provider could not be reached"
            )
        except (
            errors.APIError,
            httpx2.HTTPError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:
            return Unknown(f"CREATE_{type(error).__name__.upper()}")
        return job if job.name else Unknown("CREATE_NAMELESS")

    def _not_created(self, error: ClientError, full: Unit) -> Refused | Busy | Unknown:
        """Return what a 4xx proves; a 408 proves nothing."""
        if error.code == 408:
            return Unknown("CREATE_408")
        named = self.named(error)
        if isinstance(named, CapacityError):
            return Busy(full, named.code, named.sentence, named.retry_after_seconds)
        if isinstance(named, PermanentError):
            return Refused(named.code, named.sentence)
        return Busy(None, named.code, named.sentence)

    def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        """GET one JSON object; None on 404."""
        http = self._client()
        with self.translated():
            response = http.get(f"{self._root}/{path}", params=dict(params or {}))
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

    def page(self, what: str, page_token: str | None, **more: str) -> dict[str, Any]:
        """GET one page of a listing."""
        params = {"pageSize": str(PAGE_SIZE)} | more
        if page_token:
            params["pageToken"] = page_token
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
            url = f"{self._root}/{path}"
            response = http.request(
                method, url, content=body, headers=headers, timeout=timeout_seconds
            )
            if response.status_code != 200:
                raise self._refused(response)
            return json.loads(response.content)

    def download(self, name: str, skip: int) -> Iterator[bytes]:
        """Stream a file's bytes behind the first `skip`."""
        http = self._client()
        url = f"{self._root}/{name}:download"
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
            raise self.no_address() from None
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

    def no_address(self) -> ConfigurationError:
        """Return the error of an address that cannot be called."""
        return ConfigurationError(
            f"{self._setting} is not an address that can be called",
            code=Code.ADDRESS_INVALID,
        )

    def _client(self) -> httpx2.Client:
        if self._opened is None:
            self._opened = self._open_http()
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


@cache
def trusted() -> ssl.SSLContext:
    """Return whom we trust, read once: each client would read it anew, the SDK's four times (18 ms each)."""
    import httpx2

    return httpx2.create_ssl_context()


def _api_error() -> type[APIError]:
    """Return what the SDK raises; asked for only when something was raised."""
    from google.genai.errors import APIError

    return APIError


def _retry_after(error: APIError) -> float | None:
    """Return the seconds of a RetryInfo detail (google.rpc.RetryInfo), if the answer has one."""
    match = re.search(
        r"'retryDelay': '(\d+(?:\.\d+)?)s'", str(cast("object", error.details))
    )
    return float(match[1]) if match else None


def timeout(seconds: float) -> Any:
    """Return the part of the SDK's configuration that bounds one call."""
    return {"http_options": {"timeout": int(seconds * 1000)}}


def moment(text: object) -> datetime | None:
    """Read RFC 3339 with up to nanoseconds."""
    if not isinstance(text, str) or not text:
        return None
    moment = datetime.fromisoformat(
        re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))
    )
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
