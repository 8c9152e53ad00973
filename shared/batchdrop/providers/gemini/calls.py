"""The way to the service: one API key, read when first needed and again after a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import TransientError
from batchdrop.providers.google import CALL_SECONDS, Calls, trusted

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client

API_VERSION: Final = "v1beta"
"""Pinned: the Python SDK's default is v1, the documented batch endpoints are v1beta."""
BASE_URL: Final = "https://generativelanguage.googleapis.com"


def calls(
    read_key: Callable[[], str], base_url: str | None, http: httpx2.Client | None
) -> Calls:
    """Return the way of one API key; nothing is opened yet."""
    address = (base_url or BASE_URL).rstrip("/")

    def open_http() -> httpx2.Client:
        import httpx2

        headers = {"x-goog-api-key": read_key()}
        return http or httpx2.Client(
            timeout=CALL_SECONDS,
            follow_redirects=True,
            headers=headers,
            verify=trusted(),
        )

    def open_sdk(client: httpx2.Client) -> Client:
        from google.genai import Client
        from google.genai.types import HttpOptions

        options = HttpOptions(
            base_url=address,
            api_version=API_VERSION,
            httpx_client=client,
            client_args={"verify": trusted()},
            async_client_args={"verify": trusted(), "ssl": trusted()},
            timeout=int(CALL_SECONDS * 1000),
        )
        return Client(api_key=read_key(), vertexai=False, http_options=options)

    root = f"{address}/{API_VERSION}"
    return Calls(root, open_http, open_sdk, "BATCHDROP_GEMINI_BASE_URL")


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
                "the API key's file cannot be read", code=Code.API_KEY_MISSING
            ) from None
        if not key:
            raise TransientError(
                "there is no Gemini API key", code=Code.API_KEY_MISSING
            )
        return key

    return read
