"""Fixtures for tests of every kind: a Gemini emulator, a stack of either kind, quiet logs, a clean environment.

Google's emulators are skipped when they are not installed, unless BATCHDROP_REQUIRE_EMULATORS=1, which makes that a
failure.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from batchdrop.core import logs
from batchdrop_local.emulators import google_jars
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from batchdrop_local.emulators.google_jars import GoogleEmulators
from batchdrop_local.emulators.storage import StorageEmulator
from tests.emulated import Emulated
from tests.emulated import emulated as make_ports
from tests.harness import Stack, make_emulated, make_stack

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
"""How long an example takes says how busy the machine is; a test that hangs is ended by its timeout."""

Gemini = Callable[..., GeminiEmulator]


@pytest.fixture(autouse=True)
def log() -> Generator[io.StringIO]:
    """What the code logged."""
    with io.StringIO() as out, logs.to(out):
        yield out


@pytest.fixture
def gemini(tmp_path: Path) -> Generator[GeminiEmulator]:
    """A Gemini emulator without faults; set `gemini.faults` to change that."""
    with GeminiEmulator(data_dir=tmp_path / "gemini", faults=Faults()) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Generator[GoogleEmulators]:
    """Google's Pub/Sub and Firestore emulators, once for the whole run."""
    lacking = google_jars.missing()
    if lacking:
        message = "; ".join(lacking)
        if os.environ.get("BATCHDROP_REQUIRE_EMULATORS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with google_jars.running(tmp_path_factory.mktemp("emulators")) as emulators:
        yield emulators


@pytest.fixture
def project(google: GoogleEmulators, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project nobody else uses; the client libraries find the emulators."""
    for name, value in google.environment().items():
        monkeypatch.setenv(name, value)
    return f"demo-{secrets.token_hex(6)}"


@pytest.fixture
def gcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[StorageEmulator]:
    """A Cloud Storage server of our own; the client library finds it."""
    with StorageEmulator(tmp_path / "gcs") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture
def emulated(project: str, gcs: StorageEmulator) -> Generator[Emulated]:
    """The adapters of the cloud on a project of their own."""
    ports = make_ports(project, gcs)
    yield ports
    ports.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let every test of a stack run on both; a test marked `embedded_only` says why it runs on one."""
    if "stack_kind" not in metafunc.fixturenames:
        return
    marked = metafunc.definition.get_closest_marker("embedded_only")
    metafunc.parametrize("stack_kind", ["embedded"] if marked else ["embedded", "emulators"])


@pytest.fixture
def stack_with(
    request: pytest.FixtureRequest, stack_kind: str, tmp_path: Path, gemini: GeminiEmulator
) -> Callable[..., Stack]:
    """Make a stack with other settings; those of one test share what they keep."""
    if stack_kind == "embedded":
        return partial(make_stack, tmp_path, gemini)
    return partial(make_emulated, request.getfixturevalue("emulated"), gemini)


@pytest.fixture
def stack(stack_with: Callable[..., Stack]) -> Stack:
    """A stack with the settings as they are."""
    return stack_with()
