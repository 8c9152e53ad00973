"""The three functions served by functions-framework in one process, as pushes and ticks reach them in the cloud.

http://127.0.0.1:PORT/submit/   /write/   /poll/
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import functions_framework
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from batchdrop import functions

SOURCES = Path(functions.__file__).parent
NAMES = ("submit", "poll", "write")


class Functions:
    """Serves the functions on loopback in background threads; one thread a request."""

    def __init__(self, port: int = 0) -> None:
        """Load the functions' sources; settings are read at the first request."""
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        apps: Any = {f"/{name}": _app(name) for name in NAMES}
        self._server = make_server(
            "127.0.0.1", port, DispatcherMiddleware(Response("not found", status=404), apps), threaded=True
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="functions", daemon=True)

    def url_of(self, name: str) -> str:
        """Return the address of one function."""
        return f"http://127.0.0.1:{self._server.server_port}/{name}/"

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop taking requests."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _app(name: str):
    return functions_framework.create_app(name, str(SOURCES / f"{name}.py"), "http")
