"""Strict JSON: everything Python's reader lets through or stumbles over is refused by name.

`json.loads` takes NaN, makes infinity of 1e999, keeps the last of two equal names, recurses until it fails and
decodes halves of surrogate pairs that cannot be written again. (Seen with Python 3.11.) Twenty megabytes of `[0,0,…`
are ten million values, a gigabyte of objects: so the values are counted before they are made.
Invariant: time and memory are in proportion to the line's bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final, cast

from batchdrop.core.limits import KIB, limit
from batchdrop.core.pointer import join, pointer_of
from batchdrop.core.problem import Code, Problem

MAX_DEPTH: Final = 100
MAX_DIGITS: Final = 400
MAX_VALUES: Final = limit("line_values")
MAX_POINTER: Final = 1000
_BLOCK_BYTES: Final = 64 * KIB
_BESIDE: Final = bytes(set(range(256)) - set(b'",[{'))
"""All bytes but those that count values or begin and end strings."""


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
    if _values(raw) > MAX_VALUES and _values_outside(raw) > MAX_VALUES:
        raise _wrong(Code.TOO_COSTLY, f"The line has more than {MAX_VALUES:,} values.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _wrong(
            Code.NOT_UTF8, f"Byte {error.start + 1} of the line is not UTF-8."
        ) from None
    doubled: list[tuple[dict[str, Any], str]] = []

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            doubled.append((found, _named_twice(pairs)))
        return found

    try:
        value = json.loads(
            text,
            object_pairs_hook=read_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        raise _wrong(
            Code.NOT_JSON,
            f"The line is not JSON: {error.msg} at column {error.pos + 1}.",
        ) from None
    except RecursionError:
        raise _wrong(
            Code.TOO_DEEP, f"The line is nested deeper than {MAX_DEPTH} levels."
        ) from None
    if doubled:
        holder, name = doubled[0]
        pointer = join(_pointer_to(value, holder), name)
        raise StrictError(
            Problem(
                Code.DUPLICATE_NAME,
                pointer[:MAX_POINTER],
                "The object has two fields of this name.",
            )
        )
    if "\\u" in text and not all(map(_is_whole, _strings(value))):
        raise _wrong(Code.LONE_SURROGATE, Code.LONE_SURROGATE.sentence)
    if _depth(value) > MAX_DEPTH:
        raise _wrong(
            Code.TOO_DEEP, f"The line is nested deeper than {MAX_DEPTH} levels."
        )
    return value


def _wrong(code: Code, message: str) -> StrictError:
    return StrictError(Problem(code, "", message))


def _values(raw: bytes) -> int:
    """Return how many values a line may hold at most: one, one more after each comma, one after each opening."""
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _values_outside(raw: bytes) -> int:
    """Return how many values a line may hold at most, those aside that only seem to be in its strings.

    Behind the first byte that is no JSON, or a string without end, the number may be wrong: no reader gets there.
    """
    bare = (
        raw.replace(b"\\\\", b"")
        .replace(b'\\"', b"")
        .translate(None, _BESIDE)
        .replace(b'""', b"")
    )
    count, inside = 1, 0
    for start in range(0, len(bare), _BLOCK_BYTES):
        runs = bare[start : start + _BLOCK_BYTES].split(b'"')
        count += sum(map(len, runs[inside::2]))
        inside ^= (len(runs) - 1) & 1
    return count


def _named_twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(name for name, _ in pairs if name in seen or seen.add(name))


Trail = tuple["Trail", str | int] | None


def _pointer_to(value: Any, target: object) -> str:
    """Return where in a value an object of it is, without recursion; empty if it was swallowed by a doubled name."""
    waiting: list[tuple[Any, Trail]] = [(value, None)]
    while waiting:
        item, trail = waiting.pop()
        if item is target:
            return _written(trail)
        if isinstance(item, dict):
            fields = cast("dict[str, Any]", item)
            waiting += [
                (entry, (trail, name))
                for name, entry in fields.items()
                if isinstance(entry, (dict, list))
            ]
        elif isinstance(item, list):
            entries = enumerate(cast("list[Any]", item))
            waiting += [
                (entry, (trail, index))
                for index, entry in entries
                if isinstance(entry, (dict, list))
            ]
    return ""


def _written(trail: Trail) -> str:
    """Return the steps from the root to a value as a JSON pointer."""
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return pointer_of(reversed(steps))


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


def _is_whole(text: str) -> bool:
    """Tell whether a text has no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings of a value, without recursion."""
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            fields = cast("dict[str, Any]", item)
            yield from fields
            waiting += fields.values()
        elif isinstance(item, list):
            waiting += cast("list[Any]", item)


def _depth(value: Any) -> int:
    """Return how deep a value is nested, without recursion."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [inner for item in level for inner in _inside(item)]
    return depth


def _inside(item: Any) -> list[Any]:
    """Return the lists and objects in a list or an object."""
    if isinstance(item, dict):
        item = list(cast("dict[str, Any]", item).values())
    if not isinstance(item, list):
        return []
    return [
        inner for inner in cast("list[Any]", item) if isinstance(inner, (dict, list))
    ]
