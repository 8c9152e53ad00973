"""One line in, what it asks for or what is wrong with it out; total over every byte string."""

from __future__ import annotations

import json
from typing import Any

from batchdrop.core import strict_json
from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.core.provider.batch import BatchKind
from batchdrop.dialects.converted import read
from batchdrop.dialects.gemini import fast, fields
from batchdrop.dialects.line import Accepted, Rejected

ENVELOPE = frozenset({"key", "request"})


def examine(raw: bytes, model: str, *, converted: bool) -> Accepted | Rejected:
    """Return what a line asks for, or what is wrong with it first. Total over what users write: it never raises."""
    if converted:
        entry = read(raw)
        if not isinstance(entry, bytes):
            return Rejected(entry[0], *entry[1])
        raw = entry
    found = check_line(raw, model)
    if isinstance(found, Accepted):
        return found
    key, problems = found
    first = problems[0]
    more = (
        f" ({len(problems) - 1} more problems in this line.)"
        if len(problems) > 1
        else ""
    )
    return Rejected(
        key, first.code, first.pointer, first.message + more, first.advice()
    )


def check_line(raw: bytes, model: str = "") -> Accepted | tuple[bytes, list[Problem]]:
    """Check a `{"key": …, "request": …}` line.

    Args:
        raw: The line without its newline and without a byte order mark.
        model: The job's model; a request that names another one is refused.

    Returns:
        What it asks for, or the key as JSON (`null` if it cannot be told) and every problem found.
    """
    return fast.check(raw, _field_is_valid) or _check_slowly(raw, model)


def check_request(
    request: Any, model: str = "", pointer: str = ""
) -> tuple[BatchKind, int, list[Problem]]:
    """Check a decoded request: its kind, an estimate of its tokens, and every problem found."""
    return fields.check_request(request, model, pointer)


def _check_slowly(raw: bytes, model: str) -> Accepted | tuple[bytes, list[Problem]]:
    try:
        line = strict_json.loads(raw)
    except strict_json.StrictError as error:
        return b"null", [error.problem]
    if not isinstance(line, dict):
        return b"null", [Problem(Code.NOT_OBJECT, "", Code.NOT_OBJECT.sentence)]
    entry: dict[str, Any] = line  # pyright: ignore[reportUnknownVariableType]
    key = entry.get("key")
    problems = _envelope(entry)
    scalar = key is None or isinstance(key, (str, int, float))
    written = json.dumps(key, ensure_ascii=False).encode() if scalar else b"null"
    if problems:
        return written, problems
    kind, tokens, problems = fields.check_request(entry["request"], model, "/request")
    return (written, problems) if problems else Accepted(kind, written, tokens)


def _envelope(entry: dict[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    if "request" not in entry:
        message = 'The line has no "request".'
        if "contents" in entry or "content" in entry:
            message = 'The line is a bare request; it belongs into "request".'
        problems.append(
            Problem(
                Code.MISSING_FIELD,
                "/request",
                message,
                'Write {"key": …, "request": {…}}.',
            )
        )
    problems += [
        Problem(
            Code.UNKNOWN_FIELD,
            join("", name),
            "The line has a field besides key and request.",
        )
        for name in list(entry)[: fields.MAX_PROBLEMS]
        if name not in ENVELOPE and "request" in entry
    ]
    key = entry.get("key")
    if isinstance(key, (dict, list)):
        problems.append(
            Problem(Code.WRONG_TYPE, "/key", "The key must be a string or a number.")
        )
    return problems


def _field_is_valid(name: str, raw: bytes) -> bool:
    """Check one field of the generation settings or the request that the fast path left as JSON."""
    try:
        value = strict_json.loads(raw)
    except strict_json.StrictError:
        return False
    return fields.field_is_valid(name, value)
