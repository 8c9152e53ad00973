"""The rooms of the package and the arrows between them: who imports whom, read from the sources.

    python -m tests.rooms          the rooms, from the top of the house to its floor, and whom each knows

A room is a folder of the package with the modules that stand in it; a module beside the folders is a room of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "shared" / "batchdrop"
Rooms = Mapping[str, frozenset[str]]
"""Whom each room knows, itself left out."""


def rooms(package: Path = PACKAGE) -> Rooms:
    """Return every room and those it imports from, named by their paths below the package."""
    modules = {_dotted(package, file): file for file in package.rglob("*.py")}
    known: dict[str, set[str]] = {_room(package, file): set() for file in modules.values()}
    for file in modules.values():
        here = _room(package, file)
        there = {_room(package, modules[name]) for name in _imported(file) if name in modules}
        known[here] |= there - {here}
    return {room: frozenset(others) for room, others in known.items()}


def circles(known: Rooms) -> set[frozenset[str]]:
    """Return the groups of rooms of which each can be reached from each other."""
    reached = {room: _reached(known, room) for room in known}
    groups = (
        frozenset(other for other in reached[room] if room in reached[other]) for room in known if room in reached[room]
    )
    return set(groups)


def _reached(known: Rooms, start: str) -> set[str]:
    found: set[str] = set()
    ahead = list(known[start])
    while ahead:
        room = ahead.pop()
        if room not in found:
            found.add(room)
            ahead += known[room]
    return found


def _dotted(package: Path, file: Path) -> str:
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(package: Path, file: Path) -> str:
    """A folder's path, `.` for the package itself; a module beside the folders by its own name."""
    beside = file.parent == package and file.name != "__init__.py"
    return file.stem if beside else file.parent.relative_to(package).as_posix()


def _imported(file: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in it; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


if __name__ == "__main__":
    found = rooms()
    print(f"{len(found)} rooms, {sum(map(len, found.values()))} arrows, {len(circles(found))} circles")
    for room in sorted(found, key=lambda room: (-len(_reached(found, room)), room)):
        print(f"{room:<22} {', '.join(sorted(found[room]))}")
