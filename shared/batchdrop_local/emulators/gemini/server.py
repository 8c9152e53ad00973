"""The emulator in background threads of this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batchdrop_local.emulators.gemini.api import Api
from batchdrop_local.emulators.gemini.faults import Faults
from batchdrop_local.emulators.gemini.operations import operation
from batchdrop_local.emulators.gemini.routes import route
from batchdrop_local.emulators.gemini.spoiling import answer
from batchdrop_local.emulators.http import Answer, Call, Json, Server

if TYPE_CHECKING:
    from batchdrop_local.emulators.gemini.direct import DirectTransport


class GeminiEmulator:
    """A Gemini API on loopback; `with` starts it, and leaves no thread and no connection behind.

    The URL is the SDK's `base_url`. Faults may be set at any time; batches keep those they were created with.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        faults: Faults | None = None,
        port: int = 0,
        models: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Bind the port; serve from `start` on. `clock` tells the seconds that `advance` adds to."""
        self._api = Api(data_dir, faults or Faults(), models, clock)
        self._server = Server(port, self._answer, "gemini")
        self._running = ExitStack()

    @property
    def url(self) -> str:
        """The address to give the SDK as base_url."""
        return self._server.url

    def direct(self) -> DirectTransport:
        """Return a transport that answers without sockets, as the server does."""
        from batchdrop_local.emulators.gemini.direct import DirectTransport

        return DirectTransport(lambda call: route(self._api, call), self._api.fault)

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self._api.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._api.set_faults(faults)

    @property
    def methods(self) -> dict[str, Sequence[str]]:
        """What each model lists as its methods; may be changed. None of them: it says nothing and does everything."""
        return self._api.models

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came in."""
        return self._api.calls

    def files(self) -> list[Json]:
        """Return all files as the API lists them."""
        return self._api.files.all()

    def batches(self) -> list[Json]:
        """Return all batches as the API lists them."""
        now = self._api.now()
        return [
            operation(batch, state, now) for batch, state in self._api.batches.listed()
        ]

    def reset(self) -> None:
        """Forget everything but faults and clock, the same as POST /control/reset."""
        self._api.reset()

    def stats(self) -> Json:
        """Return the same as GET /control/stats."""
        return self._api.stats()

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock, the same as POST /control/advance."""
        self._api.advance(seconds)

    def force(self, batch: str, state: str) -> None:
        """Put a batch in a state, the same as POST /control/batches/{id}/state."""
        self._api.batches.force(batch, state)

    def start(self) -> Self:
        """Begin serving."""
        self._running.callback(self._api.store.close)
        self._running.enter_context(self._api.webhooks.telling())
        self._running.enter_context(self._server.serving())
        return self

    def stop(self) -> None:
        """Stop serving; callers kept waiting are let go."""
        self._running.close()

    def wait(self) -> None:
        """Serve until interrupted."""
        self._server.stopped.wait()

    def _answer(self, call: Call) -> Answer:
        kind, action = route(self._api, call)
        return answer(call, self._api.fault(kind), action, self._server.stopped)

    def __enter__(self) -> Self:
        """Begin serving."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.stop()
