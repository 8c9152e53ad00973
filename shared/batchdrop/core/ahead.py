"""Reading ahead: a thread waits for the network while the caller works on what has come.

    thread   |read 1|read 2|read 3|.....|read 4|        at most `depth` chunks wait, so memory stays bounded
    caller          |work 1 |work 2 |work 3 |work 4

Order, errors and the end are those of the iterator. A caller that stops early ends the thread at its next chunk.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import Queue
from threading import Event, Thread
from typing import Final

DEPTH: Final = 4


class _End:
    """The iterator's end, with what it raised."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(chunks: Iterator[bytes], depth: int = DEPTH) -> Generator[bytes]:
    """Yield what `chunks` yields, read by a thread that is at most `depth` chunks in front."""
    waiting: Queue[bytes | _End] = Queue(depth)
    stopped = Event()
    Thread(target=_read, args=(chunks, waiting, stopped), daemon=True).start()
    found: bytes | _End = b""
    try:
        while not isinstance(found := waiting.get(), _End):
            yield found
    finally:
        stopped.set()
        while not isinstance(found, _End):
            found = waiting.get()
    if found.error is not None:
        raise found.error


def _read(chunks: Iterator[bytes], waiting: Queue[bytes | _End], stopped: Event) -> None:
    error: BaseException | None = None
    try:
        for chunk in chunks:
            waiting.put(chunk)
            if stopped.is_set():
                break
    except BaseException as caught:  # noqa: BLE001 - handed to the caller, whatever it is
        error = caught
    finally:
        waiting.put(_End(error))
