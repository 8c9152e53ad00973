"""Structured answers: every answer is held against the schema it was asked for.

jsonschema-rs: it validates in compiled code, knows all drafts, and can be kept from fetching references (`offline`)
and from patterns that take exponential time (linear regular expressions). It is imported with the first schema.
Invariant: a sentence names a place and a keyword of the schema, never a value of the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

MAX_POINTER: Final = 200
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


def _pointer(path: list[Any]) -> str:
    written = "".join(f"/{str(name).replace('~', '~0').replace('/', '~1')}" for name in path)
    return written[:MAX_POINTER] or "/"
