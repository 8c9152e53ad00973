"""Strict JSON: everything Python's reader lets through or stumbles over is refused by name.

`json.loads` takes NaN, makes infinity of 1e999, keeps the last of two equal names, recurses until it fails and
decodes halves of surrogate pairs that cannot be written again. (Seen with Python 3.11.)
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, cast

from batchdrop.core.validation.codes import Code, Problem

MAX_DEPTH: Final = 100
MAX_DIGITS: Final = 400
_RECURSION_WORD: Final = "recursion"


class StrictError(Exception):
    """The line is not strict JSON."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.code)
        self.problem = problem


def loads(raw: bytes) -> Any:
    """Return the value of one JSON document.

    Raises:
        StrictError: It is not UTF-8, not JSON, or JSON with one of the hazards above.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _wrong(Code.NOT_UTF8, f"Byte {error.start + 1} of the line is not UTF-8.") from None
    doubled: list[tuple[dict[str, Any], str]] = []

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            doubled.append((found, _named_twice(pairs)))
        return found

    try:
        value = json.loads(
            text, object_pairs_hook=read_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as error:
        raise _wrong(Code.NOT_JSON, f"The line is not JSON: {error.msg} at column {error.pos + 1}.") from None
    except RecursionError:
        raise _wrong(Code.TOO_DEEP, f"The line is nested deeper than {MAX_DEPTH} levels.") from None
    if doubled:
        holder, name = doubled[0]
        pointer = f"{_pointer_to(value, holder)}/{_escaped(name)}"
        raise StrictError(Problem(Code.DUPLICATE_NAME, pointer, "The object has two fields of this name."))
    if "\\u" in text and any("\ud800" <= char <= "\udfff" for char in _strings(value)):
        raise _wrong(Code.LONE_SURROGATE, "A string holds half of a surrogate pair.")
    if _depth(value) > MAX_DEPTH:
        raise _wrong(Code.TOO_DEEP, f"The line is nested deeper than {MAX_DEPTH} levels.")
    return value


def _wrong(code: Code, message: str) -> StrictError:
    return StrictError(Problem(code, "", message))


def _named_twice(pairs: list[tuple[str, Any]]) -> str:
    names = [name for name, _ in pairs]
    return next(name for index, name in enumerate(names) if name in names[:index])


def _pointer_to(value: Any, target: object) -> str:
    """Return where in a value an object of it is, without recursion; empty if it was swallowed by a doubled name."""
    waiting: list[tuple[Any, str]] = [(value, "")]
    while waiting:
        item, pointer = waiting.pop()
        if item is target:
            return pointer
        if isinstance(item, dict):
            fields = cast("dict[str, Any]", item)
            waiting += [(entry, f"{pointer}/{_escaped(name)}") for name, entry in fields.items()]
        elif isinstance(item, list):
            waiting += [(entry, f"{pointer}/{index}") for index, entry in enumerate(cast("list[Any]", item))]
    return ""


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _constant(word: str) -> Any:
    raise _wrong(Code.BAD_NUMBER, f"{word} is not JSON.")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _wrong(Code.BAD_NUMBER, f"A number has more than {MAX_DIGITS} digits.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits) if len(digits) <= MAX_DIGITS else math.inf
    if math.isinf(value):
        raise _wrong(Code.BAD_NUMBER, "A number is larger than a double can hold.")
    return value


def _strings(value: Any) -> str:
    """Return all strings of a value, joined, without recursion."""
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            waiting += item.keys()  # pyright: ignore[reportUnknownArgumentType]
            waiting += item.values()  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(item, list):
            waiting += item  # pyright: ignore[reportUnknownArgumentType]
    return "".join(found)


def _depth(value: Any) -> int:
    """Return how deep a value is nested, without recursion."""
    deepest = 0
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(item, dict):
            waiting += [(entry, depth + 1) for entry in item.values()]  # pyright: ignore[reportUnknownVariableType]
        elif isinstance(item, list):
            waiting += [(entry, depth + 1) for entry in item]  # pyright: ignore[reportUnknownVariableType]
    return deepest
