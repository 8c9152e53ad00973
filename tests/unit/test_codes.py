"""Codes: every code that the package uses is in the table, and every one there says what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchdrop.core.codes import FAMILIES, Code

PACKAGE = Path(__file__).parents[2] / "shared" / "batchdrop"
WORD = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|[A-Z]{4,}")
MAKERS = {"missing", "_refusal", "_fail", "Fault", "Answer", "with_results_lost"}
HOLDERS = {"code", "default_code", "DEADLINE", "INVALID"}


def words(node: ast.AST) -> Iterator[str]:
    """The words in capitals that an expression can be, itself or in one of its branches."""
    if isinstance(node, ast.IfExp):
        yield from words(node.body)
        yield from words(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value):
        yield node.value


def used(tree: ast.AST) -> Iterator[str]:
    """The codes that a module writes as literals: an argument `code`, one of a maker's, the value of a name for one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (word for keyword in node.keywords if keyword.arg == "code" for word in words(keyword.value))
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield from (word for each in node.args if name in MAKERS for word in words(each))
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in HOLDERS:
            yield from words(node.value)


def test_every_code_of_the_package_is_in_the_table() -> None:
    places = {word: path.name for path in PACKAGE.rglob("*.py") for word in used(ast.parse(path.read_text()))}
    assert len(places) > 60, "the search finds what it looks for"
    unknown = {word: place for word, place in places.items() if word not in set(Code)}
    assert {word: place for word, place in unknown.items() if not word.startswith(FAMILIES)} == {"UNKNOWN": "write.py"}


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_sentence_and_a_way_to_mend_it(code: Code) -> None:
    assert code.value == code.name
    for text in (code.sentence, code.fix):
        assert text[0].isupper()
        assert text[-1] in ".…}`"


def test_no_code_is_a_word_of_a_family() -> None:
    own = {"BATCHDROP_ERROR"}
    assert not [code for code in Code if code.value.startswith(FAMILIES) and code.value not in own]
