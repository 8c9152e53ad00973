"""The core, the ports and the steps name no provider and no language of one: each of those is a folder of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "shared" / "batchdrop"
BLIND = ("core", "ports", "steps", "store.py", "handling.py")
NAMES = re.compile(r"gemini|vertex|openai|anthropic|claude|gpt-", re.IGNORECASE)

EXCEPTIONS = {
    "core/codes.py": "sentences that send a user to the API's documentation",
    "core/money/cache_cost.py": "what keeping a cache costs, by model; the price source has no such rates",
    "core/recipe/recipe.py": "the words of `output`: which API's answers are written beside the rows",
    "core/settings.py": "the key, address and tier of the provider a stack has when it configures none; its model",
}
"""What is still named, and why. The list only becomes shorter."""


def sources() -> list[Path]:
    found = [PACKAGE / name for name in BLIND]
    return [file for path in found for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


def spelled(tree: ast.Module) -> Iterator[str]:
    """Yield the identifiers, imported modules and strings of a module, its docstrings left out."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        for name in ("id", "name", "attr", "arg"):
            found = getattr(node, name, None)
            if isinstance(found, str):
                yield found


def named(file: Path) -> list[str]:
    return [text for text in spelled(ast.parse(file.read_text())) if NAMES.search(text)]


@pytest.mark.parametrize("file", sources(), ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_no_provider_and_no_language_is_named(file: Path) -> None:
    excepted = file.relative_to(PACKAGE).as_posix() in EXCEPTIONS
    assert bool(named(file)) == excepted, named(file) or "it names none any more: take it off the list"


def test_the_search_finds_a_name_wherever_it_stands() -> None:
    for line in ('x = "gemini"', "import batchdrop.providers.gemini", "openai = 1", "x.vertex()", "f(anthropic=1)"):
        assert [text for text in spelled(ast.parse(line)) if NAMES.search(text)], line
    assert not [text for text in spelled(ast.parse('"""gemini"""\ndef f():\n    """openai"""')) if NAMES.search(text)]
