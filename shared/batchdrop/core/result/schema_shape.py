"""The shape of a JSON Schema: what can be said of it before it is compiled, each problem with its pointer."""

from __future__ import annotations

from typing import Any, Final, cast

from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.core.result.schema_bounds import check_bounds

TYPES: Final = frozenset(
    {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}
)
"""In capitals; JSON Schema writes them small, OpenAPI's subset either way."""


def check_json_schema(value: Any, pointer: str, problems: list[Problem]) -> None:
    """Check that a value has the shape of a JSON Schema, and that holding an answer against it has an end."""
    found: list[Problem] = []
    check_bounds(value, pointer, found)
    if not found:
        _check_shape(value, pointer, found)
    problems += found


def check_required(
    schema: dict[str, Any], pointer: str, problems: list[Problem]
) -> None:
    """Check that `required` names properties the schema has."""
    required, properties = schema.get("required"), schema.get("properties")
    if required is None:
        return
    if not isinstance(required, list):
        problems.append(
            Problem(
                Code.BAD_SCHEMA, f"{pointer}/required", "required must be an array."
            )
        )
    elif isinstance(properties, dict) and any(
        not isinstance(name, str) or name not in properties
        for name in list_of(required)
    ):
        message = "required names a property that properties does not have."
        problems.append(Problem(Code.BAD_SCHEMA, f"{pointer}/required", message))


def properties_of(
    schema: dict[str, Any], pointer: str, problems: list[Problem]
) -> dict[str, Any]:
    """Return the schemas of an object's properties; none when `properties` is no object, which is a problem."""
    properties = schema.get("properties")
    if properties is None or isinstance(properties, dict):
        return cast("dict[str, Any]", properties or {})
    problems.append(
        Problem(
            Code.BAD_SCHEMA, f"{pointer}/properties", "properties must be an object."
        )
    )
    return {}


def list_of(value: Any) -> list[Any]:
    """Return a list as it is, and anything else as an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def _check_shape(value: Any, pointer: str, problems: list[Problem]) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, dict):
        problems.append(
            Problem(Code.BAD_SCHEMA, pointer, "A schema must be an object.")
        )
        return
    schema = cast("dict[str, Any]", value)
    kinds = schema.get("type")
    for kind in list_of(kinds) if isinstance(kinds, list) else [kinds]:
        if kind is not None and not (isinstance(kind, str) and kind.upper() in TYPES):
            problems.append(
                Problem(
                    Code.BAD_SCHEMA,
                    f"{pointer}/type",
                    "type is no type of JSON Schema.",
                )
            )
    check_required(schema, pointer, problems)
    for name, inner in properties_of(schema, pointer, problems).items():
        _check_shape(inner, join(f"{pointer}/properties", name), problems)
    if isinstance(schema.get("items"), (dict, bool)):
        _check_shape(schema["items"], f"{pointer}/items", problems)
