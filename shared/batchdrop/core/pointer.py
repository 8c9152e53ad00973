"""JSON pointers (RFC 6901): where in a JSON value something is, `/request/contents/0/parts`.

A name may hold the two characters that have a meaning in a pointer, so `~` is written `~0` and `/` is written `~1`.
"""

from __future__ import annotations

from collections.abc import Iterable


def escaped(name: str) -> str:
    """Return a member's name as one step of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def unescaped(step: str) -> str:
    """Return the member's name that one step of a pointer stands for."""
    return step.replace("~1", "/").replace("~0", "~")


def join(pointer: str, step: str | int) -> str:
    """Return the pointer to a member or an item of the value that a pointer leads to."""
    return f"{pointer}/{escaped(str(step))}"


def pointer_of(path: Iterable[str | int]) -> str:
    """Return the pointer of a path from the root; the root's own is empty."""
    return "".join(f"/{escaped(str(step))}" for step in path)
