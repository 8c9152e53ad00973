"""Ours and what people use instead, as commands on one file and one provider: what each takes and what it brings back.

    batchdrop   the embedded stack as `batchdrop demo` starts it, told of a provider that runs already
    script      rivals/script.py: google-genai, one batch, one pass over the results
    curl        rivals/transfer.sh: the bytes there and back, nothing parsed

The provider is our emulator in a process of its own, fresh for each run; what it takes is nobody's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson

from tests.bench.stands import TIER, emulator, folder

ROOT = Path(__file__).resolve().parents[2]
RIVALS = Path(__file__).parent / "rivals"
RESULTS = "results-00000.jsonl"
"""What ours calls the first part of its output; the others' only file is called alike."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A program that answers a file of requests; `command` is given the file and an empty folder."""

    name: str
    command: Callable[[Path, Path], list[str]]


OURS = Rival("batchdrop", lambda source, target: [*_DEMO, "--input", str(source), "--data", str(target)])
SCRIPT = Rival("script", lambda source, target: [sys.executable, str(RIVALS / "script.py"), *_files(source, target)])
CURL = Rival("curl", lambda source, target: ["sh", str(RIVALS / "transfer.sh"), *_files(source, target)])
_DEMO = [sys.executable, "-m", "batchdrop_local.demo", "--gemini", "live"]


@dataclass(frozen=True, slots=True)
class World:
    """One file, one provider and one empty folder."""

    source: Path
    target: Path
    url: str

    def environment(self) -> dict[str, str]:
        """Return the variables that lead each rival to the provider."""
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "shared"), str(ROOT)]),
            "GEMINI_API_KEY": "none",
            "GOOGLE_GEMINI_BASE_URL": self.url,
            "BATCHDROP_GEMINI_BASE_URL": self.url,
            "BATCHDROP_TIER": str(TIER),
        }

    def stats(self) -> dict[str, Any]:
        """Return what the provider has counted."""
        return control(self.url, "stats")

    def heal(self) -> None:
        """Let nothing go wrong at the provider from now on."""
        control(self.url, "faults", b"{}")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that were brought back."""
        for path in sorted(self.target.rglob("results-*.jsonl")):
            with path.open("rb") as lines:
                for line in lines:
                    yield orjson.loads(line)

    def answered(self) -> int:
        """Return how many different requests have an answer."""
        return len({row["key"] for row in self.rows() if "text" in row or "response" in row})

    def paid_twice(self) -> int:
        """Return how many batches were created under the name of another one."""
        return len(self.stats()["duplicate_display_names"])


def control(url: str, what: str, body: bytes | None = None) -> dict[str, Any]:
    """Ask the emulator at an address, or tell it, something that is not of the API."""
    request = Request(f"{url}/control/{what}", data=body, method="PUT" if body else "GET")
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


@contextmanager
def world(source: Path, faults: str = "") -> Generator[World]:
    """A fresh provider and an empty folder, until the block ends."""
    with folder() as root, emulator(root, faults) as url:
        target = root / "target"
        target.mkdir()
        yield World(source, target, url)


def launched(command: list[str], report: Path) -> list[str]:
    """Return the command that runs another one and reports what that took."""
    return [sys.executable, "-I", "-S", str(RIVALS / "launch.py"), str(report), *command]


def read_report(report: Path) -> Mapping[str, float]:
    """Return seconds (`wall`, `cpu`), the largest process (`mib`) and the exit `code` of what was launched."""
    return json.loads(report.read_bytes())


def _files(source: Path, target: Path) -> list[str]:
    return [str(source), str(target / RESULTS)]
