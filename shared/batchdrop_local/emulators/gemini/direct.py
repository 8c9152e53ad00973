"""The emulator without sockets, for tests that make thousands of runs: a transport for the SDK's HTTP client.

The calls, the answers and the faults are those of the server; a broken connection is what httpx2 makes of one, and
nobody waits: a delay takes no time, and a call that hangs has timed out.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx2
import msgspec

from batchdrop_local.emulators.gemini.faults import CallFault
from batchdrop_local.emulators.gemini.lines import chunks
from batchdrop_local.emulators.gemini.spoiling import answer
from batchdrop_local.emulators.http import Answer, Call, Reply

_JSON: Final = {"Content-Type": "application/json; charset=UTF-8"}
_BROKEN: Final = "The emulator broke the connection."


class DirectTransport(httpx2.BaseTransport):
    """Answers a client's requests in its own thread."""

    def __init__(
        self,
        route: Callable[[Call], tuple[str, Callable[[], Reply]]],
        fault: Callable[[str], CallFault],
    ) -> None:
        """Take the same two functions as the server."""
        self._route = route
        self._fault = fault
        self._no_wait = threading.Event()
        self._no_wait.set()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request, or break the connection."""
        body = request.read()
        call = Call(
            request.method,
            request.url.raw_path.decode(),
            request.headers,
            io.BytesIO(body),
        )
        kind, action = self._route(call)
        fault = self._fault(kind)
        try:
            found = answer(call, fault, action, self._no_wait)
        except ConnectionError:
            broken = (
                httpx2.ReadTimeout if fault.hang_seconds else httpx2.RemoteProtocolError
            )
            raise broken(_BROKEN, request=request) from None
        headers = dict(found.reply.headers) | (
            _JSON if isinstance(found.reply.body, dict) else {}
        )
        return httpx2.Response(found.reply.status, headers=headers, stream=_Body(found))


class _Body(httpx2.SyncByteStream):
    """A body that ends, or breaks, where the answer says."""

    def __init__(self, found: Answer) -> None:
        self._pieces = _pieces(found.reply)
        self._cut = found.cut

    def __iter__(self) -> Iterator[bytes]:
        left = self._cut
        for piece in self._pieces:
            if self._cut < 0:
                yield piece
                continue
            if piece[:left]:
                yield piece[:left]
            left = max(0, left - len(piece))
        if self._cut >= 0:
            raise httpx2.RemoteProtocolError(_BROKEN)


def _pieces(reply: Reply) -> Iterator[bytes]:
    body = reply.body
    if isinstance(body, dict):
        return iter((msgspec.json.encode(body),))
    if isinstance(body, bytes):
        return iter((body,))
    return chunks(body) if isinstance(body, Path) else body
