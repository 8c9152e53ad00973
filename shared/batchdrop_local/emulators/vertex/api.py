"""The API's parts put together: one clock, one store, the faults in force, and what was counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from batchdrop_local.emulators.gemini import models
from batchdrop_local.emulators.gemini.caches import Caches
from batchdrop_local.emulators.gemini.faults import CallFault
from batchdrop_local.emulators.gemini.hitting import Hits
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.http import Json
from batchdrop_local.emulators.vertex.faults import Faults
from batchdrop_local.emulators.vertex.jobs import Jobs
from batchdrop_local.emulators.vertex.storage import Storage


class Api:
    """Everything the routes need. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        storage: Storage,
        faults: Faults,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or make the folder; `clock` tells the seconds that `advance` adds to."""
        self.faults = faults
        self.models: dict[str, Sequence[str]] = {
            model: models.methods(model) for model in sorted(models.KNOWN)
        }
        self._hits = Hits()
        self._clock = clock
        self._ahead = 0.0
        self.store = Store(folder)
        self.caches = Caches(self.store, self.now)
        self.jobs = Jobs(self.store, storage, self.now, lambda: self.faults)

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came in."""
        return self._hits.calls

    def now(self) -> float:
        """Return the emulator's clock, which `advance` moves."""
        return self._clock() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock: jobs go on and end."""
        self._ahead += seconds

    def set_faults(self, faults: Faults) -> None:
        """Use other faults from now on; jobs keep those they were created with."""
        self.faults = faults
        self._hits.begin_again()

    def fault(self, kind: str) -> CallFault:
        """Count a call, and return the first fault that hits it."""
        return self._hits.fault(kind, self.faults)

    def stats(self) -> Json:
        """Return what was counted and what there is."""
        every = self.jobs.every()
        named = Counter(job.display_name for job in self.jobs.made)
        return {
            "calls": dict(self.calls),
            "creates_received": self.calls.get("create", 0),
            "batches": dict(Counter(state.word for _, state in every)),
            "requests": sum(job.requests for job in self.jobs.made),
            "duplicate_display_names": sorted(
                name for name, count in named.items() if count > 1
            ),
        }
