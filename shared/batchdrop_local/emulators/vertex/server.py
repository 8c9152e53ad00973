"""The emulator in background threads of this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from batchdrop_local.emulators.gemini.batches import State
from batchdrop_local.emulators.gemini.spoiling import answer
from batchdrop_local.emulators.http import Answer, Call, Json, Server
from batchdrop_local.emulators.vertex.api import Api
from batchdrop_local.emulators.vertex.faults import Faults
from batchdrop_local.emulators.vertex.routes import resource, route
from batchdrop_local.emulators.vertex.storage import Storage


class VertexEmulator:
    """Gemini on Vertex AI on loopback; `with` starts it, and leaves no thread and no connection behind.

    The URL is the SDK's `base_url`. Any project and location exist. Faults may be set at any time; jobs keep those they
    were created with.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        storage: Storage,
        faults: Faults | None = None,
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Bind the port; serve while the block runs. `clock` tells the seconds that `advance` adds to."""
        self._api = Api(data_dir, storage, faults or Faults(), clock)
        self._server = Server(port, self._answer, "vertex")
        self._running = ExitStack()

    @property
    def url(self) -> str:
        """The address to give the SDK as base_url."""
        return self._server.url

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self._api.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._api.set_faults(faults)

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came in."""
        return self._api.calls

    def jobs(self) -> list[Json]:
        """Return all jobs of all locations as the API lists them, newest first."""
        now = self._api.now()
        return [resource(job, state, now) for job, state in self._api.jobs.every()]

    def made(self) -> list[Json]:
        """Return the jobs created since the start, also deleted ones, oldest first, as they were then."""
        pending = State("PENDING", 0.0)
        return [resource(job, pending, job.created) for job in self._api.jobs.made]

    def stats(self) -> Json:
        """Return what was counted and what there is."""
        return self._api.stats()

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock."""
        self._api.advance(seconds)

    def force(self, job: str, state: str) -> None:
        """Put a job in a state, for ever; an empty word lets it go on by itself."""
        self._api.jobs.force(job, state)

    def _answer(self, call: Call) -> Answer:
        kind, action = route(self._api, call)
        return answer(call, self._api.fault(kind), action, self._server.stopped)

    def __enter__(self) -> Self:
        """Begin serving."""
        self._running.callback(self._api.store.close)
        self._running.enter_context(self._server.serving())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving; callers kept waiting are let go."""
        self._running.close()
