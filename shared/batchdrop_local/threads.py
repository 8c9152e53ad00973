"""Threads that run while a block runs: started together, stopped together, none of them left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager


@contextmanager
def in_threads(
    works: Mapping[str, Callable[[], object]], stop: Callable[[], object]
) -> Generator[None]:
    """Do each work in a thread of its own until the block ends.

    Args:
        works: What to do, by the names of the threads.
        stop: Makes every work return; the end of the block waits for that.
    """
    threads = [
        threading.Thread(target=work, name=name, daemon=True)
        for name, work in works.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop()
        for thread in threads:
            thread.join()
