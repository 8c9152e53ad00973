"""Which files are open for writing, as far as the system tells: on Linux, in processes of the same user (proc(5)).

Elsewhere, and for writers on other machines, nothing is known: then only time tells.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

PROC = "/proc"
Identity = tuple[int, int]
"""Device and inode."""


def open_for_writing() -> frozenset[Identity]:
    """Return the files that processes we may look at have open for writing."""
    return frozenset(_written())


def _written() -> Iterator[Identity]:
    for process in _processes():
        with suppress(OSError), os.scandir(f"{PROC}/{process}/fd") as descriptors:
            for descriptor in descriptors:
                with suppress(OSError):
                    # The link's own mode says how the file was opened (proc(5), /proc/pid/fd/).
                    if descriptor.stat(follow_symlinks=False).st_mode & stat.S_IWUSR:
                        target = descriptor.stat()
                        if stat.S_ISREG(target.st_mode):
                            yield (target.st_dev, target.st_ino)


def _processes() -> list[str]:
    try:
        return [name for name in os.listdir(PROC) if name.isdecimal()]  # noqa: PTH208 - names, not paths
    except OSError:
        return []
