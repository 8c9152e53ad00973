"""The three functions served by functions-framework in one process, as pushes and ticks reach them in the cloud.

http://127.0.0.1:PORT/submit/   /write/   /poll/
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import functions_framework
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from batchdrop import functions
from batchdrop_local.threads import in_threads

SOURCES = Path(functions.__file__).parent
NAMES = ("submit", "poll", "write")


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions as they are served."""

    port: int

    def url_of(self, name: str) -> str:
        """Return the address of one function."""
        return f"http://127.0.0.1:{self.port}/{name}/"


@contextmanager
def served(port: int = 0) -> Generator[Functions]:
    """Serve the functions on loopback until the block ends, one thread a request; 0 is any free port.

    Their sources are loaded at once; settings are read at the first request.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    apps: Any = {f"/{name}": _app(name) for name in NAMES}
    nothing_else = Response("not found", status=404)
    server = make_server(
        "127.0.0.1", port, DispatcherMiddleware(nothing_else, apps), threaded=True
    )

    def stop() -> None:
        server.shutdown()
        server.server_close()

    with in_threads({"functions": server.serve_forever}, stop):
        yield Functions(server.server_port)


def _app(name: str):
    return functions_framework.create_app(name, str(SOURCES / f"{name}.py"), "http")
