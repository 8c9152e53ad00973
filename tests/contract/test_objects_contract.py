"""The Objects port: what both adapters promise, and what only Cloud Storage can show."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import pytest

from batchdrop.adapters.cloud.gcs import GcsObjects
from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.core.errors import ObjectExistsError, PermanentError
from batchdrop.ports import ObjectInfo, Objects
from batchdrop_local.emulators.storage import StorageEmulator

MIB = 1 << 20


@pytest.fixture(params=["directory", "gcs"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Each adapter in turn."""
    if request.param == "directory":
        return DirectoryObjects(tmp_path / "objects")
    request.getfixturevalue("gcs")
    return GcsObjects("demo-local")


def put(
    objects: Objects, name: str, data: bytes, generation: int = 0, metadata: dict[str, str] | None = None
) -> ObjectInfo:
    with objects.create("bucket", name, if_generation_match=generation, metadata=metadata) as writer:
        writer.write(data)
        return writer.close()


def get(objects: Objects, name: str, generation: int | None = None) -> bytes:
    return b"".join(objects.read("bucket", name, generation=generation))


NAMES = ["plain", "a/b", "a", "a/b/c", "with space & é.jsonl", "../up", "a//b", "x" * 300, "колонка/😀", "a%2Fb", "-"]


def test_names_of_every_kind_live_side_by_side(objects: Objects) -> None:
    for name in NAMES:
        put(objects, name, name.encode())
    assert [info.name for info in objects.list("bucket").objects] == sorted(NAMES, key=str.encode)
    for name in NAMES:
        assert get(objects, name) == name.encode()


REFUSED: list[tuple[str, dict[str, str], str]] = [
    ("", {}, "OBJECT_NAME"),
    (".", {}, "OBJECT_NAME"),
    ("..", {}, "OBJECT_NAME"),
    ("a\nb", {}, "OBJECT_NAME"),
    ("a\rb", {}, "OBJECT_NAME"),
    ("\udcff", {}, "OBJECT_NAME"),
    ("é" * 513, {}, "OBJECT_NAME"),
    ("x", {"a": "é" * 4096}, "OBJECT_METADATA"),
]


@pytest.mark.parametrize(("name", "metadata", "code"), REFUSED)
def test_what_cloud_storage_does_not_take_is_refused_by_both(
    objects: Objects, name: str, metadata: dict[str, str], code: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        put(objects, name, b"1", metadata=metadata)
    assert caught.value.code == code
    source = put(objects, "source", b"2")
    if not metadata:
        with pytest.raises(PermanentError) as caught:
            objects.copy(source, "bucket", name)
        assert caught.value.code == code
    assert [info.name for info in objects.list("bucket").objects] == ["source"]


@pytest.mark.parametrize("bucket", ["", "ab", "A-bucket", "-bucket", "a..b", "x" * 64, "a/b", ".index.sqlite"])
def test_buckets_that_cloud_storage_cannot_have_are_refused_by_both(objects: Objects, bucket: str) -> None:
    with pytest.raises(PermanentError) as caught, objects.create(bucket, "x"):
        pass
    assert caught.value.code == "BUCKET_NAME"


def test_the_longest_name_and_the_most_metadata_are_taken(objects: Objects) -> None:
    info = put(objects, "é" * 512, b"1", metadata={"k": "v" * 8191})
    assert objects.stat("bucket", "é" * 512) == info


def test_what_was_written_is_described(objects: Objects) -> None:
    info = put(objects, "x", b"hello", metadata={"model": "m", "label-a": "é"})
    assert objects.stat("bucket", "x") == info
    assert (info.size, info.crc32c) == (5, "mnG7TA==")
    assert dict(info.metadata) == {"model": "m", "label-a": "é"}
    assert info.created_at.tzinfo is not None


def test_an_object_that_is_there_is_not_replaced(objects: Objects) -> None:
    put(objects, "x", b"one")
    with pytest.raises(ObjectExistsError):
        put(objects, "x", b"two")
    assert get(objects, "x") == b"one"


def test_creating_the_same_bytes_again_is_success(objects: Objects) -> None:
    assert put(objects, "x", b"one") == put(objects, "x", b"one")


def test_a_replacement_needs_the_generation_it_replaces(objects: Objects) -> None:
    first = put(objects, "x", b"one")
    second = put(objects, "x", b"two", first.generation)
    assert second.generation > first.generation
    with pytest.raises(ObjectExistsError):
        put(objects, "x", b"three", first.generation)


def test_of_many_creators_one_wins(objects: Objects) -> None:
    outcomes: list[bool] = []

    def create(number: int) -> None:
        try:
            put(objects, "race", b"%d" % number)
            outcomes.append(True)
        except ObjectExistsError:
            outcomes.append(False)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 15 + [True]


def test_nothing_is_visible_before_close_and_nothing_remains_after_abort(objects: Objects) -> None:
    for size in (10, 20 * MIB):
        with objects.create("bucket", "x") as writer:
            writer.write(b"x" * size)
            assert objects.stat("bucket", "x") is None
        assert objects.stat("bucket", "x") is None
    assert objects.list("bucket").objects == ()


def test_large_objects_pass_in_pieces(objects: Objects) -> None:
    piece = bytes(range(256)) * 4096
    with objects.create("bucket", "large") as writer:
        for _ in range(20):
            writer.write(piece)
        info = writer.close()
    assert info.size == 20 * MIB
    chunks = list(objects.read("bucket", "large"))
    assert b"".join(chunks) == piece * 20
    assert max(map(len, chunks)) <= 8 * MIB


@pytest.mark.parametrize(("start", "end"), [(0, None), (3, None), (0, 4), (2, 5), (5, 5), (9, 99), (10, None)])
def test_ranges_are_half_open(objects: Objects, start: int, end: int | None) -> None:
    put(objects, "x", b"0123456789")
    assert b"".join(objects.read("bucket", "x", start=start, end=end)) == b"0123456789"[start:end]


def test_a_pinned_generation_that_is_gone_says_so(objects: Objects) -> None:
    first = put(objects, "x", b"one")
    put(objects, "x", b"two", first.generation)
    assert objects.stat("bucket", "x", generation=first.generation) is None
    for generation in (first.generation, None):
        name = "x" if generation else "absent"
        with pytest.raises(PermanentError) as caught:
            get(objects, name, generation)
        assert caught.value.code == "GONE"


def test_a_copy_onto_itself_is_a_generation_with_other_metadata(objects: Objects) -> None:
    first = put(objects, "x", b"one", metadata={"a": "b"})
    copy = objects.copy(first, "bucket", "x", if_generation_match=first.generation, metadata={"a": "b", "again": "1"})
    assert copy.generation > first.generation
    assert objects.stat("bucket", "x") == copy
    assert (dict(copy.metadata), copy.content_type) == ({"a": "b", "again": "1"}, first.content_type)
    assert get(objects, "x") == b"one"
    with pytest.raises(ObjectExistsError):
        objects.copy(copy, "bucket", "x", if_generation_match=first.generation, metadata={})


def test_a_copy_has_bytes_and_metadata_of_that_generation(objects: Objects) -> None:
    first = put(objects, "x", b"one", metadata={"a": "b"})
    copy = objects.copy(first, "other", "y/z")
    assert (copy.bucket, copy.name, copy.size, copy.crc32c) == ("other", "y/z", 3, first.crc32c)
    assert dict(copy.metadata) == {"a": "b"}
    with pytest.raises(ObjectExistsError):
        objects.copy(first, "other", "y/z")
    put(objects, "x", b"two", first.generation)
    with pytest.raises(PermanentError):
        objects.copy(first, "other", "fresh")


def test_a_copy_keeps_what_describes_its_source(objects: Objects) -> None:
    with objects.create("bucket", "x", content_type="text/csv", metadata={"a": "é"}) as writer:
        writer.write(b"one")
        source = writer.close()
    copy = objects.copy(source, "other", "y")
    stored = objects.stat("other", "y")
    assert stored == copy
    assert (copy.content_type, dict(copy.metadata)) == ("text/csv", {"a": "é"})


def test_a_rewrite_that_names_metadata_replaces_all_that_describes_the_source(gcs: StorageEmulator) -> None:
    """What Cloud Storage does with a rewrite's body; so a copy must name the content type with the metadata."""
    objects = GcsObjects("demo-local")
    with objects.create("bucket", "x", content_type="text/csv", metadata={"a": "b"}) as writer:
        writer.close()
    source, target = objects.client.bucket("bucket").blob("x"), objects.client.bucket("bucket").blob("y")
    target.rewrite(source)
    kept = objects.stat("bucket", "y")
    assert kept is not None
    assert (kept.content_type, dict(kept.metadata)) == ("text/csv", {"a": "b"})
    other = objects.client.bucket("bucket").blob("z")
    other.metadata = {"c": "d"}
    other.rewrite(source)
    replaced = objects.stat("bucket", "z")
    assert replaced is not None
    assert (replaced.content_type, dict(replaced.metadata)) == ("application/octet-stream", {"c": "d"})


@pytest.mark.parametrize("size", [10, 9 * MIB, 20 * MIB])
def test_a_second_writer_of_the_same_bytes_succeeds_and_of_others_fails(objects: Objects, size: int) -> None:
    """Above 8 MiB the loss shows while bytes are written; it is told when all are known."""
    first = put_in_pieces(objects, b"x" * size)
    assert put_in_pieces(objects, b"x" * size) == first
    with objects.create("bucket", "x") as writer:
        for piece in pieces(b"y" * size):
            writer.write(piece)
        with pytest.raises(ObjectExistsError):
            writer.close()
    assert get(objects, "x") == b"x" * size


@pytest.mark.parametrize("lost", [True, False])
def test_a_writer_that_gave_up_sends_nothing_when_it_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """Else the client's destructor would finish the object, cut off, or wait minutes for a server that is gone."""
    with StorageEmulator(tmp_path / "gcs") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        objects = GcsObjects("demo-local")
        if lost:
            put_in_pieces(objects, b"x")
        writer = objects.create("bucket", "x")
        writer.write(b"y" * (9 * MIB))
        writer.write(b"y" * (9 * MIB))
    began = time.monotonic()
    if not lost:
        writer.abort()
    del writer
    gc.collect()
    assert time.monotonic() - began < 20


def pieces(data: bytes) -> list[bytes]:
    return [data[start : start + MIB] for start in range(0, len(data), MIB)]


def put_in_pieces(objects: Objects, data: bytes) -> ObjectInfo:
    with objects.create("bucket", "x") as writer:
        for piece in pieces(data):
            writer.write(piece)
        return writer.close()


def test_a_list_holds_the_names_with_the_prefix_and_no_others(objects: Objects) -> None:
    inside = ["a/", "a/ ", "a/b", "a/é", "a/\U0010ffff", "a/\U0010ffff\U0010ffffz"]
    for name in ("A/b", "a", "a.b", "a0", "a\U0010ffff", "b/a", *inside):
        put(objects, name, b"x")
    assert [info.name for info in objects.list("bucket", prefix="a/").objects] == inside


def test_lists_are_paged_by_prefix(objects: Objects) -> None:
    for number in range(7):
        put(objects, f"a/{number}", b"")
    put(objects, "b", b"")
    first = objects.list("bucket", prefix="a/", page_size=4)
    second = objects.list("bucket", prefix="a/", page_size=4, page_token=first.next_token)
    assert [info.name for info in (*first.objects, *second.objects)] == [f"a/{number}" for number in range(7)]
    assert second.next_token is None


def test_deleting_takes_only_the_named_generation(objects: Objects) -> None:
    first = put(objects, "x", b"one")
    second = put(objects, "x", b"two", first.generation)
    assert not objects.delete("bucket", "x", generation=first.generation)
    assert objects.delete("bucket", "x", generation=second.generation)
    assert not objects.delete("bucket", "x")
    third = put(objects, "x", b"three")
    assert third.generation > second.generation


@pytest.mark.parametrize("size", [10, 20 * MIB])
def test_a_lost_reply_to_a_create_is_success_and_one_object(gcs: StorageEmulator, size: int) -> None:
    objects = GcsObjects("demo-local")
    gcs.lose_replies("insert")
    assert put(objects, "x", b"x" * size).size == size


def test_the_folder_knows_its_objects_after_a_restart(tmp_path: Path) -> None:
    info = put(DirectoryObjects(tmp_path), "a/b", b"one")
    again = DirectoryObjects(tmp_path)
    assert again.stat("bucket", "a/b") == info
    assert (tmp_path / "bucket" / "a" / "b").read_bytes() == b"one"


def test_a_reader_keeps_its_bytes_while_the_object_is_replaced(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path)
    first = put(objects, "x", b"a" * (3 * MIB))
    reading = objects.read("bucket", "x")
    next(reading)
    put(objects, "x", b"b", first.generation)
    assert b"".join(reading) == b"a" * (2 * MIB)
