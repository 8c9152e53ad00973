"""Runs hostile cases, each in a forked process, and says how it ended, how long it computed and how much it held.

    python -m tests.samples.hostile.run            a table of all cases, the most expensive first
    python -m tests.samples.hostile.run template   those whose name begins with a word

A case goes the way of an upload: opened, converted by its recipe, each line examined, identified and rendered for the
provider; and the answer that belongs to it is read, classified and written as a row. Time is the process's own (user
and system), so that a busy machine does not count, neither for the two seconds nor for a case that never ends.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from batchdrop.cli.files import checked
from batchdrop.core.errors import PermanentError
from batchdrop.core.result.row import error_row, result_row
from batchdrop.core.wire import line_id
from batchdrop.dialects.gemini.answer import answer as judged
from batchdrop.dialects.gemini.render import body_of
from batchdrop.dialects.gemini.request import identify
from batchdrop.dialects.line import Rejected
from batchdrop.providers.gemini.envelope import GeminiEnvelope
from tests.samples.hostile import lines, recipes, schemas, tables
from tests.samples.hostile.cases import Case

SECONDS = 2.0
MEBIBYTES = 256
CPU_SECONDS = 20
"""A case that computes longer is killed: it hangs."""
PATIENCE = 300
"""Seconds of the wall for a case that waits for something and does not compute."""


@dataclass(frozen=True)
class Measured:
    """How a case ended."""

    name: str
    ended: str
    """Codes of rejections and errors, `rows` for what went well; else what went wrong."""
    seconds: float
    mebibytes: int
    """The most the process held, the interpreter and all imports with it."""

    @property
    def is_well(self) -> bool:
        """True when it ended as it should, within its share."""
        broken = self.ended.startswith(("CRASH", "HANG"))
        return not broken and self.seconds <= SECONDS and self.mebibytes <= MEBIBYTES


def all_cases() -> list[Case]:
    """Return every case."""
    return [*recipes.cases(), *schemas.cases(), *lines.cases(), *tables.cases()]


def run(cases: Iterable[Case]) -> Iterator[Measured]:
    """Run cases one after the other; imports happen once, before the first."""
    for module in ("jinja2", "jsonschema_rs", "pyarrow.parquet"):
        importlib.import_module(module)
    wanted = list(cases)
    with tempfile.TemporaryDirectory() as folder, _maker(wanted, Path(folder)) as make:
        for index, case in enumerate(wanted):
            yield _measured(case, make(index))


def _measured(case: Case, file: Path) -> Measured:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(case, file, writer)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], PATIENCE)
    data = os.read(reader, 65_536) if ready else b"HANG"
    os.close(reader)
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    ended = data.decode() or ("HANG" if killed else f"CRASH status {status}")
    return Measured(case.name, ended, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024)


@contextmanager
def _maker(cases: list[Case], folder: Path) -> Generator[Callable[[int], Path]]:
    """Give what makes the upload of a case; one process of its own makes all, so that this one does not grow."""
    asked, ask = os.pipe()
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ask)
        _make_what_is_asked(cases, folder, asked, tell)
    os.close(asked)
    os.close(tell)

    def make(index: int) -> Path:
        os.write(ask, index.to_bytes(4, "little"))
        if not os.read(told, 1):
            raise RuntimeError(f"{cases[index].name} could not be made")
        return _place(cases[index], folder)

    try:
        yield make
    finally:
        os.close(ask)
        os.close(told)
        os.waitpid(child, 0)


def _make_what_is_asked(cases: list[Case], folder: Path, asked: int, tell: int) -> NoReturn:
    try:
        while number := os.read(asked, 4):
            case = cases[int.from_bytes(number, "little")]
            _place(case, folder).write_bytes(case.make())
            (folder / "recipe.yaml").write_bytes(case.recipe or b"{}")
            (folder / "answer").write_bytes(pickle.dumps(case.answer() if case.answer else None))
            os.write(tell, b"1")
    finally:
        os._exit(0)


def _place(case: Case, folder: Path) -> Path:
    return folder / f"upload{case.suffix}"


def _in_child(case: Case, file: Path, writer: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    try:
        ended = _walk(file)
    except PermanentError as error:
        ended = f"refused {error.code}"
    except BaseException as error:  # noqa: BLE001
        ended = f"CRASH {type(error).__name__}: {error}"[:200]
    os.write(writer, ended.encode())
    os._exit(0)


def _walk(file: Path) -> str:
    answer: str | None = pickle.loads(file.with_name("answer").read_bytes())
    ends: dict[str, int] = {}
    upload = checked(file, file.with_name("recipe.yaml"), "")
    for number, found in upload.lines:
        end = found.code if isinstance(found, Rejected) else _written(found, number, answer)
        ends[end] = ends.get(end, 0) + 1
    upload.found.sentences()
    return " ".join(f"{end} {count}" for end, count in sorted(ends.items())[:8]) or "no lines"


def _written(raw: bytes, number: int, answer: str | None) -> str:
    """Send a line, answer it, and write its row."""
    line, envelope = identify(raw, number), GeminiEnvelope()
    envelope.line(line_id(b"aaaaaaaaaaaa", number), body_of(raw, longer=False))
    if answer is None:
        return "rows"
    response = {"candidates": [{"content": {"parts": [{"text": answer}]}, "finishReason": "STOP"}]}
    read = envelope.read(json.dumps({"key": str(number), "response": response}).encode())
    if read is None:
        return "UNREADABLE"
    found = judged(read[1], line)
    row = result_row(found, line, 0, b'"m"') if found.outcome.is_result else error_row(found, line, 0)
    json.loads(row)
    return found.code or "rows"


def table(measured: Iterable[Measured]) -> str:
    """Return a table of cases, the most expensive first."""
    rows = sorted(measured, key=lambda one: (-one.seconds, -one.mebibytes))
    lines = [f"{one.seconds:7.2f} s {one.mebibytes:6} MiB  {one.name[:76]:76}  {one.ended[:70]}" for one in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    word = " ".join(sys.argv[1:])
    found = list(run(case for case in all_cases() if case.name.startswith(word)))
    print(table(found))
    bad = [one for one in found if not one.is_well]
    print(f"{len(found)} cases, {len(bad)} over {SECONDS} s or {MEBIBYTES} MiB, or not ended well")
    sys.exit(bool(bad))
