"""Files: resumable uploads and what became of them. A file is there until it is deleted or 48 hours old."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from batchdrop_local.emulators.gemini.lines import CHUNK
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.gemini.wire import (
    ApiError,
    letters,
    stamp,
    without_empty,
)
from batchdrop_local.emulators.http import Json

EXPIRY_SECONDS: Final = 48 * 3600
_NAME: Final = re.compile(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_ADDRESS: Final = re.compile(r"/v1(?:beta)?/(files/[a-z0-9-]+)$")


class File(msgspec.Struct, frozen=True):
    """A stored file; `sha256` is hexadecimal, `content` the name of the file that holds the bytes, if any."""

    name: str
    size: int
    created: float
    expires: float
    content: str = ""
    sha256: str = ""
    display_name: str = ""
    mime_type: str = ""
    uri: str = ""
    source: str = "UPLOADED"


class Wanted(msgspec.Struct, rename="camel"):
    """The `file` of an upload's first call."""

    name: str = ""
    display_name: str = ""
    mime_type: str = ""


class Start(msgspec.Struct, rename="camel"):
    """The body of an upload's first call."""

    file: Wanted = msgspec.field(default_factory=Wanted)


class Register(msgspec.Struct):
    """The body of files:register."""

    uris: list[str] = []


class Upload:
    """A resumable upload under way; its bytes are hashed as they come."""

    def __init__(self, path: Path, wanted: Wanted, mime_type: str) -> None:
        """Open the file that takes the bytes."""
        self.path = path
        self.wanted = wanted
        self.mime_type = mime_type
        self.out = path.open("wb", buffering=0)
        self.offset = 0
        self.hash = hashlib.sha256()
        self.lock = threading.Lock()
        self.done: File | None = None


class Files:
    """All files. `limits` returns the largest file and the largest sum, in bytes."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        limits: Callable[[], tuple[int, int]],
    ) -> None:
        """Take the store and the clock."""
        self._store = store
        self._now = now
        self._limits = limits
        self._uploads: dict[str, Upload] = {}

    def start(self, body: Start, size: int, mime_type: str) -> str:
        """Open an upload; return its id.

        Raises:
            ApiError: 400 a bad name or too large; 409 the name is taken; 429 the storage is full.
        """
        largest, storage = self._limits()
        if size > largest:
            raise ApiError(
                400, f"File size {size} exceeds the limit of {largest} bytes."
            )
        if sum(file.size for file in self._live()) + size > storage:
            raise ApiError(429, "You exceeded your file storage quota.", 60)
        wanted = body.file
        wanted.name = wanted.name or f"files/{letters(12)}"
        if not _NAME.fullmatch(wanted.name):
            raise ApiError(
                400, "File ID must be at most 40 lower-case letters, digits and dashes."
            )
        if any(file.name == wanted.name for file in self._live()):
            raise ApiError(409, f"File {wanted.name} already exists.")
        identity = secrets.token_hex(12)
        self._uploads[identity] = Upload(
            self._store.content / identity, wanted, wanted.mime_type or mime_type
        )
        return identity

    def receive(
        self, identity: str, offset: int, length: int, read: Callable[[int], bytes]
    ) -> Upload:
        """Take a chunk; one that was taken already is read and dropped, so that a repeat does no harm.

        Raises:
            ApiError: 400 there is a gap; 404 nobody started this upload.
            ConnectionError: The caller went away; what came in is kept.
        """
        upload = self._uploads.get(identity)
        if upload is None:
            raise ApiError(404, "The upload is not known.")
        with upload.lock:
            known = upload.offset - offset
            if known < 0:
                raise ApiError(
                    400, f"The upload offset is {upload.offset}, not {offset}."
                )
            while length:
                piece = read(min(length, CHUNK))
                if not piece:
                    raise ConnectionAbortedError
                length -= len(piece)
                fresh, known = piece[known:], max(known - len(piece), 0)
                if fresh and upload.done is None:
                    upload.out.write(fresh)
                    upload.hash.update(fresh)
                    upload.offset += len(fresh)
        return upload

    def finish(self, upload: Upload, base: str) -> Json:
        """Make an upload a file, once; return the resource."""
        with upload.lock:
            if upload.done is None:
                upload.out.close()
                now = self._now()
                upload.done = File(
                    name=upload.wanted.name,
                    size=upload.offset,
                    created=now,
                    expires=now + EXPIRY_SECONDS,
                    content=upload.path.name,
                    sha256=upload.hash.hexdigest(),
                    display_name=upload.wanted.display_name,
                    mime_type=upload.mime_type,
                    uri=f"{base}/v1beta/{upload.wanted.name}",
                )
                self._store.put(upload.done)
        return resource(upload.done)

    def register(self, uris: list[str]) -> list[Json]:
        """Make files of Cloud Storage addresses; their bytes are not there."""
        now = self._now()
        found: list[Json] = []
        for uri in uris:
            file = File(
                f"files/{letters(12)}",
                0,
                now,
                now + EXPIRY_SECONDS,
                uri=uri,
                source="REGISTERED",
            )
            self._store.put(file)
            found.append(resource(file))
        return found

    def get(self, name: str) -> File:
        """Return a file.

        Raises:
            ApiError: 400, the id is too long, as a batch's output has (python-genai issue 1759); 403, it is not there.
        """
        if len(name.removeprefix("files/")) > 40:
            raise ApiError(400, "File ID cannot be more than 40 characters.")
        file = self._store.get(File, name)
        if file is None or file.expires <= self._now():
            raise ApiError(
                403,
                f"You do not have permission to access the File {name} or it may not exist.",
            )
        return file

    def path(self, name: str) -> Path:
        """Return where a file's bytes are.

        Raises:
            ApiError: 400 they are not here; 403 there is no such file.
        """
        file = self.get(name)
        if not file.content:
            raise ApiError(400, f"File {name} has no content here.")
        return self._store.content / file.content

    def refused(self, uri: str, until: float) -> int:
        """Return the code of the error that a request with this address meets; 0 when it can be read.

        A bucket's object must be registered; an address elsewhere is taken for one that can be fetched.
        """
        if uri.startswith("gs://"):
            known = any(
                file.uri == uri and file.expires > until
                for file in self._store.all(File)
            )
            return 0 if known else 3
        match = _ADDRESS.search(uri)
        file = self._store.get(File, match[1]) if match else None
        return 7 if match and (file is None or file.expires <= until) else 0

    def unfinished(self) -> int:
        """Count the uploads under way."""
        return sum(upload.done is None for upload in self._uploads.values())

    def all(self) -> list[Json]:
        """Return all files, newest first."""
        return [resource(file) for file in self._live()]

    def delete(self, name: str) -> None:
        """Delete a file; batches that read it keep its bytes, and it stays known when it ended."""
        file = self.get(name)
        self._store.put(msgspec.structs.replace(file, expires=self._now()))
        if file.content:
            (self._store.content / file.content).unlink(missing_ok=True)

    def _live(self) -> list[File]:
        return [file for file in self._store.all(File) if file.expires > self._now()]


def resource(file: File) -> Json:
    """Return a file as the service shows it; sha256Hash is base64 of the hex digest (wire facts, section 3.2)."""
    return without_empty(
        {
            "name": file.name,
            "displayName": file.display_name,
            "mimeType": file.mime_type,
            "sizeBytes": str(file.size),
            "createTime": stamp(file.created),
            "updateTime": stamp(file.created),
            "expirationTime": stamp(file.expires),
            "sha256Hash": base64.b64encode(file.sha256.encode()).decode(),
            "uri": file.uri,
            "state": "ACTIVE",
            "source": file.source,
        }
    )
