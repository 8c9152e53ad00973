"""Response schemas: the OpenAPI subset of `responseSchema` exactly, JSON Schema by its shape.

Keywords: google-genai 3.4.0, types.Schema; a keyword it does not have (`$ref`, `additionalProperties`) belongs into
`responseJsonSchema`.
"""

from __future__ import annotations

from typing import Any, Final, cast

from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.core.result.schema_bounds import check_bounds

_TYPES: Final = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_KEYWORDS: Final = frozenset(
    [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "default",
        "items",
        "minItems",
        "maxItems",
        "enum",
        "properties",
        "required",
        "propertyOrdering",
        "minProperties",
        "maxProperties",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
    ]
)
_SNAKE: Final = frozenset(
    [
        "min_items",
        "max_items",
        "property_ordering",
        "min_properties",
        "max_properties",
        "min_length",
        "max_length",
        "any_of",
    ]
)
_JSON_ONLY: Final = frozenset(
    [
        "$ref",
        "$defs",
        "$schema",
        "$id",
        "$anchor",
        "definitions",
        "additionalProperties",
        "allOf",
        "oneOf",
        "not",
        "const",
        "prefixItems",
    ]
)


def check_schema(value: Any, pointer: str, problems: list[Problem]) -> None:
    """Check a `responseSchema` and every schema inside it."""
    found: list[Problem] = []
    check_bounds(value, pointer, found)
    if not found:
        _check_schema(value, pointer, found)
    problems += found


def check_json_schema(value: Any, pointer: str, problems: list[Problem]) -> None:
    """Check that a `responseJsonSchema` has the shape of one, and that holding an answer against it has an end."""
    found: list[Problem] = []
    check_bounds(value, pointer, found)
    if not found:
        _check_json_schema(value, pointer, found)
    problems += found


def _check_schema(value: Any, pointer: str, problems: list[Problem]) -> None:
    if not isinstance(value, dict):
        problems.append(Problem(Code.BAD_SCHEMA, pointer, "A schema must be an object."))
        return
    schema = cast("dict[str, Any]", value)
    problems += [_keyword(name, pointer) for name in schema if name not in _KEYWORDS and name not in _SNAKE]
    kind = schema.get("type")
    if kind is not None and not (isinstance(kind, str) and kind.upper() in _TYPES):
        message = f"type must be one of {', '.join(sorted(_TYPES))}."
        problems.append(Problem(Code.BAD_SCHEMA, f"{pointer}/type", message))
    _check_required(schema, pointer, problems)
    for name, inner in _properties(schema, pointer, problems).items():
        _check_schema(inner, join(f"{pointer}/properties", name), problems)
    if "items" in schema:
        _check_schema(schema["items"], f"{pointer}/items", problems)
    for word in ("anyOf", "any_of"):
        for index, inner in enumerate(_list(schema.get(word))):
            _check_schema(inner, f"{pointer}/{word}/{index}", problems)


def _check_json_schema(value: Any, pointer: str, problems: list[Problem]) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, dict):
        problems.append(Problem(Code.BAD_SCHEMA, pointer, "A schema must be an object."))
        return
    schema = cast("dict[str, Any]", value)
    kinds = schema.get("type")
    for kind in _list(kinds) if isinstance(kinds, list) else [kinds]:
        if kind is not None and not (isinstance(kind, str) and kind.upper() in _TYPES):
            problems.append(Problem(Code.BAD_SCHEMA, f"{pointer}/type", "type is no type of JSON Schema."))
    _check_required(schema, pointer, problems)
    for name, inner in _properties(schema, pointer, problems).items():
        _check_json_schema(inner, join(f"{pointer}/properties", name), problems)
    if isinstance(schema.get("items"), (dict, bool)):
        _check_json_schema(schema["items"], f"{pointer}/items", problems)


def _keyword(name: str, pointer: str) -> Problem:
    here = join(pointer, name)
    if name in _JSON_ONLY:
        return Problem(
            Code.BAD_SCHEMA, here, "responseSchema has no such keyword.", "Use responseJsonSchema for JSON Schema."
        )
    return Problem(Code.BAD_SCHEMA, here, "responseSchema has no such keyword.")


def _properties(schema: dict[str, Any], pointer: str, problems: list[Problem]) -> dict[str, Any]:
    found = schema.get("properties")
    if found is None or isinstance(found, dict):
        return cast("dict[str, Any]", found or {})
    problems.append(Problem(Code.BAD_SCHEMA, f"{pointer}/properties", "properties must be an object."))
    return {}


def _check_required(schema: dict[str, Any], pointer: str, problems: list[Problem]) -> None:
    required, properties = schema.get("required"), schema.get("properties")
    if required is None:
        return
    if not isinstance(required, list):
        problems.append(Problem(Code.BAD_SCHEMA, f"{pointer}/required", "required must be an array."))
    elif isinstance(properties, dict) and any(
        not isinstance(name, str) or name not in properties for name in _list(required)
    ):
        message = "required names a property that properties does not have."
        problems.append(Problem(Code.BAD_SCHEMA, f"{pointer}/required", message))


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
