r"""Fixtures for the tests of your own project: a stack on this machine, and the Gemini emulator behind it.

`pip install 'batchdrop[local]'` is all: pytest finds them by itself. A test that asks for neither imports nothing.

    def test_every_review_has_a_label(batchdrop_stack):
        batchdrop_stack.put("team/recipe.yaml", 'prompt: "Is this kind? {{ text }}"')
        done = batchdrop_stack.run("team/reviews.csv", "id,text\n1,good\n2,bad\n")
        assert (done.verdict, len(done.results)) == ("complete", 2)

    def test_a_blocked_answer_is_an_error_row(batchdrop_stack, gemini_emulator):
        gemini_emulator.faults = Faults(rows=RowFaults(blocked_rate=1))
        ...

Answers are made up by the emulator; with a schema they have its form. Nothing leaves the machine and nothing is paid.
The clients of the functions live as long as their process, as in the cloud: a project whose warnings are errors ignores
`ResourceWarning` and `pytest.PytestUnraisableExceptionWarning`, as this one does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from batchdrop.core.state.job import Job
    from batchdrop_local.emulators.gemini import GeminiEmulator
    from batchdrop_local.stack.stack import Stack

TICK_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 0.05
TIMEOUT_SECONDS: Final = 60.0
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an upload: its job ended, or it is held."""

    job_id: str
    state: str
    verdict: str | None
    """`complete` or `partial` of a DONE job."""
    reason: str
    """Why it is held, or did not end DONE; else empty."""
    results: list[Row]
    errors: list[Row]
    rejections: list[Row]
    manifest: Row


class BatchdropStack:
    """A running stack with a folder of its own."""

    def __init__(self, stack: Stack, scratch: Path) -> None:
        """Take a running stack, and a place for files on their way in."""
        self._stack = stack
        self._scratch = scratch

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which `batchdrop list` and others find the stack."""
        return self._stack.environment

    def put(
        self, name: str, data: bytes | str, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Put an object into the input bucket, as an upload or a recipe; return its generation."""
        self._scratch.write_bytes(data.encode() if isinstance(data, str) else data)
        return self._stack.upload(self._scratch, name, metadata).generation

    def run(
        self,
        name: str,
        data: bytes | str,
        metadata: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Done:
        """Upload a file and wait until its job has ended, or is held.

        Raises:
            TimeoutError: Neither within the time.
        """
        from batchdrop.core.state import names

        context = self._stack.context
        job_id = names.job_id(
            context.settings.input_bucket, name, self.put(name, data, metadata)
        )
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            stored = context.store.job(job_id)
            if stored is not None and (
                stored.value.state.terminal or stored.value.state == "HELD"
            ):
                return self._done(stored.value)
            time.sleep(LOOK_SECONDS)
        raise TimeoutError(f"{name} has not ended within {timeout_seconds:g} s")

    def _done(self, job: Job) -> Done:
        from batchdrop.core.state import names

        prefix = names.output_prefix(job.source.object, job.job_id)
        bucket = self._stack.context.settings.output_bucket
        listed = self._stack.context.objects.list(
            bucket, prefix=prefix, page_size=10_000
        ).objects
        written = {
            info.name.removeprefix(prefix): self._read(bucket, info.name)
            for info in listed
        }
        return Done(
            job_id=job.job_id,
            state=job.state.value,
            verdict=job.verdict,
            reason=f"{job.failure.code}: {job.failure.message}" if job.failure else "",
            results=_rows(written, "results-"),
            errors=_rows(written, "errors-"),
            rejections=_rows(written, "rejections"),
            manifest=json.loads(written.get("manifest.json", b"{}")),
        )

    def _read(self, bucket: str, name: str) -> bytes:
        return b"".join(self._stack.context.objects.read(bucket, name))


def _rows(written: Mapping[str, bytes], what: str) -> list[Row]:
    """Return the rows of a kind, in the order of their lines."""
    parts = [
        written[name]
        for name in sorted(written)
        if name.startswith(what) and name.endswith(".jsonl")
    ]
    return [json.loads(line) for part in parts for line in part.split(b"\n") if line]


def _fail(error: ModuleNotFoundError) -> NoReturn:
    pytest.fail(
        f"{error.name} is missing: pip install 'batchdrop[local]'", pytrace=False
    )


@pytest.fixture
def gemini_emulator(tmp_path: Path) -> Generator[GeminiEmulator]:
    """A Gemini API on this machine: `url` is the SDK's base_url, `faults` may be set at any time."""
    try:
        from batchdrop_local.emulators.gemini import GeminiEmulator
    except ModuleNotFoundError as error:
        _fail(error)
    with GeminiEmulator(data_dir=tmp_path / "gemini_emulator") as emulator:
        yield emulator


@pytest.fixture
def batchdrop_stack(
    tmp_path: Path, gemini_emulator: GeminiEmulator
) -> Generator[BatchdropStack]:
    """A stack on a folder of its own and the Gemini emulator, for one test."""
    try:
        from batchdrop.core import logs
        from batchdrop_local.stack.stack import Options, embedded
    except ModuleNotFoundError as error:
        _fail(error)
    root = tmp_path / "batchdrop_stack"
    root.mkdir()
    options = Options(
        root=root,
        gemini_url=gemini_emulator.url,
        tick_seconds=TICK_SECONDS,
        say=lambda _line: None,
    )
    with (
        (root / "functions.log").open("w") as log,
        logs.to(log),
        embedded(options) as stack,
    ):
        yield BatchdropStack(stack, tmp_path / "batchdrop_upload")
