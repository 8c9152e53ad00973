"""Access tokens of Google Cloud: those of the machine, the function's account, or the person who logged in."""

from __future__ import annotations

import threading
from typing import Any, Final

from batchdrop.adapters.reaching import reached
from batchdrop.core.codes import Code

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


class AccessTokens:
    """One account's tokens, each used as long as it is valid. Thread-safe."""

    def __init__(self) -> None:
        """Look for no credentials yet."""
        self._lock = threading.Lock()
        self._credentials: Any = None

    def read(self) -> str:
        """Return a token that is valid now.

        Raises:
            ConfigurationError: A person must change the credentials.
            TransientError: Time can heal it.
        """
        with self._lock, reached(Code.CREDENTIALS_UNAVAILABLE):
            if self._credentials is None:
                import google.auth

                self._credentials, _ = google.auth.default(scopes=[SCOPE])
            if not self._credentials.valid:
                from google.auth.transport.requests import Request

                self._credentials.refresh(Request())
            return str(self._credentials.token)
