"""Google's emulators, once for the whole run; every test has a project of its own on them.

They are skipped when they are not installed, unless BATCHDROP_REQUIRE_EMULATORS=1, which makes that a failure.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from pathlib import Path

import pytest

from infra.local import google_emulators
from infra.local.gcs import GcsServer
from infra.local.google_emulators import GoogleEmulators


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Generator[GoogleEmulators]:
    """Google's Pub/Sub and Firestore emulators."""
    lacking = google_emulators.missing()
    if lacking:
        message = "; ".join(lacking)
        if os.environ.get("BATCHDROP_REQUIRE_EMULATORS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with google_emulators.running(tmp_path_factory.mktemp("emulators")) as emulators:
        yield emulators


@pytest.fixture
def project(google: GoogleEmulators, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project nobody else uses; the client libraries find the emulators."""
    for name, value in google.environment().items():
        monkeypatch.setenv(name, value)
    return f"demo-{secrets.token_hex(6)}"


@pytest.fixture
def gcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[GcsServer]:
    """A Cloud Storage server of our own; the client library finds it."""
    with GcsServer(tmp_path / "gcs") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server
