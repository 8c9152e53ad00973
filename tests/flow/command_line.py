"""The command line on a stack that the environment points at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.cli.main import main
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.emulated import PREFIX
from tests.harness import Stack, TestClock, make_emulated

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stack(
    request: pytest.FixtureRequest,
    stack_kind: str,
    tmp_path: Path,
    gemini: GeminiEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> Stack:
    """A stack where the command line looks for it."""
    if stack_kind == "emulators":
        ports = request.getfixturevalue("emulated")
        monkeypatch.setenv("BATCHDROP_PROJECT", request.getfixturevalue("project"))
        monkeypatch.setenv("BATCHDROP_TOPIC_PREFIX", PREFIX)
        ports.topics.others_publish = True
        return make_emulated(ports, gemini)
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("BATCHDROP_LOCAL_DIR", str(tmp_path))
    clock = TestClock()
    return Stack(
        objects=DirectoryObjects(tmp_path / "buckets", clock.now),
        documents=SqliteDocuments(tmp_path / "state" / "records.sqlite"),
        topics=SqliteTopics(tmp_path / "state" / "topics.sqlite", min_backoff_seconds=0),
        provider=GeminiApi(lambda: "k", gemini.url),
        gemini=gemini,
        clock=clock,
    )


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code and what it wrote."""

    def go(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(list(arguments))
        except SystemExit as error:
            code = int(error.code or 0)
        written = capsys.readouterr()
        return code, written.out, written.err

    return go
