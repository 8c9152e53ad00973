"""The clients that users have, unmodified, against the local Cloud Storage server and Google's Pub/Sub emulator.

`gcloud` is the one of the machine (seen with SDK 528); without one its tests are skipped.
"""

# The Google clients are partly untyped.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket, Client

from batchdrop_local.emulators.google_jars import GoogleEmulators
from batchdrop_local.emulators.storage import StorageEmulator
from tests.emulators.javascript import run_tests

MIB = 1 << 20
SMALL = b'{"key":"a","request":{}}\n'
RESUMABLE = {"STORAGE_RESUMABLE_THRESHOLD": "1Mi"}
COMPOSITE = {
    **RESUMABLE,  # gcloud removes only components that were resumable uploads
    "STORAGE_PARALLEL_COMPOSITE_UPLOAD_ENABLED": "True",
    "STORAGE_PARALLEL_COMPOSITE_UPLOAD_THRESHOLD": "1Mi",
    "STORAGE_PARALLEL_COMPOSITE_UPLOAD_COMPONENT_SIZE": "5Mi",
    "STORAGE_PARALLEL_COMPOSITE_UPLOAD_COMPATIBILITY_CHECK": "False",
}


class Gcloud:
    """The command, with a configuration of its own that knows no account."""

    def __init__(self, folder: Path, overrides: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "CLOUDSDK_CONFIG": str(folder / "config"),
            "CLOUDSDK_CORE_PROJECT": "demo-local",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            **overrides,
        }

    def __call__(self, *words: str, **properties: str) -> str:
        """Run a command, which must succeed; return what it printed."""
        done = subprocess.run(
            ["gcloud", *words],
            cwd=self.folder,
            env=self.environment | {f"CLOUDSDK_{name}": value for name, value in properties.items()},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"gcloud {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def finalized() -> list[str]:
    """The names of objects that the server announced."""
    return []


@pytest.fixture
def server(tmp_path: Path, finalized: list[str], monkeypatch: pytest.MonkeyPatch) -> Generator[StorageEmulator]:
    """A storage server that the client libraries find."""
    with StorageEmulator(tmp_path / "buckets", on_finalize=lambda info: finalized.append(info.name)) as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


@pytest.fixture
def gcloud(tmp_path: Path, server: StorageEmulator) -> Gcloud:
    """gcloud, pointed at the storage server as the `environment` file of a stack does it."""
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    folder = tmp_path / "work"
    folder.mkdir()
    return Gcloud(folder, {"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{server.url}/storage/v1/"})


@pytest.fixture
def bucket(server: StorageEmulator) -> Bucket:
    """The input bucket as the Python client sees it."""
    return Client(project="demo-local").bucket("input")


# ------------------------------------------------------------------------------------------------ gcloud
def test_gcloud_copies_lists_shows_moves_and_removes(gcloud: Gcloud, finalized: list[str]) -> None:
    (gcloud.folder / "requests.jsonl").write_bytes(SMALL)
    gcloud("storage", "cp", "requests.jsonl", "gs://input/my-team/")
    assert finalized == ["my-team/requests.jsonl"]
    assert gcloud("storage", "cat", "gs://input/my-team/requests.jsonl") == SMALL.decode()
    assert gcloud("storage", "ls", "gs://input/").split() == ["gs://input/my-team/"]
    assert "25" in gcloud("storage", "ls", "--long", "gs://input/my-team/").split()
    gcloud("storage", "mv", "gs://input/my-team/requests.jsonl", "gs://input/other/moved.jsonl")
    assert gcloud("storage", "ls", "gs://input/**").split() == ["gs://input/other/moved.jsonl"]
    gcloud("storage", "cp", "gs://input/other/moved.jsonl", "back.jsonl")
    assert (gcloud.folder / "back.jsonl").read_bytes() == SMALL
    gcloud("storage", "rm", "--recursive", "gs://input/other")
    assert gcloud("storage", "ls", "gs://input/") == ""


@pytest.mark.parametrize("properties", [RESUMABLE, COMPOSITE], ids=["resumable", "parallel composite"])
def test_gcloud_uploads_large_files_with_metadata(
    gcloud: Gcloud, bucket: Bucket, finalized: list[str], properties: dict[str, str]
) -> None:
    data = secrets.token_bytes(12 * MIB)
    (gcloud.folder / "large.jsonl").write_bytes(data)
    # SDK 528 refuses its own metadata where it composes ("Existing custom fields should not exist"), whoever serves.
    metadata = {} if properties is COMPOSITE else {"model": "m", "label-a": "b"}
    described = [f"--custom-metadata={','.join(map('='.join, metadata.items()))}"] if metadata else []
    gcloud("storage", "cp", "large.jsonl", "gs://input/", "--content-type=application/jsonl", *described, **properties)
    blob = bucket.get_blob("large.jsonl")
    assert blob is not None
    assert (blob.metadata or {}, blob.content_type) == (metadata, "application/jsonl")
    assert blob.download_as_bytes() == data
    assert [info.name for info in bucket.list_blobs()] == ["large.jsonl"]
    components = [name for name in finalized if name != "large.jsonl"]
    assert all(name.startswith("gcloud/tmp/") for name in components)
    assert bool(components) == (properties is COMPOSITE)


def test_gcloud_keeps_a_folder_and_a_bucket_the_same(gcloud: Gcloud, bucket: Bucket) -> None:
    folder = gcloud.folder / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(SMALL)
    (folder / "sub" / "b.jsonl").write_bytes(SMALL)
    gcloud("storage", "rsync", "--recursive", "data", "gs://input/data")
    first = {blob.name: blob.generation for blob in bucket.list_blobs()}
    (folder / "a.jsonl").write_bytes(SMALL * 2)
    (folder / "sub" / "b.jsonl").unlink()
    gcloud("storage", "rsync", "--recursive", "--delete-unmatched-destination-objects", "data", "gs://input/data")
    second = {blob.name: blob.generation for blob in bucket.list_blobs()}
    assert set(first) == {"data/a.jsonl", "data/sub/b.jsonl"}
    assert set(second) == {"data/a.jsonl"}
    assert second["data/a.jsonl"] != first["data/a.jsonl"]
    gcloud("storage", "rsync", "--recursive", "gs://input/data", "back")
    assert (gcloud.folder / "back" / "a.jsonl").read_bytes() == SMALL * 2


def test_gcloud_describes_and_packs_objects(gcloud: Gcloud, bucket: Bucket) -> None:
    (gcloud.folder / "a.jsonl").write_bytes(SMALL)
    gcloud("storage", "cp", "--gzip-local-all", "a.jsonl", "gs://input/stored-packed.jsonl")
    gcloud("storage", "cp", "--gzip-in-flight-all", "a.jsonl", "gs://input/sent-packed.jsonl")
    gcloud("storage", "objects", "update", "gs://input/sent-packed.jsonl", "--custom-metadata=again=x")
    stored, sent = bucket.get_blob("stored-packed.jsonl"), bucket.get_blob("sent-packed.jsonl")
    assert stored is not None
    assert sent is not None
    assert gzip.decompress(stored.download_as_bytes(raw_download=True)) == SMALL
    assert stored.content_encoding == "gzip"
    assert sent.download_as_bytes(raw_download=True) == SMALL
    assert sent.metadata == {"again": "x"}
    assert "input" in gcloud("storage", "buckets", "list", "--format=value(name)").split()


def test_gcloud_subscribes_and_pulls(tmp_path: Path, google: GoogleEmulators) -> None:
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    name = f"t{secrets.token_hex(4)}"
    gcloud = Gcloud(tmp_path, {"CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{google.pubsub_host}/"})
    gcloud("pubsub", "topics", "create", name)
    gcloud("pubsub", "subscriptions", "create", f"{name}-mine", f"--topic={name}")
    gcloud("pubsub", "topics", "publish", name, "--message=done", "--attribute=state=DONE")
    pulled = gcloud("pubsub", "subscriptions", "pull", f"{name}-mine", "--auto-ack", "--format=value(message.data)")
    assert pulled.strip() == "done"


# ---------------------------------------------------------------------------------------------- libraries
def test_the_javascript_client_does_what_users_do(server: StorageEmulator) -> None:
    assert "# pass 5" in run_tests("storage.test.mjs", {"STORAGE_EMULATOR_HOST": server.url})


def test_the_python_client_lists_folders_and_pages(bucket: Bucket) -> None:
    for name in ("a/1", "a/2", "b/c/3", "d", "é/4", "~"):
        bucket.blob(name).upload_from_string(b"x")
    pages = bucket.list_blobs(delimiter="/", page_size=2)
    assert [blob.name for blob in pages] == ["d", "~"]
    assert pages.prefixes == {"a/", "b/", "é/"}
    assert [blob.name for blob in bucket.list_blobs(start_offset="a/2", end_offset="d")] == ["a/2", "b/c/3"]
    assert [blob.name for blob in bucket.list_blobs(match_glob="**/3")] == ["b/c/3"]


def test_the_python_client_composes_copies_and_describes(bucket: Bucket) -> None:
    first, second, both = bucket.blob("1"), bucket.blob("2"), bucket.blob("both")
    first.metadata = {"a": "b"}
    first.upload_from_string(b"one", content_type="text/plain")
    second.upload_from_string(b"two")
    both.compose([first, second])
    assert both.download_as_bytes() == b"onetwo"
    copy = bucket.copy_blob(first, bucket, "copy")
    assert (copy.content_type, copy.metadata) == ("text/plain", {"a": "b"})
    copy.metadata = {"c": "d"}
    copy.patch()
    again = bucket.get_blob("copy")
    assert again is not None
    assert again.metadata == {"a": "b", "c": "d"}


def test_a_packed_object_is_unpacked_for_a_client_that_takes_no_gzip(bucket: Bucket) -> None:
    blob = bucket.blob("packed")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(SMALL * 1000))
    assert blob.download_as_bytes() == SMALL * 1000
    headers = {"Accept-Encoding": "identity"}
    url = f"{os.environ['STORAGE_EMULATOR_HOST']}/storage/v1/b/input/o/packed?alt=media"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        assert answer.read() == SMALL * 1000
