"""Recipes: every problem has its line, metadata rules over the file, the nearest one applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchdrop.core.recipe.parse import RecipeProblem, merged, parse_recipe
from batchdrop.core.recipe.recipe import Format, Recipe, digest
from batchdrop.core.result.schema import SchemaError, schema_check
from tests.samples.tables import PRODUCTS_RECIPE, REVIEWS_RECIPE, TICKETS_RECIPE


def recipe(text: str) -> Recipe:
    found = parse_recipe(text.encode())
    assert isinstance(found, Recipe), found
    return found


def problems(text: str | bytes) -> list[RecipeProblem]:
    found = parse_recipe(text if isinstance(text, bytes) else text.encode())
    assert isinstance(found, list), found
    return found


@pytest.mark.parametrize("text", [REVIEWS_RECIPE, TICKETS_RECIPE, PRODUCTS_RECIPE, ""])
def test_a_good_recipe_is_read_and_survives_being_stored(text: str) -> None:
    found = recipe(text)
    assert Recipe.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("modle: x", 1, "modle"),
        ("model: a\n\nprompt: '{{ x'", 3, "prompt"),
        ("model: a\nprompt: |\n  fine\n  {{ x() }}", 2, "prompt"),
        ("generation:\n  temperature: 1\n  top_p: 7", 3, "generation.top_p"),
        ("generation: {temprature: 1}", 1, "generation.temprature"),
        ("labels:\n- a\n- 7", 3, "labels.1"),
        ("labels: [a, a]", 1, "labels"),
        ("deadline: 90", 1, "deadline"),
        ("deadline: 15d", 1, "deadline"),
        ("deadline: 0h", 1, "deadline"),
        ("max_cost: -1", 1, "max_cost"),
        ("attachments:\n- a\n- {field: b, typ: image/png}", 3, "attachments.1.typ"),
        ("attribution:\n  Team: x", 2, "attribution.Team.[key]"),
        ("output:\n  formats: [xls]", 2, "output.formats.0"),
        ("redo: 9", 1, "redo"),
        ("x: 1\nresponse_schema:\n  type: strin", 2, "response_schema"),
        ("response_schema: {$ref: 'https://example.com/s'}", 1, "response_schema"),
        ("response_schema: {minimum: low}", 1, "response_schema"),
        ("labels: [a]\nresponse_schema: {}", 1, ""),
        ("embed: true\nsystem: x", 1, ""),
        ("a: 1\na: 2", 2, ""),
        ("a: &x 1\nb: *x", 2, ""),
        ("a: 1\nb: !!python/object:os.system x", 2, ""),
        ("a: [\n", 2, ""),
        ("- a", 1, ""),
        ("a:\n" + "[" * 40, 2, ""),
        ("? [a]\n: b", 1, ""),
        ('a: "\\ud800"', 1, ""),
        ('a: "\\U00110000"', 1, ""),
    ],
)
def test_every_problem_has_its_line_and_field(text: str, line: int, field: str) -> None:
    assert (line, field) in [(problem.line, problem.field) for problem in problems(text)]
    assert all(problem.message and problem.fix for problem in problems(text))


def test_all_problems_are_told_at_once_and_a_misspelt_field_is_recognised() -> None:
    found = problems("modle: x\nredo: 9\ndeadline: soon")
    assert {problem.field for problem in found} == {"modle", "redo", "deadline"}
    assert next(problem.fix for problem in found if problem.field == "modle") == "Did you mean model?"


def test_a_recipe_that_is_too_large_or_not_utf8_is_refused() -> None:
    assert problems(b"# " + b"x" * (128 * 1024))[0].message == "The file has more than 128 KiB."
    assert problems(b"model: a\nprompt: \xff")[0].line == 2


def test_words_that_yaml_would_change_stay_words() -> None:
    assert recipe("labels: [yes, no, on, 2024-01-31, 0x10]").labels == ("yes", "no", "on", "2024-01-31", "0x10")


def test_metadata_of_the_upload_rules_over_the_recipe() -> None:
    base = recipe("model: a\ndeadline: 6h\nattribution: {team: blue, site: x}\noutput: {join: true}")
    metadata = {"model": "b", "max-cost": "2.50", "label-team": "red", "output": "csv parquet", "goog-mtime": "1"}
    found = merged(base, metadata)
    assert isinstance(found, Recipe)
    assert (found.model, found.deadline, str(found.max_cost)) == ("b", "6h", "2.50")
    assert found.attribution == {"team": "red", "site": "x"}
    assert found.output.formats == (Format.CSV, Format.PARQUET)
    assert found.output.join
    assert merged(base, {}) == base


def test_wrong_metadata_is_told_and_not_run_at_the_wrong_price() -> None:
    found = merged(Recipe(), {"priority": "high", "max_cots": "1", "output": "xls"})
    assert isinstance(found, list)
    assert {problem.field for problem in found} == {"priority", "max_cots", "output"}
    assert all(problem.line == 0 for problem in found)


def test_the_digest_changes_with_the_meaning_only() -> None:
    assert digest(recipe("model: a\npriority: 0")) == digest(recipe("# note\npriority: 0\nmodel: 'a'"))
    assert digest(recipe("model: a\npriority: 0")) == digest(recipe("model: a"))
    assert digest(recipe("model: a")) != digest(recipe("model: b"))


def test_an_answer_is_held_against_the_schema_without_being_quoted() -> None:
    schema = {"type": "object", "properties": {"stars": {"type": "array", "items": {"maximum": 5}}}}
    check = schema_check(schema)
    assert check('{"stars": [1, 5]}') is None
    assert check('{"stars": [1, 712]}') == "The answer does not keep to the schema: /stars/1 breaks 'maximum'."
    assert check("{'stars': 712}") == "The answer is not JSON."
    assert check("[" * 100_000) == "The answer is not JSON."


def test_labels_are_checked_as_a_schema_is() -> None:
    schema = recipe("labels: [good, bad]").answer_schema()
    assert schema is not None
    check = schema_check(schema)
    assert check('"good"') is None
    assert check('"secret"') == "The answer does not keep to the schema: / breaks 'enum'."


@pytest.mark.parametrize(
    "schema", [{"$ref": "#/nowhere"}, {"$ref": "file:///etc/passwd"}, {"pattern": "("}, {"type": 7}]
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(SchemaError):
        schema_check(schema)


def test_a_schema_fetches_nothing(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(SchemaError):
        schema_check({"$ref": (tmp_path / "other.json").as_uri()})
