"""HTTP/1.1 for every emulator: one thread a connection, keep-alive, bodies streamed in both directions.

http.server was chosen by measurement: with 1 MiB pieces it moves an SDK's 8 MiB chunks as fast as the SDK sends
them, and it needs nothing but the standard library. What is answered, and what breaks on its way, the service says.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from batchdrop_local.threads import in_threads

CHUNK: Final = 1 << 20
BODY_BYTES: Final = 64 * 1024**2
"""The largest body that is held in memory; uploads are streamed."""
POLL_SECONDS: Final = 0.02
"""How long the end of a server waits for its thread to notice."""
Json = dict[str, Any]
"""A JSON object on its way out."""


class RefusedError(Exception):
    """An answer that is no success: its status, and the sentence; the service writes both in its own form."""

    def __init__(self, status: int, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call is answered: a JSON object, ready bytes, a file, or pieces of a body made while they are sent."""

    body: Json | bytes | Path | Iterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Pieces whose Content-Length is among them are sent as they are; others chunked."""
    status: int = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a reply, and after how many bytes of its body the connection breaks (negative: never)."""

    reply: Reply
    cut: int = -1


class Headers(Protocol):
    """Header values by names in any case."""

    def get(self, name: str, /) -> str | None:
        """Return a header's value, if it was sent."""
        ...


class Stream(Protocol):
    """Bytes on their way in."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        ...

    def readline(self, size: int, /) -> bytes:
        """Return the next bytes up to the end of a line."""
        ...


class Body(Protocol):
    """A call's body; `complete` once it was read to its end."""

    complete: bool

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; empty at the end, and when the caller went away."""
        ...


class _Counted:
    def __init__(self, stream: Stream, length: int) -> None:
        self._stream = stream
        self._left = length
        self.complete = not length

    def read(self, size: int) -> bytes:
        piece = self._stream.read(min(size, self._left)) if self._left else b""
        self._left -= len(piece)
        self.complete = not self._left
        return piece


class _Chunked:
    """A body of unknown length, as JavaScript streams send it (RFC 9112, section 7.1)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = 0
        self.complete = False

    def read(self, size: int) -> bytes:
        if not (self._left or self.complete):
            self._begin_chunk()
        if self.complete:
            return b""
        piece = self._stream.read(min(size, self._left))
        self._left -= len(piece)
        if not self._left:
            self._stream.readline(2)
        return piece

    def _begin_chunk(self) -> None:
        digits = self._stream.readline(100).partition(b";")[0].strip()
        try:
            self._left = int(digits, 16)
        except ValueError:
            raise RefusedError(400, "A chunk has no size.") from None
        if not self._left:
            while self._stream.readline(8192).strip():  # trailers
                pass
            self.complete = True


class _Unmeasured:
    complete = False

    def read(self, size: int) -> bytes:
        del size
        raise RefusedError(400, "Content-Length is not a number.")


def _body(headers: Headers, stream: Stream) -> Body:
    if "chunked" in (headers.get("Transfer-Encoding") or "").lower():
        return _Chunked(stream)
    length = headers.get("Content-Length") or "0"
    return _Counted(stream, int(length)) if length.isdecimal() else _Unmeasured()


class Call:
    """One request: its parts, and its body when it is wanted."""

    def __init__(
        self, method: str, target: str, headers: Headers, stream: Stream
    ) -> None:
        """Take the request line and the headers; the body is not read yet."""
        url = urlsplit(target)
        self.method = method
        self.quoted_path = url.path
        self.path = unquote(url.path)
        self.query = {
            name: values[0]
            for name, values in parse_qs(url.query, keep_blank_values=True).items()
        }
        self.headers = headers
        length = headers.get("Content-Length") or "0"
        self.length = int(length) if length.isdecimal() else 0
        """Of the body, 0 if that is not known."""
        self.base = f"http://{headers.get('Host')}"
        self._body = _body(headers, stream)

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body, at most `size`; empty at its end, and when the caller went away."""
        return self._body.read(size)

    def pieces(self) -> Iterator[bytes]:
        """Yield the rest of the body, 1 MiB at a time.

        Raises:
            ConnectionAbortedError: The caller went away before its end.
        """
        while piece := self.read(CHUNK):
            yield piece
        if not self._body.complete:
            raise ConnectionAbortedError

    def body(self) -> bytes:
        """Return the rest of the body."""
        whole = b""
        while len(whole) <= BODY_BYTES and (
            piece := self.read(BODY_BYTES + 1 - len(whole))
        ):
            whole += piece
        if len(whole) > BODY_BYTES:
            raise RefusedError(
                400, f"Request payload size exceeds the limit: {BODY_BYTES} bytes."
            )
        return whole

    def drain(self) -> bool:
        """Drop what is left of the body; return whether the connection can go on."""
        try:
            while self.read(CHUNK):
                pass
        except RefusedError:
            return False
        return self._body.complete


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
            answer = self.server.answer(call)
            # What is left of the body must not be read as the next call.
            self.close_connection = self.close_connection or not call.drain()
            self._send(answer)
        except ConnectionError:
            self.close_connection = True
            self._hang_up()

    # The names http.server looks for.
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _handle  # noqa: N815

    def _send(self, answer: Answer) -> None:
        body, cut = answer.reply.body, answer.cut
        if isinstance(body, dict):
            return self._ready(answer.reply, msgspec.json.encode(body), cut)
        if isinstance(body, bytes):
            return self._ready(answer.reply, body, cut)
        if isinstance(body, Path):
            return self._file(answer.reply, body, cut)
        return self._pieces(answer.reply, body, cut)

    def _ready(self, reply: Reply, body: bytes, cut: int) -> None:
        self._head(
            reply,
            {
                "Content-Type": "application/json; charset=UTF-8",
                "Content-Length": str(len(body)),
            },
        )
        if self.command != "HEAD":
            self.wfile.write(body if cut < 0 else body[:cut])
        if cut >= 0:
            raise ConnectionAbortedError

    def _file(self, reply: Reply, path: Path, cut: int) -> None:
        with path.open("rb") as source:
            size = path.stat().st_size
            self._head(
                reply,
                {
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(size),
                },
            )
            if size and cut and self.command != "HEAD":
                self.connection.sendfile(
                    source, count=size if cut < 0 else min(cut, size)
                )
        if cut >= 0:
            raise ConnectionAbortedError

    def _pieces(self, reply: Reply, pieces: Iterator[bytes], cut: int) -> None:
        counted = "Content-Length" in reply.headers
        self._head(
            reply,
            {"Content-Type": "application/octet-stream"}
            | ({} if counted else {"Transfer-Encoding": "chunked"}),
        )
        if self.command == "HEAD":
            return
        for piece in pieces:
            sent = piece if cut < 0 else piece[:cut]
            if sent:
                self.wfile.write(
                    sent if counted else b"%x\r\n%b\r\n" % (len(sent), sent)
                )
            if cut >= 0:
                cut -= len(sent)
                if not cut:
                    raise ConnectionAbortedError
        if not counted:
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, reply: Reply, usual: Mapping[str, str]) -> None:
        self.send_response(reply.status)
        for name, value in {**usual, **reply.headers}.items():
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

    def __init__(self, port: int, answer: Callable[[Call], Answer], name: str) -> None:
        """Bind loopback.

        Args:
            port: 0 for any free one.
            answer: Does what a call asks for. A ConnectionError it raises is all that the caller gets to see.
            name: The thread's.
        """
        self.answer = answer
        self.stopped = threading.Event()
        """Set when the server ends: who keeps a caller waiting waits for it."""
        self._name = name
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def serving(self) -> Generator[None]:
        """Serve until the block ends; callers kept waiting are let go."""
        with in_threads(
            {self._name: partial(self.serve_forever, POLL_SECONDS)}, self._close
        ):
            yield

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

    def _close(self) -> None:
        """Close every connection and wait for their threads."""
        self.stopped.set()
        self.shutdown()
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        self.server_close()
