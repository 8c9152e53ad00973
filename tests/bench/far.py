"""The ports of the cloud on a virtual clock: each call takes its time, a document takes one write after another.

SECONDS are assumed: what a call within one region usually takes; no real service was measured. Nothing fails.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final, Protocol

from batchdrop.core.errors import ConflictError
from batchdrop.ports import Document

SECONDS: Final[Mapping[str, float]] = {
    "documents.get": 0.01,
    "documents.query": 0.02,
    "documents.count": 0.02,
    "documents.create": 0.04,
    "documents.replace": 0.04,
    "documents.delete": 0.04,
    "objects.stat": 0.02,
    "objects.read": 0.03,
    "objects.create": 0.06,
    "objects.copy": 0.06,
    "objects.list": 0.05,
    "objects.delete": 0.03,
    "topics.publish": 0.02,
    "provider.stage": 1.0,
    "provider.create": 1.0,
    "provider.results": 0.5,
}
PROVIDER_SECONDS: Final = 0.2
"""Of its other calls."""
WRITES: Final = frozenset({"documents.create", "documents.replace", "documents.delete"})
SUSTAINED_SECONDS: Final = 60.0
Key = tuple[str, str]


class Sleeper(Protocol):
    """A clock that can be slept on."""

    @property
    def seconds(self) -> float:
        """Seconds since its start."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        ...


class Writes:
    """When each document was written, and how often a write met another version."""

    def __init__(self) -> None:
        self.times: defaultdict[Key, list[float]] = defaultdict(list)
        self.lost: Counter[Key] = Counter()
        self.free_at: defaultdict[Key, float] = defaultdict(float)

    def sustained(self, key: Key) -> float:
        """Return the most writes a second of a document, those that lost included, over any minute."""
        times, first, most = self.times[key], 0, 0
        for last, at in enumerate(times):
            while at - times[first] >= SUSTAINED_SECONDS:
                first += 1
            most = max(most, last - first + 1)
        return most / SUSTAINED_SECONDS


class Far:
    """A port whose calls take time on a clock."""

    def __init__(self, name: str, port: Any, clock: Sleeper, writes: Writes) -> None:
        self._name = name
        self._port = port
        self._clock = clock
        self._writes = writes

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        if not callable(found):
            return found
        name = f"{self._name}.{method}"
        seconds = SECONDS.get(name, PROVIDER_SECONDS if self._name == "provider" else 0.0)

        def call(*args: Any, **options: Any) -> Any:
            key = _key(*args) if name in WRITES else None
            if key is None:
                self._clock.sleep(seconds)
                return found(*args, **options)
            self._in_turn(key, seconds)
            try:
                return found(*args, **options)
            except ConflictError:
                self._writes.lost[key] += 1
                raise

        return call

    def _in_turn(self, key: Key, seconds: float) -> None:
        """Wait until the writes of the document that came before are done, and this one is."""
        writes, now = self._writes, self._clock.seconds
        writes.free_at[key] = max(writes.free_at[key], now) + seconds
        self._clock.sleep(writes.free_at[key] - now)
        writes.times[key].append(self._clock.seconds)


def _key(document_or_kind: Any, id: str = "", *_: object) -> Key:
    if isinstance(document_or_kind, Document):
        return str(document_or_kind.kind), document_or_kind.id
    return str(document_or_kind), id
