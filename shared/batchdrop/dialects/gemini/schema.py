"""Response schemas in Gemini's own form: the OpenAPI subset of `responseSchema`, exactly.

Keywords: google-genai 3.4.0, types.Schema; a keyword it does not have (`$ref`, `additionalProperties`) belongs into
`responseJsonSchema`.
"""

from __future__ import annotations

from typing import Any, Final, cast

from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.core.result.schema_bounds import check_bounds
from batchdrop.core.result.schema_shape import (
    TYPES,
    check_required,
    list_of,
    properties_of,
)

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


def _check_schema(value: Any, pointer: str, problems: list[Problem]) -> None:
    if not isinstance(value, dict):
        problems.append(
            Problem(Code.BAD_SCHEMA, pointer, "A schema must be an object.")
        )
        return
    schema = cast("dict[str, Any]", value)
    problems += [
        _keyword(name, pointer)
        for name in schema
        if name not in _KEYWORDS and name not in _SNAKE
    ]
    kind = schema.get("type")
    if kind is not None and not (isinstance(kind, str) and kind.upper() in TYPES):
        message = f"type must be one of {', '.join(sorted(TYPES))}."
        problems.append(Problem(Code.BAD_SCHEMA, f"{pointer}/type", message))
    check_required(schema, pointer, problems)
    for name, inner in properties_of(schema, pointer, problems).items():
        _check_schema(inner, join(f"{pointer}/properties", name), problems)
    if "items" in schema:
        _check_schema(schema["items"], f"{pointer}/items", problems)
    for word in ("anyOf", "any_of"):
        for index, inner in enumerate(list_of(schema.get(word))):
            _check_schema(inner, f"{pointer}/{word}/{index}", problems)


def _keyword(name: str, pointer: str) -> Problem:
    here = join(pointer, name)
    if name in _JSON_ONLY:
        return Problem(
            Code.BAD_SCHEMA,
            here,
            "responseSchema has no such keyword.",
            "Use responseJsonSchema for JSON Schema.",
        )
    return Problem(Code.BAD_SCHEMA, here, "responseSchema has no such keyword.")
