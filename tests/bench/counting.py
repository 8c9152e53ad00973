"""Ports that count what goes through them: calls, documents, bytes in and out, seconds spent below."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from batchdrop.core.errors import ConflictError
from batchdrop.ports import Provider
from batchdrop.steps.context import Context

PARTS = ("batches", "files", "caches", "tokens", "ask")
"""What a provider consists of; those it does not have are None."""


@dataclass
class Tally:
    """Sums by `port.method`; threads may add at once."""

    calls: Counter[str] = field(default_factory=Counter[str])
    bytes: Counter[str] = field(default_factory=Counter[str])
    documents: Counter[str] = field(default_factory=Counter[str])
    lost: Counter[str] = field(default_factory=Counter[str])
    """Compare-and-sets that met another version."""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Begin again."""
        self.calls.clear()
        self.bytes.clear()
        self.documents.clear()
        self.lost.clear()
        self.seconds.clear()

    def add(self, counter: Counter[str], name: str, count: int = 1) -> None:
        """Count something."""
        with self._lock:
            counter[name] += count

    def spend(self, name: str, seconds: float) -> None:
        """Count seconds."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def of(self, port: str) -> int:
        """Return how many calls a port had."""
        return sum(count for name, count in self.calls.items() if name.startswith(f"{port}."))


class Counted:
    """A port with every method counted; streams are counted as they are read and written."""

    def __init__(self, name: str, port: Any, tally: Tally) -> None:
        self._name = name
        self._port = port
        self._tally = tally

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        if not callable(found):
            return found
        name = f"{self._name}.{method}"

        def call(*args: Any, **options: Any) -> Any:
            self._tally.add(self._tally.calls, name)
            begun = time.perf_counter()
            try:
                result = found(*args, **options)
            except ConflictError:
                self._tally.add(self._tally.lost, name)
                raise
            self._tally.spend(name, time.perf_counter() - begun)
            return self._seen(name, result)

        return call

    def __enter__(self) -> Any:
        self._port.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._port.__exit__(*exc)

    def write(self, data: bytes) -> None:
        """Count a writer's bytes, not its calls."""
        self._tally.add(self._tally.bytes, f"{self._name}.write", len(data))
        self._port.write(data)

    def _seen(self, name: str, result: Any) -> Any:
        if name == "objects.create":
            return Counted("object", result, self._tally)
        if name == "objects.read":
            return self._stream(name, result)
        if name == "provider.results":
            return (replace(part, chunks=self._stream(name, part.chunks)) for part in result)
        if name == "documents.query":
            self._tally.add(self._tally.documents, name, len(result))
        return result

    def _stream(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._tally.add(self._tally.bytes, name, len(chunk))
            yield chunk


def counted(context: Context[Any], tally: Tally) -> Context[Any]:
    """Return a context on the same ports, counted."""
    return replace(
        context,
        objects=Counted("objects", context.objects, tally),
        store=replace(context.store, documents=Counted("documents", context.store.documents, tally)),
        topics=Counted("topics", context.topics, tally),
        providers={name: _provider(provider, tally) for name, provider in context.providers.items()},
    )


def _provider(provider: Provider, tally: Tally) -> Provider:
    parts = {name: getattr(provider, name) for name in PARTS}
    return replace(provider, **{name: Counted("provider", part, tally) for name, part in parts.items() if part})
