"""Structured answers: every answer is held against the schema it was asked for.

jsonschema-rs: it validates in compiled code, knows all drafts, and can be kept from fetching references (`offline`)
and from patterns that take exponential time (linear regular expressions). What it does in one call is bounded before
the call, see `schema_bounds`. It is imported with the first schema.
Invariant: a sentence names a place and a keyword of the schema, never a value of the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from batchdrop.core.codes import Code
from batchdrop.core.limits import KIB, limit
from batchdrop.core.pointer import pointer_of
from batchdrop.core.result.schema_bounds import Bounded, SchemaCostError, Steps, bounded

MAX_POINTER: Final = 200
MAX_STEPS: Final = limit("schema_steps")
MAX_PAIRS: Final = limit("schema_pairs")
MAX_VALUES: Final = limit("answer_values")
MAX_PATTERN: Final = limit("schema_pattern")
MAX_EXPLAINED: Final = 50_000_000
"""Schemas times values times characters up to which the place of a failure is looked for: jsonschema-rs 0.60 makes a
Python object of the whole answer for everything that fails (100 branches, 100,000 numbers: 5 s, 600 MB, 2026-11-25)."""
KEPT: Final = 8
MAX_KEPT_BYTES: Final = 64 * KIB
_COUNTS: Final = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
"""int64 fields, which proto-JSON writes as strings."""
Check = Callable[[str], str | None]


class SchemaError(Exception):
    """The schema itself cannot be used."""


class TooCostlyError(Exception):
    """Holding this answer against the schema would take too long; the sentence says so."""


def schema_check(schema: dict[str, Any]) -> Check:
    """Return a function that says what is wrong with an answer's JSON text, or None.

    The function raises TooCostlyError rather than take longer than MAX_STEPS.

    Raises:
        SchemaError: It is no JSON Schema, refers to something outside itself, or is out of `schema_bounds`.
    """
    import jsonschema_rs

    try:
        limits = bounded(schema)
        options = jsonschema_rs.RegexOptions(
            size_limit=MAX_PATTERN, dfa_size_limit=MAX_PATTERN
        )
        validator = jsonschema_rs.validator_for(
            schema, offline=True, pattern_options=options
        )
    except SchemaCostError as error:
        raise SchemaError(f"{error.pointer or '/'}: {error.sentence}") from None
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(
            f"{_pointer(error.instance_path)}: this is no JSON Schema."
        ) from None
    except (jsonschema_rs.ReferencingError, ValueError, OverflowError, RecursionError):
        raise SchemaError(
            "The schema cannot be used: a reference leads nowhere, or a number is too large."
        ) from None

    def check(text: str) -> str | None:
        if _values(text) > MAX_VALUES:
            raise TooCostlyError(f"The answer has more than {MAX_VALUES:,} values.")
        try:
            answer = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return "The answer is not JSON."
        _refuse_cost(limits, answer, text)
        try:
            if validator.is_valid(answer):
                return None
            if limits.unfolded * _values(text) * len(text) > MAX_EXPLAINED:
                return Code.NOT_AS_SCHEMA.sentence
            error = next(iter(validator.iter_errors(answer)))
        except (ValueError, OverflowError, RecursionError):
            return "The answer cannot be held against the schema."
        keyword = next(
            (word for word in reversed(error.schema_path) if isinstance(word, str)),
            "false",
        )
        return f"The answer does not keep to the schema: {_pointer(error.instance_path)} breaks {keyword!r}."

    return check


def _values(text: str) -> int:
    """Return how many values a JSON text may hold at most: one, one more after each comma, one after each opening."""
    return 1 + text.count(",") + text.count("[") + text.count("{")


def _refuse_cost(limits: Bounded, answer: Any, text: str) -> None:
    """Let pass what takes few steps however they fall; count them for the rest."""
    patterned = len(text) // 8 if limits.patterns else 0
    if (
        not limits.recursive
        and limits.unfolded * (_values(text) + patterned) <= MAX_STEPS
    ):
        return
    try:
        steps = Steps(limits, MAX_PAIRS).count(limits.root, answer)
    except (SchemaCostError, RecursionError):
        steps = MAX_STEPS + 1
    if steps > MAX_STEPS:
        raise TooCostlyError(Code.SCHEMA_TOO_COSTLY.sentence)


def breaks(schema: bytes, text: str) -> tuple[str, str] | None:
    """Return code and sentence when an answer's JSON text breaks the schema its request carried, or None.

    A schema that cannot be used checks nothing: the service took it, so it is not the answer's fault.
    """
    check = _compiled(schema) if len(schema) <= MAX_KEPT_BYTES else _compile(schema)
    try:
        wrong = None if check is None else check(text)
    except TooCostlyError as error:
        return Code.SCHEMA_TOO_COSTLY, str(error)
    return None if wrong is None else (Code.NOT_AS_SCHEMA, wrong)


def _compile(schema: bytes) -> Check | None:
    try:
        body: Any = msgspec.json.decode(schema)
        return schema_check(_as_json_schema(body)) if isinstance(body, dict) else None
    except (SchemaError, msgspec.DecodeError, RecursionError):
        return None


_compiled = lru_cache(maxsize=KEPT)(_compile)


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
    return pointer_of(path)[:MAX_POINTER] or "/"
