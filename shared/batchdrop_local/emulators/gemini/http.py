"""HTTP/1.1 over http.server: one thread a connection, keep-alive, bodies streamed in both directions.

http.server was chosen by measurement: with 1 MiB pieces it moves the SDK's 8 MiB chunks as fast as the SDK sends
them, and it needs nothing but the standard library. Every answer may be spoiled by a CallFault on its way out.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from batchdrop_local.emulators.gemini.faults import CallFault
from batchdrop_local.emulators.gemini.lines import CHUNK
from batchdrop_local.emulators.gemini.wire import ApiError, Json

BODY_BYTES: Final = 64 * 1024**2
"""The largest body that is held in memory; uploads are streamed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A 200 answer: a JSON object, ready JSON, a file, or pieces of a body that are made while they are sent."""

    body: Json | bytes | Path | Iterator[bytes]
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Headers(Protocol):
    """Header values by names in any case."""

    def get(self, name: str, /) -> str | None:
        """Return a header's value, if it was sent."""
        ...


class Body(Protocol):
    """Bytes on their way in."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        ...


class Call:
    """One request: its parts, and its body when it is wanted."""

    def __init__(self, method: str, target: str, headers: Headers, body: Body) -> None:
        """Take the request line and the headers; the body is not read yet."""
        url = urlsplit(target)
        self.method = method
        self.path = unquote(url.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.headers = headers
        self.length = int(headers.get("Content-Length") or 0)
        self.base = f"http://{headers.get('Host')}"
        self._input = body
        self._left = self.length

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body, at most `size`; empty when the caller went away."""
        piece = self._input.read(min(size, self._left))
        self._left -= len(piece)
        return piece

    def body(self) -> bytes:
        """Return the rest of the body."""
        if self._left > BODY_BYTES:
            raise ApiError(400, f"Request payload size exceeds the limit: {BODY_BYTES} bytes.")
        return self.read(self._left)

    def drain(self) -> None:
        """Drop what is left of the body, so that the connection can go on."""
        while self._left and self.read(CHUNK):
            pass


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a reply, and after how many bytes of its body the connection breaks (negative: never)."""

    status: int
    reply: Reply
    cut: int = -1


def answer(call: Call, fault: CallFault, action: Callable[[], Reply], stopped: threading.Event) -> Answer:
    """Do what a call asks for, unless the fault forbids it.

    Raises:
        ConnectionAbortedError: The caller gets no answer.
    """
    try:
        _before(fault, stopped)
        reply = action()
    except ApiError as error:
        call.drain()
        return Answer(error.status, Reply(error.body()))
    call.drain()
    if fault.lose or fault.hang_seconds:
        stopped.wait(fault.hang_seconds)
        raise ConnectionAbortedError
    return Answer(200, reply, fault.cut_after_bytes)


def _before(fault: CallFault, stopped: threading.Event) -> None:
    if fault.delay_seconds:
        stopped.wait(fault.delay_seconds)
    if fault.drop:
        raise ConnectionAbortedError
    if fault.status:
        retry = fault.retry_seconds if fault.status == 429 else None
        raise ApiError(fault.status, "The emulator was told to refuse this call.", retry)


class Handler(BaseHTTPRequestHandler):
    """Reads calls, lets the server answer them, writes the answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - socketserver sets it

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def _handle(self) -> None:
        try:
            call = Call(self.command, self.path, self.headers, self.rfile)
            kind, action = self.server.route(call)
            self._send(answer(call, self.server.fault(kind), action, self.server.stopped))
        except ConnectionError:
            self.close_connection = True
            self._hang_up()

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _handle  # noqa: N815 - the names http.server looks for

    def _send(self, answer: Answer) -> None:
        body, headers = answer.reply.body, answer.reply.headers
        if isinstance(body, dict):
            return self._ready(answer.status, msgspec.json.encode(body), headers, answer.cut)
        if isinstance(body, bytes):
            return self._ready(answer.status, body, headers, answer.cut)
        if isinstance(body, Path):
            return self._file(body, answer.cut)
        return self._pieces(body, answer.cut)

    def _ready(self, status: int, body: bytes, headers: dict[str, str], cut: int) -> None:
        self._head(
            status, {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(body))} | headers
        )
        self.wfile.write(body if cut < 0 else body[:cut])
        if cut >= 0:
            raise ConnectionAbortedError

    def _file(self, path: Path, cut: int) -> None:
        with path.open("rb") as source:
            size = path.stat().st_size
            self._head(200, {"Content-Type": "application/octet-stream", "Content-Length": str(size)})
            if size and cut:
                self.connection.sendfile(source, count=size if cut < 0 else min(cut, size))
        if cut >= 0:
            raise ConnectionAbortedError

    def _pieces(self, pieces: Iterator[bytes], cut: int) -> None:
        self._head(200, {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"})
        for piece in pieces:
            sent = piece if cut < 0 else piece[:cut]
            if sent:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(sent), sent))
            if cut >= 0:
                cut -= len(sent)
                if not cut:
                    raise ConnectionAbortedError
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _hang_up(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class Server(ThreadingHTTPServer):
    """The threads and connections; what is answered comes from outside."""

    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self,
        port: int,
        route: Callable[[Call], tuple[str, Callable[[], Reply]]],
        fault: Callable[[str], CallFault],
    ) -> None:
        """Bind loopback.

        Args:
            port: 0 for any free one.
            route: Returns the kind of a call, and what does it.
            fault: Returns what spoils a call of a kind, and counts it.
        """
        self.route = route
        self.fault = fault
        self.stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that it can be closed at the end."""
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what is our fault; callers that went away are no news."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Close every connection and wait for their threads; callers kept waiting are let go."""
        self.stopped.set()
        self.shutdown()
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        self.server_close()
