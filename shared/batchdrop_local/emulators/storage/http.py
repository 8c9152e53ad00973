"""One HTTP call to the local Cloud Storage server: its address, its body in pieces, and exactly one answer.

Whatever a client sends, it gets an answer: a refusal is a 4xx, a fault of ours a 500 with a line in the log, never a
connection that is closed without a word, because clients repeat a call that was not answered (gcloud twelve times).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from batchdrop.core.errors import ObjectExistsError, PermanentError, TransientError
from batchdrop.core.logs import log

PIECE = 1 << 20
MAX_JSON = 8 << 20
"""Bytes of a description. Object data is never read whole."""
JSON_TYPE = "application/json; charset=UTF-8"
Body = dict[str, Any]


class HttpError(Exception):
    """An answer that is no success: its status, and the sentence the client shows."""

    def __init__(self, status: int, message: str) -> None:
        """Remember both."""
        super().__init__(message)
        self.status = status


class ReplyLostError(ConnectionAbortedError):
    """The connection is closed without an answer, as a test asked for."""


class Call(BaseHTTPRequestHandler):
    """A call under way; `route` is what a server does with it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def route(self, path: str) -> None:
        """Answer the call."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing of calls that went well."""

    def _handle(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self._answered = False
        try:
            self._unread = iter(())
            self._unread = self._incoming()
            self.route(url.path)
        except ConnectionError:
            self.close_connection = True
        except HttpError as error:
            self._refuse(error.status, str(error))
        except ObjectExistsError:
            self._refuse(412, "At least one of the pre-conditions you specified did not hold.")
        except PermanentError as error:
            self._refuse(404 if error.code == "GONE" else 400, error.sentence)
        except TransientError as error:
            self._refuse(503, error.sentence)
        except Exception as error:  # noqa: BLE001 - a client without an answer repeats the call
            log("storage server fault", severity="ERROR", method=self.command, error=type(error).__name__)
            self._refuse(500, "The local storage server has a fault; its log has a line.")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _handle  # noqa: N815

    # ------------------------------------------------------------------------------------------- reading
    def _incoming(self) -> Iterator[bytes]:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal():
            self.close_connection = True
            raise HttpError(400, "Content-Length is not a number.")
        return self._counted(int(length))

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise ConnectionAbortedError
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        """Yield a body of unknown length, as JavaScript streams send it (RFC 9112, section 7.1)."""
        while True:
            size = self.rfile.readline(100).partition(b";")[0].strip()
            try:
                left = int(size, 16)
            except ValueError:
                raise HttpError(400, "A chunk has no size.") from None
            if left == 0:
                while self.rfile.readline(8192).strip():
                    pass
                return
            yield from self._counted(left)
            self.rfile.readline(2)

    def pieces(self) -> Iterator[bytes]:
        """Return the body, to be read once, as the client meant it: what was packed for the journey is unpacked."""
        return unpacked(self._unread) if self.headers.get("Content-Encoding") == "gzip" else self._unread

    def json_body(self) -> Body:
        """Return the body as a JSON object; an empty one is `{}`."""
        return described(bounded(self.pieces()))

    def number(self, name: str) -> int | None:
        """Return a parameter of the address that must be a whole number, or None."""
        value = self.query.get(name)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError:
            raise HttpError(400, f"Invalid value for {name}: {value}") from None

    # ----------------------------------------------------------------------------------------- answering
    def answer_json(self, body: Body, status: int = 200) -> None:
        """Answer with a resource."""
        self.answer(status, json.dumps(body).encode())

    def answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, content_type: str = JSON_TYPE
    ) -> None:
        """Answer with bytes."""
        for _ in self._unread:
            pass
        self._head(status, {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(self, status: int, headers: Mapping[str, str], chunks: Iterable[bytes]) -> None:
        """Answer with chunks; without a Content-Length among the headers the connection's end is theirs."""
        for _ in self._unread:
            pass
        if "Content-Length" not in headers:
            headers = {**headers, "Connection": "close"}
            self.close_connection = True
        self._head(status, headers)
        if self.command != "HEAD":
            for chunk in chunks:
                self.wfile.write(chunk)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self._answered = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: int, message: str) -> None:
        if status not in (404, 412):  # a look-up that finds nothing and a lost race are ordinary
            log("storage call refused", severity="WARNING", method=self.command, status=status)
        if self._answered:
            self.close_connection = True
            return
        error = {"code": status, "message": message, "errors": [{"message": message, "reason": "local"}]}
        try:
            self.answer(status, json.dumps({"error": error}).encode())
        except (ConnectionError, HttpError):
            self.close_connection = True


def unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what gzip packed, in pieces of bounded size."""
    unpacking = zlib.decompressobj(wbits=31)
    for piece in pieces:
        data = unpacking.decompress(piece, PIECE)
        while data:
            yield data
            data = unpacking.decompress(unpacking.unconsumed_tail, PIECE)


def bounded(pieces: Iterator[bytes]) -> bytes:
    """Return the bytes of a description whole.

    Raises:
        HttpError: 413, there are more than MAX_JSON.
    """
    text = bytearray()
    for piece in pieces:
        text += piece
        if len(text) > MAX_JSON:
            raise HttpError(413, f"A description is larger than {MAX_JSON} bytes.")
    return bytes(text)


def described(text: bytes) -> Body:
    """Return a JSON object; an empty text is `{}`.

    Raises:
        HttpError: 400, it is something else.
    """
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise HttpError(400, "The description is no JSON object.")
    return found  # pyright: ignore[reportUnknownVariableType]
