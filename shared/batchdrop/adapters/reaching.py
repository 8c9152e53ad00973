"""Faults below Google's clients: credentials and transport, translated the same way for every service.

    DefaultCredentialsError   a named file that does not serve is a fault of the configuration; else the metadata server
                              of Google Cloud had a hiccup, or nobody has logged in on this machine
    RefreshError              `invalid_grant`: revoked or expired, a person must log in; else time heals it
    other GoogleAuthError     time heals it
    transport                 what a client raises when its own retries have ended, and what it never retries:
                              urllib3 and http.client show through when a body is read raw

(google-auth 2.62, google-cloud-storage 3.17: `storage/retry.py` lists what is retried.)
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError, ConfigurationError, TransientError


@contextmanager
def reached(code: Code) -> Generator[None]:
    """Translate faults of credentials and transport; all other errors pass.

    Args:
        code: Says which service could not be reached.

    Raises:
        ConfigurationError: A person must change the credentials.
        TransientError: Time can heal it.
    """
    try:
        yield
    except _faults() as error:
        raise _credentials(error) or TransientError(code) from None


def _faults() -> tuple[type[Exception], ...]:
    """Return what is translated; evaluated when something was raised, so that a start imports nothing more."""
    from http.client import HTTPException

    from google.api_core.exceptions import RetryError
    from google.auth.exceptions import GoogleAuthError
    from urllib3.exceptions import HTTPError

    return (GoogleAuthError, RetryError, HTTPError, HTTPException, OSError)


def _credentials(error: Exception) -> BatchdropError | None:
    """Say what is wrong with the credentials; None: nothing is."""
    from google.auth.exceptions import (
        DefaultCredentialsError,
        GoogleAuthError,
        RefreshError,
    )

    if isinstance(error, DefaultCredentialsError) and os.environ.get(
        "GOOGLE_APPLICATION_CREDENTIALS"
    ):
        sentence = "GOOGLE_APPLICATION_CREDENTIALS does not name a file with credentials that can be used"
        return ConfigurationError(sentence, code=Code.CREDENTIALS_INVALID)
    if isinstance(error, DefaultCredentialsError):
        sentence = "no Google credentials were found; outside Google Cloud run `gcloud auth application-default login`"
        return TransientError(sentence, code=Code.CREDENTIALS_MISSING)
    if isinstance(error, RefreshError) and "invalid_grant" in str(error):
        sentence = "the Google credentials have expired or were revoked; run `gcloud auth application-default login`"
        return ConfigurationError(sentence, code=Code.CREDENTIALS_EXPIRED)
    if isinstance(error, GoogleAuthError):
        return TransientError(Code.CREDENTIALS_UNAVAILABLE)
    return None
