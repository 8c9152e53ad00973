"""The way to the service: one project and location, let in by credentials of Google Cloud.

    location       address
    global         https://aiplatform.googleapis.com
    us, eu         https://aiplatform.<location>.rep.googleapis.com
    a region       https://<location>-aiplatform.googleapis.com

(google-genai 3.6.1, `_api_client.py`.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from batchdrop.providers.google import CALL_SECONDS, Calls, trusted

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client

API_VERSION: Final = "v1"
"""Pinned: the SDK's default is v1beta1, the documented version is v1."""
_WIDE: Final = frozenset({"us", "eu"})


def address_of(location: str) -> str:
    """Return where the service is in a location."""
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in _WIDE:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def calls(
    read_token: Callable[[], str], project: str, location: str, base_url: str | None
) -> Calls:
    """Return the way of one project and location; nothing is opened yet.

    Args:
        read_token: Returns an access token that is valid now; called before every call.
        project: Whose jobs they are.
        location: Where they run, and are listed.
        base_url: Where the API is, if not at Google.
    """
    address = (base_url or address_of(location)).rstrip("/")

    def open_http() -> httpx2.Client:
        import httpx2

        def let_in(request: httpx2.Request) -> httpx2.Request:
            request.headers["Authorization"] = f"Bearer {read_token()}"
            return request

        return httpx2.Client(
            timeout=CALL_SECONDS, auth=let_in, follow_redirects=True, verify=trusted()
        )

    def open_sdk(client: httpx2.Client) -> Client:
        from google.genai import Client
        from google.genai.types import HttpOptions
        from google.oauth2.credentials import Credentials

        options = HttpOptions(
            base_url=address,
            api_version=API_VERSION,
            httpx_client=client,
            client_args={"verify": trusted()},
            async_client_args={"verify": trusted(), "ssl": trusted()},
            timeout=int(CALL_SECONDS * 1000),
        )
        return Client(
            vertexai=True,
            project=project,
            location=location,
            credentials=Credentials("replaced on the way"),
            http_options=options,
        )

    root = f"{address}/{API_VERSION}"
    return Calls(root, open_http, open_sdk, "BATCHDROP_PROVIDERS: a base_url")
