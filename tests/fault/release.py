"""Folders of a release with work in flight, in every state a process can die in; and what finishes them.

    python -m tests.fault.release freeze tests/samples/releases/0.2.0.tar.xz
    python -m tests.fault.release finish FOLDER        (of an unpacked archive)

One folder a state: the stack's documents, messages and objects and the provider's files and batches, as they lay when
the process was gone. Time stands still in them: who finishes one goes on at the moment it was frozen. Both commands
exist in every release, so that each is run on what the other left.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batchdrop import __version__
from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.core import logs
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import queries
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from batchdrop_local.stack.stack import begin_alone
from tests.fault.killing import KillableStack, Scenario, Trap, check
from tests.harness import TestClock, direct_provider, lines

START: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOTE: Final = "release.json"
ROUNDS: Final = 5000
MIXED: Final = lines("one", "two [[emulate:error-once=13]]", "three [[emulate:block]]") + b"no request\n"
RECIPE: Final = b'prompt: "Is this kind? {{ text }}"\nresponse_schema: {type: object}\noutput: {join: true}\n'


@dataclass(frozen=True, slots=True)
class Upload:
    """What is uploaded, and what goes before it."""

    name: str
    data: bytes
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    recipe: bytes = b""
    dies_in: frozenset[str] = frozenset()
    """The states that it is frozen in; none: in each that it goes through."""


UPLOADS: Final = {
    "lines": Upload("team/a.jsonl", MIXED),
    "apart": Upload("team/a.jsonl", lines("one", "two [[emulate:poison]]"), dies_in=frozenset({"shard SPLIT"})),
    "held": Upload("team/a.jsonl", lines("one"), {"max-cost": "0.0000001"}, dies_in=frozenset({"job HELD"})),
    "table": Upload(
        "team/a.csv",
        b"id,text\n1,good\n2,bad\n",
        recipe=RECIPE,
        dies_in=frozenset({"job PLANNING", "shard SUBMITTED", "job FINALIZING"}),
    ),
}


class DiedError(BaseException):
    """The process is gone, at the place that was asked for."""


@dataclass
class Watch:
    """Sees in which states the documents stand after each port call, and dies where it is told to."""

    look: Callable[[], set[str]]
    dies_after: int = 0
    armed: bool = True
    calls: int = 0
    first: dict[str, int] = field(default_factory=dict[str, int])
    """The first call after which a document was in a state."""

    def begin(self) -> None:
        """A function begins."""

    def pass_through(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Do a call, and die after it if this is the place."""
        result = call(*args, **options)
        if self.armed:
            del name
            self.calls += 1
            for state in self.look():
                self.first.setdefault(state, self.calls)
            if self.calls == self.dies_after:
                raise DiedError
        return result


@contextmanager
def opened(folder: Path, now: datetime) -> Generator[KillableStack]:
    """Open a folder's stack and its provider at a moment."""
    clock = TestClock(now)
    with GeminiEmulator(data_dir=folder / "gemini", faults=Faults(), clock=clock.still) as gemini:
        stack = KillableStack(
            objects=DirectoryObjects(folder / "buckets", clock.now),
            documents=SqliteDocuments(folder / "documents.sqlite"),
            topics=SqliteTopics(folder / "topics.sqlite", min_backoff_seconds=0),
            provider=direct_provider(gemini),
            gemini=gemini,
            clock=clock,
        )
        stack.trap = Trap()
        yield stack


def states(stack: KillableStack) -> set[str]:
    """Return the states of all jobs and shards; a create whose batch is there already is a state of its own."""
    found: set[str] = set()
    for job in stack.documents.query(queries.newest_jobs(10)):
        found.add(f"job {job.index['state']}")
        found |= {f"shard {shard.index['state']}" for shard in stack.documents.query(queries.shards_of(job.id))}
    if "shard CREATING" in found and stack.gemini.batches():
        found.add("shard CREATING, its batch made")
    return found


def died(folder: Path, upload: Upload, after: int = 0) -> dict[str, int]:
    """Run an upload in an empty folder until the process dies after a call; 0: to its end.

    Returns:
        The states that the documents went through, each with the first call that led to it.
    """
    with opened(folder, START) as stack:
        stack.tick()
        if upload.recipe:
            stack.upload(f"{upload.name.rpartition('/')[0]}/recipe.yaml", upload.recipe)
            stack.deliver()
        watch = stack.trap = Watch(lambda: states(stack), after)
        info = stack.upload(upload.name, upload.data, upload.metadata)
        try:
            run_to_the_end(stack, info)
        except DiedError:
            pass
        _note(folder, stack, info)
        return watch.first


def run_to_the_end(stack: KillableStack, info: ObjectInfo) -> None:
    """Run an upload to its end; a held job is released."""
    job = stack.run(info, until=lambda job: job.state == "HELD" or (job.state.terminal and job.cleaned), rounds=ROUNDS)
    if job.state == "HELD":
        if job.wanted != "release":
            stack.want(info, "release")
        stack.run(info, rounds=ROUNDS)


def _note(folder: Path, stack: KillableStack, info: ObjectInfo) -> None:
    """Write down where the run stood."""
    with stack.at_peace():
        note = {
            "version": __version__,
            "now": stack.clock.now().isoformat(),
            "upload": [info.bucket, info.name, info.generation],
            "states": sorted(states(stack)),
            "batches": [batch["metadata"]["displayName"] for batch in stack.gemini.batches()],
        }
    (folder / NOTE).write_text(json.dumps(note, indent=1))


def freeze(archive: Path) -> list[str]:
    """Write an archive of folders; return their names."""
    written: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(archive, "w:xz") as out:
        for kind, upload in UPLOADS.items():
            calls = died(Path(scratch) / f"{kind} whole", upload)
            for state, after in calls.items():
                if upload.dies_in and state not in upload.dies_in:
                    continue
                name = f"{kind}, {state}".replace(", ", "-").replace(" ", "-").lower()
                died(Path(scratch) / name, upload, after)
                still = _at_rest(Path(scratch) / name, Path(scratch) / f"{name} still")
                out.add(still, arcname=name, filter=_anonymous)
                written.append(name)
    return written


def _at_rest(folder: Path, copy: Path) -> Path:
    """Copy a folder; databases are copied whole, with what lies in their logs (sqlite.org/lang_vacuum.html)."""
    for path in sorted(folder.rglob("*")):
        target = copy / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".sqlite":
            with closing(sqlite3.connect(path)) as database:
                database.execute("VACUUM INTO ?", (str(target),))
        elif path.is_dir():
            target.mkdir(exist_ok=True)
        elif not path.name.endswith(("-wal", "-shm")):
            shutil.copyfile(path, target)
    return copy


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def finish(folder: Path) -> None:
    """Go on with a frozen folder to the end; every promise must hold.

    Raises:
        AssertionError: One does not.
    """
    note: dict[str, Any] = json.loads((folder / NOTE).read_bytes())
    with opened(folder, datetime.fromisoformat(note["now"])) as stack:
        begin_alone(stack.context(CommonSettings), restored=False)
        bucket, name, generation = note["upload"]
        info = stack.objects.stat(bucket, name, generation=generation)
        assert info is not None, "the upload is gone"
        before = {batch["name"] for batch in stack.gemini.batches()}
        run_to_the_end(stack, info)
        check(stack, stack.find_by(info), Scenario("frozen", b""))
        made = [batch["metadata"]["displayName"] for batch in stack.gemini.batches() if batch["name"] not in before]
        assert not set(made) & set(note["batches"]), "a batch that was there already is paid again"


def main() -> int:
    """Freeze or finish."""
    parser = argparse.ArgumentParser(description="Work in flight of one release, finished by another.")
    parser.add_argument("command", choices=("freeze", "finish"))
    parser.add_argument("place", type=Path, nargs="+", help="freeze: the archive; finish: the folders")
    given = parser.parse_args()
    with io.StringIO() as log, logs.to(log):
        if given.command == "freeze":
            print("\n".join(freeze(given.place[0])))
            return 0
        for folder in given.place:
            finish(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
