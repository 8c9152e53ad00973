"""A Cloud Storage server on loopback for the unmodified client: preconditions, resumable uploads, notifications.

It speaks the JSON API (cloud.google.com/storage/docs/json_api) over the folder store of the embedded stack, and
hands every new object to `on_finalize`. Replies can be lost on purpose, to see what a client makes of it.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

from batchdrop.adapters.directory import ANY, DirectoryObjects
from batchdrop.core.errors import ObjectExistsError, PermanentError
from batchdrop.ports import ObjectInfo

PIECE = 1 << 20
Body = dict[str, Any]


class _HttpError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Upload:
    """A resumable upload under way."""

    def __init__(self, path: Path, draft: ObjectInfo) -> None:
        self.path = path
        self.draft = draft
        self.size = 0
        self.checksum = google_crc32c.Checksum()
        self.done: ObjectInfo | None = None
        """The object, once the upload has ended; a repeated last chunk is answered with it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.left = int(self.headers.get("Content-Length") or 0)
        try:
            self._route(url.path)
        except _HttpError as error:
            self._json(error.status, {"error": {"code": error.status, "message": str(error)}})
        except ObjectExistsError:
            self._json(412, {"error": {"code": 412, "message": "At least one of the pre-conditions did not hold."}})
        except PermanentError:
            self._json(404, {"error": {"code": 404, "message": "No such object."}})

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815

    def _route(self, path: str) -> None:
        method = self.command
        if match := re.fullmatch(r"/(?:resumable/)?upload/storage/v1/b/([^/]+)/o", path):
            self._upload(unquote(match[1]))
        elif match := re.fullmatch(r"/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)", path):
            self._rewrite(*(unquote(part) for part in match.groups()))
        elif match := re.fullmatch(r"/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)", path):
            self._object(method, unquote(match[1]), unquote(match[2]))
        elif match := re.fullmatch(r"/storage/v1/b/([^/]+)/o", path):
            self._list(unquote(match[1]))
        elif match := re.fullmatch(r"/storage/v1/b(?:/([^/]+))?", path):
            name = unquote(match[1]) if match[1] else str(json.loads(self._body() or b"{}").get("name", ""))
            self._json(200, {"kind": "storage#bucket", "id": name, "name": name, "location": "LOCAL"})
        else:
            raise _HttpError(404, "There is nothing at this address.")

    # ------------------------------------------------------------------------------------------- reading
    def _object(self, method: str, bucket: str, name: str) -> None:
        objects = self.server.objects
        wanted = int(self.query["generation"]) if "generation" in self.query else None
        info = objects.stat(bucket, name, generation=wanted)
        if info is None:
            raise _HttpError(404, f"No such object: {bucket}/{name}")
        if method == "DELETE":
            match = self.query.get("ifGenerationMatch")
            if not objects.delete(bucket, name, generation=None if match is None else int(match)):
                raise ObjectExistsError("generation")
            self._answer(204, b"", "application/json")
        elif self.query.get("alt") == "media" or self.path.startswith("/download/"):
            self._media(info)
        else:
            self._json(200, resource(info))

    def _media(self, info: ObjectInfo) -> None:
        start, end, status = 0, info.size, 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end, status = int(match[1]), min(int(match[2] or info.size) + 1, info.size), 206
            if start >= info.size:
                raise _HttpError(416, "The range is outside the object.")
        self.send_response(status)
        self.send_header("Content-Type", info.content_type)
        self.send_header("Content-Length", str(end - start))
        self.send_header("X-Goog-Generation", str(info.generation))
        self.send_header("X-Goog-Hash", f"crc32c={info.crc32c}")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{info.size}")
        self.end_headers()
        chunks = self.server.objects.read(info.bucket, info.name, generation=info.generation, start=start, end=end)
        for chunk in chunks:
            self.wfile.write(chunk)

    def _list(self, bucket: str) -> None:
        size = int(self.query.get("maxResults") or 1000)
        token = self.query.get("pageToken")
        page = self.server.objects.list(
            bucket,
            prefix=self.query.get("prefix", ""),
            page_token=None if token is None else base64.urlsafe_b64decode(token).decode(),
            page_size=size,
        )
        body: Body = {"kind": "storage#objects", "items": [resource(info) for info in page.objects]}
        if page.next_token is not None:
            body["nextPageToken"] = base64.urlsafe_b64encode(page.next_token.encode()).decode()
        self._json(200, body)

    # ------------------------------------------------------------------------------------------- writing
    def _rewrite(self, bucket: str, name: str, to_bucket: str, to_name: str) -> None:
        wanted = self.query.get("sourceGeneration")
        info = self.server.objects.stat(bucket, name, generation=None if wanted is None else int(wanted))
        described: Body = json.loads(self._body() or b"{}")
        if info is None:
            raise _HttpError(404, "No such object.")
        copied = self.server.objects.copy(
            info,
            to_bucket,
            to_name,
            if_generation_match=self._precondition(),
            metadata=described.get("metadata"),
        )
        self.server.finalized(copied)
        if self.server.loses("rewrite"):
            raise ConnectionAbortedError
        size = str(copied.size)
        body = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
        self._json(200, body | {"resource": resource(copied)})

    def _upload(self, bucket: str) -> None:
        kind = self.query.get("uploadType", "media")
        if kind == "multipart":
            self._multipart(bucket)
        elif "upload_id" in self.query:
            self._chunk(self.query["upload_id"])
        elif kind == "resumable":
            self._start(bucket)
        else:
            path, size, crc32c = self._received(self.server.scratch())
            draft = self._draft(bucket, {"name": self.query["name"], "contentType": self.headers.get("Content-Type")})
            self._publish(path, draft, size, crc32c)

    def _multipart(self, bucket: str) -> None:
        head = f"Content-Type: {self.headers.get('Content-Type')}\r\n\r\n".encode()
        message = BytesParser().parsebytes(head + self._body())
        parts: Any = message.get_payload()
        described: Body = json.loads(parts[0].get_payload(decode=True))
        data: bytes = parts[1].get_payload(decode=True)
        described.setdefault("contentType", parts[1].get_content_type())
        checksum = google_crc32c.Checksum(data)
        self._check(described, checksum)
        path = self.server.scratch()
        path.write_bytes(data)
        crc32c = base64.b64encode(checksum.digest()).decode()
        self._publish(path, self._draft(bucket, described), len(data), crc32c)

    def _start(self, bucket: str) -> None:
        described: Body = json.loads(self._body() or b"{}")
        described.setdefault("name", self.query.get("name", ""))
        described.setdefault("contentType", self.headers.get("X-Upload-Content-Type"))
        identity = secrets.token_hex(12)
        draft = self._draft(bucket, described)
        self._check_precondition(draft)
        self.server.uploads[identity] = _Upload(self.server.scratch(), draft)
        where = f"http://{self.headers.get('Host')}/upload/storage/v1/b/{bucket}/o?upload_id={identity}"
        self._answer(200, b"{}", "application/json", {"Location": where})

    def _chunk(self, identity: str) -> None:
        upload = self.server.uploads.get(identity)
        if upload is None:
            raise _HttpError(404, "The upload is not known.")
        if self.command == "DELETE":
            upload.path.unlink(missing_ok=True)
            del self.server.uploads[identity]
            self._answer(499, b"", "application/json")
            return
        if upload.done is not None:
            self._json(200, resource(upload.done))
            return
        total = self._append(upload)
        if total is None or upload.size < total:
            found = {"Range": f"bytes=0-{upload.size - 1}"} if upload.size else {}
            self._answer(308, b"", "application/json", found)
            return
        crc32c = base64.b64encode(upload.checksum.digest()).decode()
        self._publish(upload.path, upload.draft, upload.size, crc32c, upload)

    def _append(self, upload: _Upload) -> int | None:
        """Append a chunk at its offset, what is there already skipped; return the total if it is known."""
        match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", self.headers.get("Content-Range") or "")
        begin = int(match[1]) if match and match[1] else upload.size
        skip = upload.size - begin
        if skip < 0:
            raise _HttpError(503, "The chunk leaves a gap.")
        size = self.left
        with upload.path.open("ab") as out:
            while self.left:
                piece = self._piece()
                fresh = piece[skip:] if skip else piece
                skip = max(skip - len(piece), 0)
                out.write(fresh)
                upload.checksum.update(fresh)
                upload.size += len(fresh)
        if match is None:
            return size
        return None if match[3] == "*" else int(match[3])

    def _publish(self, path: Path, draft: ObjectInfo, size: int, crc32c: str, upload: _Upload | None = None) -> None:
        written = ObjectInfo(
            draft.bucket,
            draft.name,
            draft.generation,
            size,
            crc32c,
            datetime.now(UTC),
            draft.content_type,
            draft.content_encoding,
            draft.metadata,
        )
        info = self.server.objects.publish(path, written)
        if upload is not None:
            upload.done = info
        self.server.finalized(info)
        if self.server.loses("insert"):
            raise ConnectionAbortedError
        self._json(200, resource(info))

    def _draft(self, bucket: str, described: Body) -> ObjectInfo:
        return ObjectInfo(
            bucket,
            described.get("name") or self.query.get("name", ""),
            self._precondition(),
            0,
            "",
            datetime.now(UTC),
            described.get("contentType") or "application/octet-stream",
            described.get("contentEncoding") or "",
            described.get("metadata") or {},
        )

    def _precondition(self) -> int:
        return int(self.query.get("ifGenerationMatch", ANY))

    def _check_precondition(self, draft: ObjectInfo) -> None:
        there = self.server.objects.stat(draft.bucket, draft.name)
        if draft.generation not in (ANY, there.generation if there else 0):
            raise ObjectExistsError("generation")

    @staticmethod
    def _check(described: Body, checksum: Any) -> None:
        claimed = described.get("crc32c")
        if claimed and claimed != base64.b64encode(checksum.digest()).decode():
            raise _HttpError(400, "The crc32c does not match the data.")

    # --------------------------------------------------------------------------------------------- bytes
    def _piece(self) -> bytes:
        piece = self.rfile.read(min(self.left, PIECE))
        if not piece:
            raise ConnectionAbortedError
        self.left -= len(piece)
        return piece

    def _body(self) -> bytes:
        pieces: list[bytes] = []
        while self.left:
            pieces.append(self._piece())
        return b"".join(pieces)

    def _received(self, path: Path) -> tuple[Path, int, str]:
        checksum, size = google_crc32c.Checksum(), 0
        with path.open("wb") as out:
            while self.left:
                piece = self._piece()
                out.write(piece)
                checksum.update(piece)
                size += len(piece)
        return path, size, base64.b64encode(checksum.digest()).decode()

    def _json(self, status: int, body: Body) -> None:
        self._body()
        self._answer(status, json.dumps(body).encode(), "application/json; charset=UTF-8")

    def _answer(self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, objects: DirectoryObjects, folder: Path, on_finalize: Callable[[ObjectInfo], None] | None, port: int
    ):
        self.objects = objects
        self.uploads: dict[str, _Upload] = {}
        self.lost: Counter[str] = Counter()
        self._folder = folder
        self._on_finalize = on_finalize
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    def scratch(self) -> Path:
        return self._folder / ".writing" / secrets.token_hex(8)

    def finalized(self, info: ObjectInfo) -> None:
        if self._on_finalize is not None:
            self._on_finalize(info)

    def loses(self, call: str) -> bool:
        with self._lock:
            if not self.lost[call]:
                return False
            self.lost[call] -= 1
            return True


class GcsServer:
    """The server in background threads."""

    def __init__(self, data_dir: Path, port: int = 0, on_finalize: Callable[[ObjectInfo], None] | None = None) -> None:
        """Bind the port; serve while the block runs."""
        self._server = _Server(DirectoryObjects(data_dir), data_dir, on_finalize, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gcs", daemon=True)

    @property
    def url(self) -> str:
        """The value of STORAGE_EMULATOR_HOST."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def lose_replies(self, call: str, times: int = 1) -> None:
        """Do the next calls of a kind (`insert`, `rewrite`), then close the connection without an answer."""
        self._server.lost[call] = times

    def __enter__(self) -> Self:
        """Begin serving."""
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def resource(info: ObjectInfo) -> Body:
    """Return an object resource."""
    created = info.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "kind": "storage#object",
        "id": f"{info.bucket}/{info.name}/{info.generation}",
        "name": info.name,
        "bucket": info.bucket,
        "generation": str(info.generation),
        "metageneration": "1",
        "size": str(info.size),
        "crc32c": info.crc32c,
        "contentType": info.content_type,
        "contentEncoding": info.content_encoding,
        "metadata": dict(info.metadata),
        "timeCreated": created,
        "updated": created,
        "storageClass": "STANDARD",
    }
