"""The code does not get denser: today's figures, with a little room, are the bars."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.structure import figures

PACKAGE = Path(__file__).parents[2] / "shared" / "batchdrop"
TABLES = {"codes.py", "fields.py"}
"""Modules that are one table, however long."""


@pytest.mark.parametrize(
    ("folder", "nodes", "nodes_a_line"),
    [
        (".", (43, 129), 8.6),
        ("core", (36, 130), 9.0),
        ("dialects", (44, 139), 8.0),
        ("providers", (48, 114), 8.3),
        ("adapters", (50, 110), 7.4),
        ("steps", (57, 130), 9.1),
    ],
)
def test_functions_do_not_get_denser(folder: str, nodes: tuple[int, int], nodes_a_line: float) -> None:
    found = figures(PACKAGE / folder)
    assert found.nodes[0] <= nodes[0]
    assert found.nodes[1] <= nodes[1]
    assert found.nodes_a_line <= nodes_a_line


LONGEST = 450


def test_no_module_gets_longer_than_the_longest_is() -> None:
    lengths = {path.name: path.read_text().count("\n") for path in PACKAGE.rglob("*.py") if path.name not in TABLES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_a_body_is_counted_without_its_docstring(tmp_path: Path) -> None:
    source = 'def f(a):\n    """One."""\n    return _g(a) if a and a else 0\n\n\ndef _g(a):\n    return a\n'
    (tmp_path / "a.py").write_text(source)
    found = figures(tmp_path)
    assert (found.functions, found.lines, found.branches, found.used_once) == (2, (1, 1), (3, 3), 1.0)
