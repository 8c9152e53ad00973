"""The input folder, with a clock that is turned by hand: what is uploaded, when, and that nothing stops it."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.core.errors import TransientError
from batchdrop.core.settings import CommonSettings, load
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.steps.context import Context
from batchdrop.wiring import build
from batchdrop_local.folder.dropping import DropFolder
from batchdrop_local.folder.events import Happened, Kind, Watch
from batchdrop_local.folder.inbox import Inbox
from batchdrop_local.folder.scanning import opened, scan
from batchdrop_local.folder.uploaded import Uploaded
from batchdrop_local.folder.writers import Identity, open_for_writing
from batchdrop_local.stack.keeping import keep_doing

ROOT = Path(__file__).resolve().parents[2]
LINE = b'{"key":"a","request":{"contents":[{"parts":[{"text":"hello"}]}]}}\n'


class HandClock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._seconds = 0.0

    def now(self) -> datetime:
        return self._now + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def pause(self, least: float, most: float) -> None:
        assert least <= most
        self._seconds += least

    def turn(self, seconds: float) -> None:
        self._seconds += seconds


@dataclass
class Place:
    """A drop folder over a real bucket in a folder."""

    root: Path
    clock: HandClock = field(default_factory=HandClock)
    said: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.context: Context[CommonSettings] = build(load(CommonSettings, local_dir=self.root))
        self.start()

    def start(self, written: Callable[[], frozenset[Identity]] = open_for_writing) -> None:
        """Begin as a new process would."""
        uploaded = Uploaded(self.memory, self.said.append)
        self.drop = DropFolder(
            self.folder,
            Inbox(self.context, notifies=False),
            uploaded,
            say=self.said.append,
            quiet_seconds=10,
            clock=self.clock,
            written=written,
        )

    @property
    def folder(self) -> Path:
        return self.root / "input"

    @property
    def memory(self) -> Path:
        return self.root / "buckets" / ".batchdrop" / "uploaded.json"

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def scans(self, seconds: float) -> None:
        """Scan twice a second for so long."""
        for _ in range(int(seconds * 2)):
            self.clock.turn(0.5)
            self.drop.look()

    def objects(self) -> list[ObjectInfo]:
        return list(self.context.objects.list("input").objects)

    def names(self) -> list[str]:
        return [info.name for info in self.objects()]

    def announced(self) -> list[tuple[str, str]]:
        """Return name and generation of every event that was published: each new pair is a job."""
        topics = self.context.topics
        assert isinstance(topics, SqliteTopics)
        found = [entry.attributes for entry in topics.messages(Topic.UPLOADS)]
        return [(attributes["objectId"], attributes["objectGeneration"]) for attributes in found]

    def content(self, name: str) -> bytes:
        return b"".join(self.context.objects.read("input", name))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "stack")


# ------------------------------------------------------------------------------------------------- when
def test_a_file_that_grows_with_stalls_while_it_is_held_open_is_one_upload(place: Place) -> None:
    with place.path("slow.jsonl").open("wb", buffering=0) as out:
        for _ in range(4):
            out.write(5 * LINE)
            place.scans(2.5)
        place.scans(60)
        if sys.platform == "linux":
            assert place.announced() == []
    place.scans(15)
    assert len(place.announced()) == 1
    assert place.content("slow.jsonl") == 20 * LINE


def test_a_file_of_another_machines_writer_that_stalls_is_one_upload(place: Place) -> None:
    place.start(written=frozenset)
    with place.path("slow.jsonl").open("wb", buffering=0) as out:
        for _ in range(4):
            out.write(5 * LINE)
            place.scans(2.5)
    place.scans(15)
    assert len(place.announced()) == 1
    assert place.content("slow.jsonl") == 20 * LINE


@pytest.mark.parametrize("events", [True, False])
def test_a_file_that_is_opened_again_for_each_piece_is_one_upload(place: Place, events: bool) -> None:
    for _ in range(4):
        with place.path("slow.jsonl").open("ab") as out:
            out.write(5 * LINE)
        if events:
            place.drop.happened(Happened(Kind.CLOSED, "slow.jsonl"))
        place.scans(2.5)
    place.scans(15)
    assert len(place.announced()) == 1
    assert place.content("slow.jsonl") == 20 * LINE


def test_unfinished_names_of_copying_programs_are_not_uploaded(place: Place) -> None:
    for name in (".x.jsonl.AbC123", "x.jsonl.filepart", "x.jsonl.crdownload", "x.jsonl.part", ".hidden/y.jsonl"):
        place.path(name).write_bytes(LINE)
    place.scans(60)
    assert place.names() == []
    place.path(".x.jsonl.AbC123").rename(place.path("x.jsonl"))
    place.drop.happened(Happened(Kind.RENAMED, "x.jsonl"))
    place.drop.look()
    assert place.names() == ["x.jsonl"]


def test_a_file_that_was_written_long_ago_is_uploaded_at_once(place: Place) -> None:
    path = place.path("old.jsonl")
    path.write_bytes(LINE)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    place.drop.look()
    assert place.names() == ["old.jsonl"]


def test_a_file_written_in_one_go_waits_for_seconds_only(place: Place) -> None:
    place.path("new.jsonl").write_bytes(LINE)
    place.drop.look()
    place.scans(3)
    assert place.names() == []
    place.scans(1)
    assert place.names() == ["new.jsonl"]


def test_the_system_tells_of_closed_and_renamed_files(place: Place) -> None:
    if sys.platform != "linux":
        pytest.skip("inotify(7) only")
    place.folder.mkdir(parents=True)
    seen: list[Happened] = []
    both = threading.Event()

    def take(event: Happened) -> None:
        seen.append(event)
        if {entry.kind for entry in seen} == set(Kind):
            both.set()

    watch = Watch(place.folder, take)
    place.path("a.jsonl").write_bytes(LINE)
    place.path("a.jsonl").rename(place.path("b.jsonl"))
    assert both.wait(20)
    watch.stop()
    assert Happened(Kind.CLOSED, "a.jsonl") in seen
    assert Happened(Kind.RENAMED, "b.jsonl") in seen


# ------------------------------------------------------------------------------------------- what lies there
def raw(place: Place, name: bytes) -> bytes:
    place.folder.mkdir(parents=True, exist_ok=True)
    return os.fsencode(place.folder) + b"/" + name


def test_a_name_that_is_not_utf8_is_refused_once_and_stops_nothing(place: Place) -> None:
    try:
        with Path(os.fsdecode(raw(place, b"bad-\xff.jsonl"))).open("wb") as out:
            out.write(LINE)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    place.path("good.jsonl").write_bytes(LINE)
    place.scans(30)
    assert place.names() == ["good.jsonl"]
    assert place.said == ["bad-\\udcff.jsonl has a name that is not UTF-8: rename it"]


def test_links_are_not_followed_and_are_refused(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_bytes(LINE)
    place.path("good.jsonl").write_bytes(LINE)
    place.path("link.jsonl").symlink_to(outside / "secret.jsonl")
    place.path("folder").symlink_to(outside, target_is_directory=True)
    place.path("broken.jsonl").symlink_to(tmp_path / "nobody")
    place.scans(30)
    assert place.names() == ["good.jsonl"]
    assert {line.split()[0] for line in place.said} == {"link.jsonl", "folder", "broken.jsonl"}
    assert all("is a link" in line for line in place.said)


def test_a_file_that_becomes_a_link_after_the_scan_is_not_followed(place: Place, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(LINE)
    place.path("a/x.jsonl").write_bytes(LINE)
    [found] = scan(place.folder)
    shutil.rmtree(place.folder / "a")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.jsonl").write_bytes(LINE)
    (place.folder / "a").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(OSError, match=r"directory|symbolic|links"), opened(place.folder, found.parts):
        pass


def test_a_path_too_long_for_a_bucket_is_refused(place: Place) -> None:
    deep = "/".join(["d" * 200] * 5 + ["x.jsonl"])
    assert len(deep) == 1012
    place.path(deep).write_bytes(LINE)
    place.path(deep.replace("x.jsonl", "y" * 20 + ".jsonl")).write_bytes(LINE)
    place.scans(30)
    assert place.names() == [deep]
    assert ["would have a name of 1,031 bytes" in line for line in place.said] == [True]


def test_what_is_no_file_and_a_line_break_in_a_name_are_refused(place: Place) -> None:
    os.mkfifo(place.path("pipe.jsonl"))
    place.path("two\nlines.jsonl").write_bytes(LINE)
    place.scans(30)
    assert place.names() == []
    assert [line.partition(" ")[0] for line in place.said] == ["pipe.jsonl", "two\\nlines.jsonl"]


def test_a_folder_that_is_removed_while_it_is_scanned_stops_nothing(place: Place) -> None:
    for number in range(50):
        place.path(f"a/{number}/x.jsonl").write_bytes(LINE)
    place.path("z.jsonl").write_bytes(LINE)
    found = scan(place.folder)
    assert next(found).path == "z.jsonl"
    next(found)
    shutil.rmtree(place.folder / "a")
    assert list(found) == []


def test_the_folder_itself_may_vanish(place: Place) -> None:
    place.path("a.jsonl").write_bytes(LINE)
    place.scans(15)
    shutil.rmtree(place.folder)
    place.scans(2)
    place.path("b.jsonl").write_bytes(LINE)
    place.scans(15)
    assert place.names() == ["a.jsonl", "b.jsonl"]


def test_a_file_that_may_not_be_read_is_told_once_and_tried_again(place: Place) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = place.path("locked.jsonl")
    path.write_bytes(LINE)
    path.chmod(0)
    place.scans(60)
    assert len(place.said) == 1
    assert "could not be uploaded and is tried again: Permission denied" in place.said[0]
    path.chmod(0o600)
    place.scans(120)
    assert place.names() == ["locked.jsonl"]


@contextmanager
def file_size_limit(size: int) -> Generator[None]:
    """Let every file of this process end at a size: a full disk without one (setrlimit(2); EFBIG instead of ENOSPC)."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_without_room_is_told_once_and_the_file_is_uploaded_when_there_is_some(place: Place) -> None:
    place.path("big.jsonl").write_bytes(LINE * 20_000)
    with file_size_limit(100_000):
        place.scans(30)
    assert place.announced() == []
    assert len(place.said) == 1
    assert "big.jsonl could not be uploaded and is tried again" in place.said[0]
    place.scans(120)
    assert place.content("big.jsonl") == LINE * 20_000
    assert len(place.announced()) == 1


@pytest.mark.parametrize("error", [UnicodeEncodeError("ascii", "x", 0, 1, "no"), OSError("full"), KeyError("x")])
def test_an_error_of_a_step_never_ends_the_thread(error: Exception) -> None:
    stopped, done = threading.Event(), list[int]()

    def step() -> None:
        done.append(1)
        if len(done) == 3:
            stopped.set()
        raise error

    keep_doing("test", step, stopped, pause_seconds=0.0)
    assert len(done) == 3


def test_names_are_utf8_whatever_the_locale_says(tmp_path: Path) -> None:
    (tmp_path / "grüße").mkdir()
    (tmp_path / "grüße" / "日本.jsonl").write_bytes(LINE)
    code = (
        "import sys; from pathlib import Path; from batchdrop_local.folder.scanning import scan, object_name\n"
        "assert sys.getfilesystemencoding() != 'utf-8'\n"
        "print(ascii([object_name(found.parts) for found in scan(Path(sys.argv[1]))]))"
    )
    path = os.pathsep.join([str(ROOT / "shared"), str(ROOT)])
    environment = {"PYTHONPATH": path, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == ascii(["grüße/日本.jsonl"]), done.stderr


# --------------------------------------------------------------------------------------------- what is noted
def settled(place: Place, name: str) -> Path:
    path = place.path(name)
    path.write_bytes(LINE)
    place.scans(15)
    return path


def test_a_restart_uploads_nothing_twice_and_a_file_put_there_again_is_an_upload(place: Place) -> None:
    path = settled(place, "a.jsonl")
    place.start()
    place.scans(15)
    assert len(set(place.announced())) == 1
    os.utime(path, (1_700_000_000, 1_700_000_000))
    place.scans(15)
    assert len(set(place.announced())) == 2


def test_killed_between_the_upload_and_the_note_a_file_is_not_uploaded_twice(place: Place) -> None:
    settled(place, "a.jsonl")
    place.memory.unlink()
    place.start()
    place.scans(15)
    assert len(set(place.announced())) == 1
    assert "a.jsonl is in the bucket already, byte for byte" in place.said[-1]
    assert json.loads(place.memory.read_bytes())["a.jsonl"][2] == place.objects()[0].generation


def test_killed_between_the_upload_and_its_event_the_event_is_published_again(place: Place) -> None:
    with place.context.objects.create("input", "a.jsonl") as writer:
        writer.write(LINE)
        info = writer.close()
    settled(place, "a.jsonl")
    assert place.announced() == [("a.jsonl", str(info.generation))]


def test_killed_between_an_overwrite_and_its_note_a_file_is_not_uploaded_twice(place: Place) -> None:
    settled(place, "a.jsonl")
    noted = place.memory.read_bytes()
    place.path("a.jsonl").write_bytes(2 * LINE)
    place.scans(15)
    place.memory.write_bytes(noted)
    place.start()
    place.scans(15)
    assert len(set(place.announced())) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"a.jsonl": "x"}', b"\x00\xff"])
def test_damaged_notes_are_told_and_made_again(place: Place, damage: bytes) -> None:
    settled(place, "a.jsonl")
    place.memory.write_bytes(damage)
    place.start()
    assert "is damaged: it is made again" in place.said[-1]
    place.scans(15)
    assert len(set(place.announced())) == 1
    assert list(json.loads(place.memory.read_bytes())) == ["a.jsonl"]


def test_a_file_that_changes_while_it_is_read_makes_no_object(place: Place) -> None:
    path = place.path("a.jsonl")
    path.write_bytes(LINE)
    with path.open("rb") as source, pytest.raises(TransientError, match="changed while it was read"):
        Inbox(place.context, notifies=False).put(_Growing(source, path), "a.jsonl", generation=0)
    assert place.names() == []
    assert place.announced() == []


class _Growing(io.BufferedReader):
    """A file to which somebody appends while it is read."""

    def __init__(self, source: BinaryIO, path: Path) -> None:
        super().__init__(io.FileIO(source.fileno(), closefd=False))
        self._path = path

        self._grown = False

    def read(self, size: int | None = -1, /) -> bytes:
        if not self._grown:
            self._grown = True
            with self._path.open("ab") as out:
                out.write(LINE)
        return super().read(size)
