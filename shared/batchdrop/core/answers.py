"""Structured answers: every answer is held against the schema it was asked for.

jsonschema-rs: it validates in compiled code, knows all drafts, and can be kept from fetching references (`offline`)
and from patterns that take exponential time (linear regular expressions). It is imported with the first schema.
Invariant: a sentence names a place and a keyword of the schema, never a value of the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

MAX_POINTER: Final = 200
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""int64 fields, which proto-JSON writes as strings."""
Check = Callable[[str], str | None]


class SchemaError(Exception):
    """The schema itself cannot be used."""


def schema_check(schema: dict[str, Any]) -> Check:
    """Return a function that says what is wrong with an answer's JSON text, or None.

    Raises:
        SchemaError: It is no JSON Schema, or refers to something outside itself.
    """
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(schema, offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(f"{_pointer(error.instance_path)}: this is no JSON Schema.") from None
    except (jsonschema_rs.ReferencingError, ValueError, OverflowError, RecursionError):
        raise SchemaError("The schema cannot be used: a reference leads nowhere, or a number is too large.") from None

    def check(text: str) -> str | None:
        try:
            answer = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return "The answer is not JSON."
        try:
            if validator.is_valid(answer):
                return None
            error = next(iter(validator.iter_errors(answer)))
        except (ValueError, OverflowError, RecursionError):
            return "The answer cannot be held against the schema."
        keyword = next((word for word in reversed(error.schema_path) if isinstance(word, str)), "false")
        return f"The answer does not keep to the schema: {_pointer(error.instance_path)} breaks {keyword!r}."

    return check


def breaks(schema: bytes, text: str) -> str | None:
    """Return what is wrong with an answer's JSON text by the schema its request carried, or None.

    A schema that cannot be used checks nothing: the service took it, so it is not the answer's fault.
    """
    check = _compiled(schema)
    return None if check is None else check(text)


@lru_cache(maxsize=64)
def _compiled(schema: bytes) -> Check | None:
    try:
        body: Any = msgspec.json.decode(schema)
        return schema_check(_as_json_schema(body)) if isinstance(body, dict) else None
    except (SchemaError, msgspec.DecodeError, RecursionError):
        return None


def _as_json_schema(schema: Any) -> Any:
    """Return Gemini's own form of a schema (types in capitals, `nullable`) as JSON Schema; JSON Schema stays as it is.

    Source: ai.google.dev/api/caching#Schema, a subset of OpenAPI 3.0.
    """
    if isinstance(schema, list):
        return [_as_json_schema(entry) for entry in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", schema).items():
        if name in ("enum", "const", "default", "example", "required"):
            found[name] = value
        elif name in _COUNTS and isinstance(value, str) and value.isdigit():
            found[name] = int(value)
        elif name == "type" and isinstance(value, str):
            found[name] = value.lower()
        else:
            found[name] = _as_json_schema(value)
    if found.pop("nullable", False) is True:
        return {"anyOf": [found, {"type": "null"}]}
    return found


def _pointer(path: list[Any]) -> str:
    written = "".join(f"/{str(name).replace('~', '~0').replace('/', '~1')}" for name in path)
    return written[:MAX_POINTER] or "/"
