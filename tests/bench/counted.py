"""Both local stacks made of their own parts, with the ports of every function counted.

The functions answer over HTTP in threads as `make up` serves them, only that their contexts are wrapped; on the
embedded stack the queue that is pushed from counts its leases. So races, empty leases and ticks are those of a stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from batchdrop.adapters.local.sqlite_topics import Leased, SqliteTopics
from batchdrop.core.settings import CommonSettings, PollSettings, SubmitSettings, WriteSettings, load
from batchdrop.handling import answered, on_poll, on_submit, on_write
from batchdrop.ports import Topic
from batchdrop.steps.context import Context
from batchdrop.wiring import build
from batchdrop_local.stack.children import Children
from batchdrop_local.stack.emulated import emulated
from batchdrop_local.stack.functions import Functions
from batchdrop_local.stack.pusher import pushing
from batchdrop_local.stack.stack import ROUTES, Options, Stack, export, gemini, variables_of
from batchdrop_local.stack.ticking import nothing_open, ticking
from batchdrop_local.threads import in_threads
from tests.bench.counting import Tally, counted

HANDLERS: dict[str, tuple[type[Any], Callable[[Context[Any], bytes], None]]] = {
    "submit": (SubmitSettings, on_submit),
    "poll": (PollSettings, on_poll),
    "write": (WriteSettings, on_write),
}


class CountedTopics(SqliteTopics):
    """The queue, which counts how often somebody asks for a message."""

    def __init__(self, path: Path, tally: Tally) -> None:
        super().__init__(path)
        self._tally = tally

    def lease(self, topic: Topic, seconds: float) -> Leased | None:
        """Take a message, or find none."""
        self._tally.add(self._tally.calls, "topics.lease")
        return super().lease(topic, seconds)


class Quiet(WSGIRequestHandler):
    """Says nothing of a request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def counted_stack(stack: str, options: Options, tally: Tally) -> Generator[Stack]:
    """Run one of the stacks with counted ports until the block ends; what the bench itself does is not counted."""
    if stack == "emulators":
        with emulated(options, partial(_served, tally)) as running:
            yield running
        return
    with ExitStack() as running:
        children = running.enter_context(Children(options.say))
        url = gemini(children, options)
        variables = variables_of(options, url) | {"BATCHDROP_LOCAL_DIR": str(options.root)}
        export(running, variables)
        context = build(load(CommonSettings))
        serving = running.enter_context(_served(tally))
        queue = CountedTopics(options.root / "state" / "topics.sqlite", tally)
        running.enter_context(pushing(queue, {topic: serving.url_of(name) for topic, name in ROUTES.items()}))
        idle = partial(nothing_open, context)
        running.enter_context(ticking(serving.url_of("poll"), options.tick_seconds, idle=idle))
        yield Stack(context, variables, serving.url_of, url, children, options.root / "input", notifies=False)


@contextmanager
def _served(tally: Tally, port: int = 0) -> Generator[Functions]:
    """Serve the functions with counted contexts."""
    apps: Any = {f"/{name}": _app(name, tally) for name in HANDLERS}
    nothing_else = DispatcherMiddleware(Response("not found", status=404), apps)
    server = make_server("127.0.0.1", port, nothing_else, threaded=True, request_handler=Quiet)
    with in_threads({"functions": server.serve_forever}, server.shutdown):
        yield Functions(server.server_port)
    server.server_close()


def _app(name: str, tally: Tally) -> Any:
    settings, handle = HANDLERS[name]

    @cache
    def context() -> Context[Any]:
        return counted(build(load(settings)), tally)

    @Request.application
    def app(request: Request) -> Response:
        text, status = answered(lambda: handle(context().fresh(), request.get_data()))
        return Response(text, status=status)

    return app
