"""Schemas whose checking may not end are refused when an upload is planned; the rest is checked in time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchdrop.core.recipe.parse import parse_recipe
from batchdrop.core.result.schema import SchemaError, breaks, schema_check
from batchdrop.core.result.schema_bounds import MAX_UNFOLDED
from batchdrop.dialects.gemini.check import examine
from batchdrop.dialects.line import Accepted, Rejected

CHAIN: dict[str, Any] = {
    "$defs": {"d0": {}} | {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 40)},
    "$ref": "#/$defs/d39",
}


def line(schema: Any) -> bytes:
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    request = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config}
    return json.dumps({"key": 1, "request": request}).encode()


def test_a_line_with_a_schema_that_branches_without_end_is_rejected_with_its_place() -> None:
    found = examine(line(CHAIN), "m", converted=False)
    assert isinstance(found, Rejected)
    assert found.code == "BAD_SCHEMA"
    assert found.pointer.startswith("/request/generationConfig/responseJsonSchema/$ref")
    assert f"{MAX_UNFOLDED:,}" in found.message


def test_a_recipe_with_such_a_schema_is_refused_with_its_line() -> None:
    found = parse_recipe(b"prompt: x\nresponse_schema: " + json.dumps(CHAIN).encode())
    assert isinstance(found, list)
    assert (found[0].line, found[0].field) == (2, "response_schema")
    with pytest.raises(SchemaError):
        schema_check(CHAIN)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"id": {"type": "string"}, "default": {"type": "string"}}},
        {"$defs": {"n": {"properties": {"children": {"items": {"$ref": "#/$defs/n"}}}}}, "$ref": "#/$defs/n"},
        {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"const": {"id": "x", "type": "y"}}}},
        {"$anchor": "top", "items": {"$ref": "#top"}},
        {"enum": [f"label {number}" for number in range(1000)]},
        {"properties": {f"p{number}": {"type": "string", "maxLength": 9} for number in range(1000)}},
    ],
)
def test_schemas_as_people_write_them_are_taken(schema: Any) -> None:
    assert isinstance(examine(line(schema), "m", converted=False), Accepted)


def test_a_recursive_schema_is_held_against_answers() -> None:
    schema = json.dumps({"type": "object", "properties": {"in": {"$ref": "#"}}, "required": ["a"]}).encode()
    assert breaks(schema, '{"a":1,"in":{"a":1}}') is None
    assert breaks(schema, '{"a":1,"in":{}}') == (
        "NOT_AS_SCHEMA",
        "The answer does not keep to the schema: /in breaks 'required'.",
    )


def test_an_answer_that_takes_too_long_to_hold_against_its_schema_has_a_code_of_its_own() -> None:
    schema = json.dumps({"items": {"enum": [{"a": number} for number in range(2000)]}}).encode()
    found = breaks(schema, "[" + ",".join(['{"a":1999}'] * 20_000) + "]")
    assert found is not None
    assert found[0] == "SCHEMA_TOO_COSTLY"
