"""Ports that count what goes through them: calls, documents, bytes in and out, seconds spent below."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass
class Tally:
    """Sums by `port.method`."""

    calls: Counter[str] = field(default_factory=Counter[str])
    bytes: Counter[str] = field(default_factory=Counter[str])
    documents: Counter[str] = field(default_factory=Counter[str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    def clear(self) -> None:
        """Begin again."""
        self.calls.clear()
        self.bytes.clear()
        self.documents.clear()
        self.seconds.clear()

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
            self._tally.calls[name] += 1
            begun = time.perf_counter()
            result = found(*args, **options)
            spent = time.perf_counter() - begun
            self._tally.seconds[name] = self._tally.seconds.get(name, 0.0) + spent
            return self._seen(name, result)

        return call

    def __enter__(self) -> Any:
        self._port.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._port.__exit__(*exc)

    def write(self, data: bytes) -> None:
        """Count a writer's bytes, not its calls."""
        self._tally.bytes[f"{self._name}.write"] += len(data)
        self._port.write(data)

    def _seen(self, name: str, result: Any) -> Any:
        if name == "objects.create":
            return Counted("object", result, self._tally)
        if name == "objects.read":
            return self._stream(name, result)
        if name == "provider.results":
            return (replace(part, chunks=self._stream(name, part.chunks)) for part in result)
        if name == "documents.query":
            self._tally.documents[name] += len(result)
        return result

    def _stream(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._tally.bytes[name] += len(chunk)
            yield chunk
