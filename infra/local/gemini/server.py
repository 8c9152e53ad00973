"""The API over HTTP/1.1 on loopback: routes, resumable upload, faults per call, and a small control endpoint.

GET, PUT /control/faults     POST /control/reset     POST /control/advance {"seconds": 3600}
GET /control/stats           POST /control/batches/{id}/state {"state": "FAILED"}
"""

# JSON of any shape passes through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from infra.local.gemini.faults import CallFault, Faults, decode, encode
from infra.local.gemini.service import ApiError, Body, Service

PIECE: Final = 1 << 20
DEFAULT_PAGE: Final = 50
VERSIONS: Final = r"(?:v1|v1beta|v1beta1|v1alpha)"


class Call:
    """One request: its parts and how to answer it."""

    def __init__(self, handler: Handler) -> None:
        """Take the request line and headers; the body is read when wanted."""
        url = urlsplit(handler.path)
        self.handler = handler
        self.path = unquote(url.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.length = int(handler.headers.get("Content-Length") or 0)
        self.read_body: bytes | None = None

    def body(self) -> bytes:
        """Return the whole body, read once."""
        if self.read_body is None:
            self.read_body = self.handler.rfile.read(self.length)
        return self.read_body

    def json(self) -> Body:
        """Return the body as a JSON object."""
        try:
            found: Any = json.loads(self.body() or b"{}")
        except ValueError:
            raise ApiError(400, "Invalid JSON payload received.") from None
        return found if isinstance(found, dict) else {}

    def base(self) -> str:
        """Return the address the caller used."""
        return f"http://{self.handler.headers.get('Host')}"


class Upload:
    """A resumable upload under way."""

    def __init__(self, started: Body, path: Path) -> None:
        """Open the file."""
        self.started = started
        self.path = path
        self.file = path.open("wb")
        self.offset = 0
        self.hash = hashlib.sha256()


class Handler(BaseHTTPRequestHandler):
    """Finds the route, applies the faults, writes the answer."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def _handle(self) -> None:
        call = Call(self)
        kind, action = self.server.route(self.command, call)
        fault = self.server.fault(kind)
        try:
            if fault is not None:
                self._before(fault)
            result = action()
            if fault is not None and (fault.lose or fault.hang_seconds):
                self.server.stopped.wait(fault.hang_seconds)
                raise ConnectionAbortedError
            self._answer(200, result, fault)
        except ApiError as error:
            call.body()
            self._answer(error.status, error.body(), None)
        except ConnectionError:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _handle  # noqa: N815

    def _before(self, fault: CallFault) -> None:
        self.server.stopped.wait(fault.delay_seconds)
        if fault.drop:
            raise ConnectionAbortedError
        if fault.status:
            retry = fault.retry_seconds if fault.status == 429 else None
            raise ApiError(fault.status, "The emulator was told to refuse this call.", retry)

    def _answer(self, status: int, result: object, fault: CallFault | None) -> None:
        headers: dict[str, str] = {}
        if isinstance(result, tuple):
            headers, result = result
        if isinstance(result, (dict, bytes)):
            body = result if isinstance(result, bytes) else msgspec.json.encode(result)
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            cut = fault.cut_after_bytes if fault else -1
            self.wfile.write(body if cut < 0 else body[:cut])
            self.wfile.flush()
            if cut >= 0:
                raise ConnectionAbortedError
            return
        self._stream(result, fault)

    def _stream(self, chunks: Any, fault: CallFault | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = fault.cut_after_bytes if fault else -1
        for chunk in chunks:
            piece = chunk if left < 0 else chunk[:left]
            self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n" if piece else b"")
            if left >= 0:
                left -= len(piece)
                if left <= 0:
                    self.wfile.flush()
                    raise ConnectionAbortedError
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """Routes and counters."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, service: Service, port: int) -> None:
        """Bind loopback."""
        self.service = service
        self.stopped = threading.Event()
        self.calls: Counter[str] = Counter()
        self._hits: Counter[int] = Counter()
        self._seen: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about callers that went away."""

    def set_faults(self, faults: Faults) -> None:
        """Use other faults from now on."""
        with self._lock:
            self.service.faults = faults
            self._hits.clear()
            self._seen.clear()

    def fault(self, kind: str) -> CallFault | None:
        """Return the fault that hits this call, and count it."""
        if kind == "control":
            return None
        with self._lock:
            self.calls[kind] += 1
            for index, fault in enumerate(self.service.faults.calls):
                if fault.call not in (kind, "*"):
                    continue
                self._seen[index] += 1
                if self._seen[index] > fault.skip and (fault.times < 0 or self._hits[index] < fault.times):
                    self._hits[index] += 1
                    return fault
        return None

    def route(self, method: str, call: Call) -> tuple[str, Callable[[], object]]:
        """Return the kind of a call and what does it."""
        path = call.path
        if path.startswith("/control/"):
            return "control", lambda: self._control(method, call)
        if re.search(rf"/upload/{VERSIONS}/files$", path):
            return "upload", lambda: self._upload(call)
        found = re.search(rf"(?:^|/){VERSIONS}/(.+)$", path)
        if found:
            for verb, pattern, kind, action in _ROUTES:
                match = re.fullmatch(pattern, found[1])
                if match and verb == method:
                    return kind, partial(action, self, call, *match.groups())
        return "unknown", lambda: _not_found(path)

    def page(self, call: Call, entries: list[Body], field: str) -> Body:
        """Return one page of a list; the token is the position."""
        start = int(call.query.get("pageToken") or 0)
        size = int(call.query.get("pageSize") or DEFAULT_PAGE)
        size = min(size, self.service.faults.page_size or size)
        page: Body = {field: entries[start : start + size]} if entries[start : start + size] else {}
        return page | ({"nextPageToken": str(start + size)} if start + size < len(entries) else {})

    def _upload(self, call: Call) -> object:
        headers = call.handler.headers
        command = str(headers.get("X-Goog-Upload-Command") or "")
        if command == "start":
            size = int(headers.get("X-Goog-Upload-Header-Content-Length") or 0)
            identity, started = self.service.start_upload(call.json(), size)
            self._uploads[identity] = Upload(started, self.service.store.content / identity)
            url = f"{call.base()}{call.path}?upload_id={identity}&upload_protocol=resumable"
            return {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"}, {}
        upload = self._uploads.get(call.query.get("upload_id", ""))
        if upload is None:
            raise ApiError(404, "The upload is not known.")
        offset = int(headers.get("X-Goog-Upload-Offset") or 0)
        if offset != upload.offset:
            call.body()
            if offset + call.length <= upload.offset:
                return {"X-Goog-Upload-Status": "active"}, {}
            raise ApiError(400, "The upload offset is wrong.")
        self._receive(call, upload)
        if "finalize" not in command:
            return {"X-Goog-Upload-Status": "active"}, {}
        upload.file.close()
        file = self.service.finish_upload(upload.started, upload.path, upload.hash.hexdigest(), call.base())
        del self._uploads[call.query["upload_id"]]
        return {"X-Goog-Upload-Status": "final"}, {"file": file}

    @staticmethod
    def _receive(call: Call, upload: Upload) -> None:
        left = call.length
        while left:
            piece = call.handler.rfile.read(min(left, PIECE))
            if not piece:
                raise ConnectionAbortedError
            upload.file.write(piece)
            upload.hash.update(piece)
            left -= len(piece)
        upload.offset += call.length
        call.read_body = b""  # it was streamed

    def _control(self, method: str, call: Call) -> object:
        service = self.service
        what = call.path.removeprefix("/control/")
        if what == "faults":
            if method == "PUT":
                try:
                    self.set_faults(decode(call.body()))
                except (msgspec.ValidationError, msgspec.DecodeError) as error:
                    raise ApiError(400, str(error)) from None
            return encode(service.faults)
        if what == "stats":
            return {"calls": dict(self.calls), **service.counts()}
        if what == "reset":
            service.store.reset()
            self.calls.clear()
            return {}
        if what == "advance":
            service.advance(float(call.json()["seconds"]))
            return {}
        match = re.fullmatch(r"batches/([^/]+)/state", what)
        if match is None:
            return _not_found(call.path)
        service.force(f"batches/{match[1]}", str(call.json()["state"]))
        return {}


def _not_found(path: str) -> object:
    raise ApiError(404, f"There is nothing at {path}.")


def _create(server: Server, call: Call, model: str) -> object:
    return server.service.create_batch(model, "generate", call.json())


def _create_embed(server: Server, call: Call, model: str) -> object:
    return server.service.create_batch(model, "embed", call.json())


_Action = Callable[..., object]
_ROUTES: Final[list[tuple[str, str, str, _Action]]] = [
    ("GET", r"(files/[^/:]+):download", "download", lambda s, c, n: s.service.download(n)),
    ("GET", r"(files/[^/:]+)", "files.get", lambda s, c, n: s.service.file(n)),
    ("DELETE", r"(files/[^/:]+)", "files.delete", lambda s, c, n: s.service.delete_file(n)),
    ("GET", r"files", "files.list", lambda s, c: s.page(c, s.service.files(), "files")),
    ("POST", r"models/([^/:]+):batchGenerateContent", "create", _create),
    ("POST", r"models/([^/:]+):asyncBatchEmbedContent", "create", _create_embed),
    ("GET", r"(batches/[^/:]+)", "get", lambda s, c, n: s.service.batch(n)),
    ("GET", r"batches", "list", lambda s, c: s.page(c, s.service.batches(), "operations")),
    ("POST", r"(batches/[^/:]+):cancel", "cancel", lambda s, c, n: s.service.cancel_batch(n)),
    ("DELETE", r"(batches/[^/:]+)", "delete", lambda s, c, n: s.service.delete_batch(n)),
    ("POST", r"models/([^/:]+):countTokens", "count", lambda s, c, m: s.service.count_tokens(m, c.body())),
    ("POST", r"models/([^/:]+):generateContent", "generate", lambda s, c, m: s.service.generate(m, c.body())),
    ("POST", r"models/([^/:]+):batchEmbedContents", "embed", lambda s, c, m: s.service.embed(m, c.body())),
    ("GET", r"models/([^/:]+)", "models.get", lambda s, c, m: s.service.model(m)),
    ("GET", r"models", "models.list", lambda s, c: {"models": [s.service.model(m) for m in sorted(s.service.models)]}),
    ("POST", r"cachedContents", "caches.create", lambda s, c: s.service.create_cache(c.json())),
    ("GET", r"cachedContents", "caches.list", lambda s, c: s.page(c, s.service.caches(), "cachedContents")),
    ("GET", r"(cachedContents/[^/:]+)", "caches.get", lambda s, c, n: s.service.cache(n)),
    ("PATCH", r"(cachedContents/[^/:]+)", "caches.change", lambda s, c, n: s.service.change_cache(n, c.json())),
    ("DELETE", r"(cachedContents/[^/:]+)", "caches.delete", lambda s, c, n: s.service.delete_cache(n)),
]


class GeminiEmulator:
    """The emulator in background threads of this process."""

    def __init__(
        self, *, data_dir: Path, faults: Faults | None = None, port: int = 0, models: tuple[str, ...] = ()
    ) -> None:
        """Bind the port; serve from `start` or `with` on."""
        self.service = Service(data_dir, faults or Faults(), models)
        self._server = Server(self.service, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gemini", daemon=True)

    @property
    def url(self) -> str:
        """The address to give the SDK as base_url."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self.service.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._server.set_faults(faults)

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came in."""
        return self._server.calls

    def start(self) -> Self:
        """Begin serving."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving; callers kept waiting are let go."""
        self._server.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Serve until interrupted."""
        while self._thread.is_alive():
            time.sleep(3600)

    def __enter__(self) -> Self:
        """Begin serving."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.stop()
