"""The API's parts put together: one clock, one store, the faults in force, and what was counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from batchdrop_local.emulators.gemini import models
from batchdrop_local.emulators.gemini.batches import Batches
from batchdrop_local.emulators.gemini.caches import Caches
from batchdrop_local.emulators.gemini.faults import CallFault, Faults
from batchdrop_local.emulators.gemini.files import Files
from batchdrop_local.emulators.gemini.hitting import NO_FAULT, Hits
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.gemini.webhooks import Webhooks
from batchdrop_local.emulators.http import Json


class Api:
    """Everything the routes need. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        faults: Faults,
        more_models: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or make the folder; `clock` tells the seconds that `advance` adds to."""
        self.faults = faults
        self.models: dict[str, Sequence[str]] = {
            model: models.methods(model)
            for model in sorted(models.KNOWN | frozenset(more_models))
        }
        self._clock = clock
        self._ahead = 0.0
        self._hits = Hits()
        self.store = Store(folder)
        self.files = Files(
            self.store,
            self.now,
            lambda: (self.faults.file_bytes, self.faults.storage_bytes),
        )
        self.caches = Caches(self.store, self.now)
        self.batches = Batches(
            self.store, self.files, self.caches, self.now, lambda: self.faults
        )
        self.webhooks = Webhooks(self.store, self.batches, self.now)

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came in."""
        return self._hits.calls

    def now(self) -> float:
        """Return the emulator's clock, which `advance` moves."""
        return self._clock() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock: batches go on and end, files, caches and batches expire."""
        self._ahead += seconds

    def set_faults(self, faults: Faults) -> None:
        """Use other faults from now on; batches keep those they were created with."""
        self.faults = faults
        self._hits.begin_again()

    def fault(self, kind: str) -> CallFault:
        """Count a call, and return the first fault that hits it."""
        if kind == "control":
            return NO_FAULT
        return self._hits.fault(kind, self.faults)

    def stats(self) -> Json:
        """Return what was counted and what there is."""
        every = self.batches.every()
        calls = dict(self.calls)
        return {
            "calls": calls,
            "creates_received": calls.get("create", 0),
            "batches": dict(Counter(state.word for _, state in every)),
            "requests": sum(batch.tally.requests for batch, _ in every),
            "rows_sent": self.batches.answered["rows"],
            "duplicate_display_names": sorted(
                name for name, count in self.batches.named.items() if count > 1
            ),
            "files": len(self.files.all()),
            "uploads_unfinished": self.files.unfinished(),
        }

    def reset(self) -> None:
        """Forget files, batches, caches, webhooks and counts; faults and clock stay."""
        self.calls.clear()
        self.batches.answered.clear()
        self.batches.named.clear()
        self.store.reset()
