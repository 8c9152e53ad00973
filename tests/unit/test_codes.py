"""Codes: each stands once, in the table, with its sentence and what to do; the code takes both from there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchdrop.core.codes import FAMILIES, Code
from batchdrop.core.errors import TransientError
from batchdrop.core.value import Failure

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


STATES = {"CANCELLED", "GONE", "OUT_OF_RANGE"}
"""Words that are states too, of jobs, batches or calls: as codes they are known by where they stand."""


SAID = {code.sentence for code in Code}


def literals(tree: ast.AST) -> set[str]:
    """The codes and the sentences of the table that a module writes as literals."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return ((texts - STATES) | set(used(tree))) & set(Code) | texts & SAID


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "codes.py":
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def test_no_code_and_no_sentence_is_written_beside_the_table() -> None:
    written = {name: literals(tree) for name, tree in modules()}
    assert {name: codes for name, codes in written.items() if codes} == {}


def test_what_is_no_code_of_the_table_ends_with_a_word_of_a_provider() -> None:
    unknown = {word: name for name, tree in modules() for word in used(tree) if word not in set(Code)}
    assert {word: name for word, name in unknown.items() if not word.startswith(FAMILIES)} == {
        "UNKNOWN": "core/result/open_lines.py"
    }


@pytest.mark.parametrize(
    "line",
    [
        'PermanentError("x", code="GONE")',
        'x = ["CONTENTION"]',
        'missing("NO_ANSWER")',
        'f(code="A" if b else "DEADLINE")',
    ],
)
def test_the_search_finds_a_code_wherever_it_stands(line: str) -> None:
    assert literals(ast.parse(line))


def test_an_error_and_a_failure_take_their_words_from_the_table() -> None:
    error = TransientError(Code.OBJECTS_BUSY)
    assert (error.code, error.sentence) == ("OBJECTS_BUSY", Code.OBJECTS_BUSY.sentence)
    assert str(error) == error.sentence
    said = TransientError("no room on the disk", code=Code.OBJECTS_BUSY)
    assert (said.code, said.sentence) == ("OBJECTS_BUSY", "no room on the disk")
    assert TransientError("passing").code is Code.TRANSIENT
    failure = Failure.coded(Code.NOT_JSONL)
    assert (failure.message, failure.fix) == (Code.NOT_JSONL.sentence, Code.NOT_JSONL.fix)
    assert Failure.coded(Code.NOT_JSONL, "It is a picture.").message == "It is a picture."
    assert Failure.coded(Code.NOT_JSONL).model_dump_json().startswith('{"code":"NOT_JSONL",')


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_sentence_and_a_way_to_mend_it(code: Code) -> None:
    assert code.value == code.name
    for text in (code.sentence, code.fix):
        assert text[0].isupper()
        assert text[-1] in ".…}`"


def test_no_code_is_a_word_of_a_family() -> None:
    own = {"BATCHDROP_ERROR"}
    assert not [code for code in Code if code.value.startswith(FAMILIES) and code.value not in own]
