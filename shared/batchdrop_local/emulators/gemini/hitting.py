"""Which call is hit by which fault: calls are counted by kind, and the first fault that matches one hits it."""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from typing import Final

from batchdrop_local.emulators.gemini.faults import CallFault, Faults

NO_FAULT: Final = CallFault(call="")


class Hits:
    """The calls that came in, and how often each fault hit. Thread-safe."""

    def __init__(self) -> None:
        """Count from zero."""
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._hits: Counter[int] = Counter()
        self._seen: Counter[int] = Counter()

    def begin_again(self) -> None:
        """Forget which faults hit: there are others now."""
        with self._lock:
            self._hits.clear()
            self._seen.clear()

    def fault(self, kind: str, faults: Faults) -> CallFault:
        """Count a call, and return the first fault that hits it."""
        with self._lock:
            for name in {kind, kind.partition(".")[0]}:
                self.calls[name] += 1
            for index, fault in enumerate(faults.calls):
                if _matches(fault, kind) and self._hit(index, fault, faults.seed):
                    return fault
        return NO_FAULT

    def _hit(self, index: int, fault: CallFault, seed: int) -> bool:
        self._seen[index] += 1
        number = self._seen[index] - fault.skip
        if number < 1 or 0 <= fault.times <= self._hits[index]:
            return False
        share = zlib.crc32(b"%d %d %d" % (seed, index, number)) % 10_000
        hit = share < fault.rate * 10_000
        self._hits[index] += hit
        return hit


def _matches(fault: CallFault, kind: str) -> bool:
    return fault.call in (kind, "*") or kind.startswith(f"{fault.call}.")
