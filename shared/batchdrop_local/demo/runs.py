"""The demo's runs: each has a folder of its own, none is ever deleted, one that was interrupted goes on.

    <home>/1/run.json  buckets/  state/  logs/  …
    <home>/2/…

A run is interrupted when it has not ended and nobody owns its folder. It goes on when the same is asked for again: the
same bytes under the same name, the same recipe, model, stack and Gemini. So nothing is paid twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batchdrop.core.limits import MIB
from batchdrop_local.stack.owning import in_use, write_durably

_NOTE: Final = "run.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was asked to do; two of the same are the same run."""

    name: str
    digest: str
    """Of the upload's bytes and its recipe's."""
    model: str
    stack: str
    gemini: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run and its folder."""

    folder: Path
    asked: Asked
    begun: str
    ended: bool = False

    @property
    def goes_on(self) -> bool:
        """True when it was interrupted and its stack keeps its state on disk."""
        return (
            not self.ended
            and self.asked.stack == "embedded"
            and not in_use(self.folder)
        )

    def end(self) -> Run:
        """Note that the run has ended."""
        run = replace(self, ended=True)
        _write(run)
        return run


def digest_of(*paths: Path) -> str:
    """Return the digest of files' bytes, in that order."""
    found = hashlib.sha256()
    for path in paths:
        found.update(
            f"{path.name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape")
        )
        with path.open("rb") as source:
            while chunk := source.read(MIB):
                found.update(chunk)
    return found.hexdigest()


def begin(home: Path, asked: Asked) -> tuple[Run, bool]:
    """Return the interrupted run that was asked the same, or a new one; and whether it goes on."""
    for run in all_runs(home):
        if run.asked == asked and run.goes_on:
            return run, True
    run = Run(_new_folder(home), asked, datetime.now(UTC).isoformat(timespec="seconds"))
    _write(run)
    return run, False


def all_runs(home: Path) -> Iterator[Run]:
    """Yield the runs of a home, newest first; folders without a readable note are no runs."""
    folders = home.iterdir() if home.is_dir() else iter(())
    numbered = [folder for folder in folders if folder.name.isdecimal()]
    for folder in sorted(numbered, key=lambda folder: int(folder.name), reverse=True):
        run = _read(folder)
        if run is not None:
            yield run


def _new_folder(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    number = max(
        (int(path.name) for path in home.iterdir() if path.name.isdecimal()), default=0
    )
    while True:
        number += 1
        folder = home / str(number)
        try:
            folder.mkdir()
        except FileExistsError:
            continue  # another demo took it meanwhile
        return folder


def _read(folder: Path) -> Run | None:
    try:
        body: dict[str, Any] = json.loads((folder / _NOTE).read_bytes())
        return Run(folder, Asked(**body["asked"]), body["begun"], body["ended"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(run: Run) -> None:
    body = {"asked": asdict(run.asked), "begun": run.begun, "ended": run.ended}
    write_durably(run.folder / _NOTE, json.dumps(body).encode())
