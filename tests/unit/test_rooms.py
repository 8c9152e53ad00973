"""No two rooms of the package need each other: whoever reads one reads on below it, and never comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rooms import circles, rooms

KNOWN: dict[frozenset[str], str] = {
    frozenset({"core", "core/money", "core/result", "core/result/tables", "core/state", "ports"}): (
        "a provider gives a `core.result`, and the settings name what a port has"
    ),
}
"""Circles that there still are, and why. The list only becomes shorter."""

VERBS = {"steps/ask", "steps/finalize", "steps/plan", "steps/poll", "steps/submit", "steps/write"}


def test_no_rooms_stand_in_a_circle() -> None:
    assert circles(rooms()) == set(KNOWN), "a new circle, or one that is gone: then take it off the list"


def test_a_verb_knows_no_other_but_that_writing_asks() -> None:
    known = rooms()
    assert {(verb, other) for verb in VERBS for other in known[verb] & VERBS} == {("steps/write", "steps/ask")}
    assert not known["steps"] & VERBS


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from house.attic.beam import x", {frozenset({"attic", "cellar"})}),
        ("from house import attic", {frozenset({"attic", "cellar"})}),
        ("import house.attic.beam", {frozenset({"attic", "cellar"})}),
        ("def f():\n    from house.attic import beam", {frozenset({"attic", "cellar"})}),
        ("from house import stairs", {frozenset({"attic", "cellar", "stairs"})}),
        ("import attic", set[frozenset[str]]()),
    ],
)
def test_a_circle_is_found_however_it_is_imported(tmp_path: Path, line: str, found: set[frozenset[str]]) -> None:
    house = tmp_path / "house"
    for name, source in {
        "__init__.py": "",
        "stairs.py": "from house.attic.beam import x",
        "attic/__init__.py": "",
        "attic/beam.py": "from house.cellar import wine\nfrom house.attic import beam",
        "cellar/__init__.py": "",
        "cellar/wine.py": line,
    }.items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(source)
    assert circles(rooms(house)) == found
