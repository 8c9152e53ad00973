"""A Cloud Storage server on loopback for unmodified clients: gcloud, google-cloud-storage in Python and JavaScript.

It speaks the JSON API (cloud.google.com/storage/docs/json_api) over the folder store of the embedded stack, and
hands every new object to `on_finalize`. Replies can be lost on purpose, to see what a client makes of it.

    GET    /storage/v1/b                               POST   /upload/storage/v1/b/B/o   media, multipart, resumable
    GET    /storage/v1/b/B/o                           POST   /storage/v1/b/B/o/O/rewriteTo/b/B/o/O
    GET    /storage/v1/b/B/o/O  (alt=media: bytes)     POST   /storage/v1/b/B/o/O/copyTo/b/B/o/O
    PATCH  /storage/v1/b/B/o/O  metadata               POST   /storage/v1/b/B/o/O/compose
    DELETE /storage/v1/b/B/o/O                         else: 404 or 405, with a sentence
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from batchdrop.adapters.local.directory import ANY, DirectoryObjects
from batchdrop.core.errors import ObjectExistsError
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.storage import listing, uploads
from batchdrop_local.emulators.storage.http import Body, Call, HttpError, ReplyLostError, unpacked
from batchdrop_local.emulators.storage.resources import (
    METAGENERATION,
    Sums,
    bucket_resource,
    changed,
    coded,
    described_as,
    resource,
    take_in,
)
from batchdrop_local.emulators.storage.uploads import Upload

MAX_SOURCES = 32
"""Objects a compose call may name (cloud.google.com/storage/quotas, read 2026-11-25)."""
MD5_KEPT = 10_000
NAME = "([^/]+)"
API = "(?:/storage/v1)?"
"""JavaScript leaves it out where STORAGE_EMULATOR_HOST is set (seen with 8.4.0)."""
BUCKET = f"{API}/b/{NAME}"
OBJECT = f"{BUCKET}/o/{NAME}"


class Handler(Call):
    """A call to the JSON API; a method for each address of `_ROUTES`."""

    server: StorageServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def route(self, path: str) -> None:
        """Hand the call to the method of its address."""
        for pattern, method, act in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split():
                act(self, *(unquote(part) for part in match.groups()))
                return
        if any(re.fullmatch(pattern, path) for pattern, _, _ in _ROUTES):
            raise HttpError(405, f"The local storage server does not know {self.command} at this address.")
        raise HttpError(404, "The local storage server does not know this address.")

    # ------------------------------------------------------------------------------------------- reading
    def buckets(self) -> None:
        """List the buckets."""
        self.answer_json(
            {"kind": "storage#buckets", "items": [bucket_resource(name) for name in self.server.buckets()]}
        )

    def new_bucket(self) -> None:
        """Make a bucket: nothing needs to be made."""
        self.answer_json(bucket_resource(str(self.json_body().get("name") or "")))

    def layout(self, name: str) -> None:
        """Describe how a bucket keeps names: flat."""
        self.answer_json(bucket_resource(name) | {"hierarchicalNamespace": {"enabled": False}})

    def bucket(self, name: str) -> None:
        """Describe a bucket."""
        self.answer_json(bucket_resource(name))

    def listing(self, bucket: str) -> None:
        """List objects and folders."""
        self.answer_json(listing.page(self.server.objects, bucket, self, self.server.resource))

    def get(self, bucket: str, name: str) -> None:
        """Describe an object, or send its bytes."""
        info = self.found(bucket, name)
        if self.query.get("alt") == "media":
            self.media(info)
        else:
            self.answer_json(self.server.resource(info))

    def download(self, bucket: str, name: str) -> None:
        """Send an object's bytes."""
        self.media(self.found(bucket, name))

    def media(self, info: ObjectInfo) -> None:
        """Send the bytes that the call asks for, in the form it takes."""
        headers = {
            "Content-Type": info.content_type,
            "X-Goog-Generation": str(info.generation),
            "X-Goog-Hash": f"crc32c={info.crc32c}",
            "X-Goog-Stored-Content-Encoding": info.content_encoding or "identity",
            "X-Goog-Stored-Content-Length": str(info.size),
        }
        if info.content_encoding == "gzip" and "gzip" not in (self.headers.get("Accept-Encoding") or ""):
            # cloud.google.com/storage/docs/transcoding: unpacked for a client that does not take gzip
            self.stream(200, headers, unpacked(self.bytes_of(info, 0, info.size)))
            return
        start, end, status = self._range(info.size)
        headers |= {"Content-Length": str(end - start), **coded(info)}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
        self.stream(status, headers, self.bytes_of(info, start, end))

    def bytes_of(self, info: ObjectInfo, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [start, end) of one generation."""
        return self.server.objects.read(info.bucket, info.name, generation=info.generation, start=start, end=end)

    def _range(self, size: int) -> tuple[int, int, int]:
        """Return what part of an object is asked for, [start, end), and the status that says so (RFC 9110, 14)."""
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if match is None or not any(match.groups()):
            return 0, size, 200
        if not match[1]:
            return max(size - int(match[2]), 0), size, 206
        start = int(match[1])
        if start >= size:
            raise HttpError(416, "The requested range cannot be satisfied.")
        return start, min(int(match[2] or size) + 1, size), 206

    # ------------------------------------------------------------------------------------------- writing
    def delete(self, bucket: str, name: str) -> None:
        """Delete an object."""
        info = self.found(bucket, name)
        if not self.server.objects.delete(bucket, name, generation=info.generation):
            raise HttpError(404, f"No such object: {bucket}/{name}")
        self.answer(204)

    def patch(self, bucket: str, name: str) -> None:
        """Change an object's description."""
        info = self.found(bucket, name)
        self.answer_json(self.server.resource(self.server.objects.describe(changed(info, self.json_body()))))

    def upload(self, bucket: str) -> None:
        """Take an upload."""
        uploads.receive(self, self.server, bucket)

    def rewrite(self, bucket: str, name: str, to_bucket: str, to_name: str) -> None:
        """Copy an object, whole at the first call."""
        copied = self._copied(bucket, name, to_bucket, to_name)
        size = str(copied.size)
        body = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
        self.answer_json(body | {"resource": self.server.resource(copied)})

    def copy(self, bucket: str, name: str, to_bucket: str, to_name: str) -> None:
        """Copy an object."""
        self.answer_json(self.server.resource(self._copied(bucket, name, to_bucket, to_name)))

    def _copied(self, bucket: str, name: str, to_bucket: str, to_name: str) -> ObjectInfo:
        """Copy an object; a body describes the copy and nothing of the source's description is kept."""
        info = self.found(bucket, name, prefix="Source")
        objects = self.server.objects
        body = self.json_body()
        copied = objects.copy(info, to_bucket, to_name, if_generation_match=self.precondition())
        if body:
            copied = objects.describe(described_as(copied, body))
        self.server.finalized(copied)
        self.server.lose("rewrite")
        return copied

    def compose(self, bucket: str, name: str) -> None:
        """Write one object of the bytes of others, in order."""
        body = self.json_body()
        listed: list[Body] = body.get("sourceObjects") or []
        if not 1 <= len(listed) <= MAX_SOURCES:
            raise HttpError(400, f"The number of source objects must be between 1 and {MAX_SOURCES}.")
        sources = [self._source(bucket, entry) for entry in listed]
        pieces = (piece for info in sources for piece in self.bytes_of(info, 0, info.size))
        destination: Body = body.get("destination") or {}
        draft = self.draft(bucket, destination | {"name": name})
        self.answer_json(self.server.resource(self.store(pieces, draft)))

    def _source(self, bucket: str, entry: Body) -> ObjectInfo:
        generation = entry.get("generation")
        info = self.server.objects.stat(
            bucket, str(entry.get("name")), generation=int(generation) if generation else None
        )
        if info is None:
            raise HttpError(404, f"No such object: {bucket}/{entry.get('name')}")
        return info

    # ----------------------------------------------------------------------------------------- what helps
    def found(self, bucket: str, name: str, prefix: str = "") -> ObjectInfo:
        """Return the live object that the address names, if the call's conditions hold."""
        wanted = self.number(f"{prefix[:1].lower()}{prefix[1:]}Generation" if prefix else "generation")
        info = self.server.objects.stat(bucket, name, generation=wanted)
        if info is None:
            raise HttpError(404, f"No such object: {bucket}/{name}")
        if prefix or self.command in ("DELETE", "PATCH", "GET", "HEAD"):
            self._check_conditions(info, prefix)
        return info

    def _check_conditions(self, info: ObjectInfo, prefix: str) -> None:
        generation = self.number(f"if{prefix}GenerationMatch")
        metageneration = self.number(f"if{prefix}MetagenerationMatch")
        if generation not in (None, info.generation) or metageneration not in (None, METAGENERATION):
            raise ObjectExistsError("another generation is live")

    def precondition(self) -> int:
        """Return the generation that a new object must replace; 0: none, ANY: whichever."""
        wanted = self.number("ifGenerationMatch")
        return ANY if wanted is None else wanted

    def draft(self, bucket: str, body: Body) -> ObjectInfo:
        """Return the object a description asks for, without bytes yet."""
        name = str(body.get("name") or self.query.get("name") or "")
        if not name:
            raise HttpError(400, "Required parameter: name")
        empty = ObjectInfo(bucket, name, self.precondition(), 0, "", self.server.objects.now())
        return described_as(empty, body)

    def store(self, pieces: Iterator[bytes], draft: ObjectInfo, claimed: Body | None = None) -> ObjectInfo:
        """Write an object's bytes, check them against what the client claims of them, make the object visible."""
        path = self.server.scratch()
        written, sums = take_in(path, pieces, draft)
        if not sums.agree(claimed or {}):
            path.unlink()
            raise HttpError(400, "Provided checksum does not match the data.")
        info = self.server.publish(path, written, sums)
        self.server.lose("insert")
        return info


_ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    (f"(?:/resumable)?/upload{BUCKET}/o", "POST PUT DELETE", Handler.upload),
    (f"{OBJECT}/rewriteTo/b/{NAME}/o/{NAME}", "POST", Handler.rewrite),
    (f"{OBJECT}/copyTo/b/{NAME}/o/{NAME}", "POST", Handler.copy),
    (f"{OBJECT}/compose", "POST", Handler.compose),
    (f"/download{OBJECT}", "GET HEAD", Handler.download),
    (OBJECT, "GET HEAD", Handler.get),
    (OBJECT, "DELETE", Handler.delete),
    (OBJECT, "PATCH PUT", Handler.patch),
    (f"{BUCKET}/o", "GET", Handler.listing),
    (f"{BUCKET}/storageLayout", "GET", Handler.layout),
    (BUCKET, "GET", Handler.bucket),
    (f"{API}/b", "GET", Handler.buckets),
    (f"{API}/b", "POST", Handler.new_bucket),
)


class StorageServer(ThreadingHTTPServer):
    """What all calls share: the objects, uploads under way, and what a test wants lost."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, objects: DirectoryObjects, folder: Path, on_finalize: Callable[[ObjectInfo], None] | None, port: int
    ):
        """Bind the port."""
        self.objects = objects
        self.uploads: dict[str, Upload] = {}
        self.lost: Counter[str] = Counter()
        self._md5: dict[int, str] = {}
        self._folder = folder
        self._on_finalize = on_finalize
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def buckets(self) -> list[str]:
        """Return the names of the buckets, which are folders."""
        return sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir() and entry.name[0] != ".")

    def scratch(self) -> Path:
        """Return a place for bytes that are not visible yet."""
        return self._folder / ".writing" / secrets.token_hex(8)

    def publish(self, path: Path, written: ObjectInfo, sums: Sums) -> ObjectInfo:
        """Make an object visible and announce it."""
        info = self.objects.publish(path, written)
        with self._lock:
            self._md5[info.generation] = sums.text("md5Hash")
            if len(self._md5) > MD5_KEPT:
                del self._md5[next(iter(self._md5))]
        self.finalized(info)
        return info

    @property
    def url(self) -> str:
        """Return the server's address."""
        return f"http://127.0.0.1:{self.server_port}"

    def resource(self, info: ObjectInfo) -> Body:
        """Describe an object, with its MD5 if it was uploaded lately: gcloud compares it with what it sent."""
        md5 = self._md5.get(info.generation)
        return resource(info, self.url) | ({} if md5 is None else {"md5Hash": md5})

    def finalized(self, info: ObjectInfo) -> None:
        """Announce a new object."""
        if self._on_finalize is not None:
            self._on_finalize(info)

    def lose(self, call: str) -> None:
        """Close the connection without an answer if a test asked for it."""
        with self._lock:
            if not self.lost[call]:
                return
            self.lost[call] -= 1
        raise ReplyLostError


class GcsServer:
    """The server in background threads."""

    def __init__(self, data_dir: Path, port: int = 0, on_finalize: Callable[[ObjectInfo], None] | None = None) -> None:
        """Bind the port; serve while the block runs."""
        self._server = StorageServer(DirectoryObjects(data_dir), data_dir, on_finalize, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gcs", daemon=True)

    def dated_by(self, now: Callable[[], datetime]) -> None:
        """Let a clock date new objects."""
        self._server.objects.now = now

    @property
    def url(self) -> str:
        """The value of STORAGE_EMULATOR_HOST."""
        return self._server.url

    def lose_replies(self, call: str, times: int = 1) -> None:
        """Do the next calls of a kind (`insert`, `rewrite`), then close the connection without an answer."""
        self._server.lost[call] = times

    def wait(self) -> None:
        """Serve until interrupted."""
        self._thread.join()

    def __enter__(self) -> Self:
        """Begin serving."""
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
