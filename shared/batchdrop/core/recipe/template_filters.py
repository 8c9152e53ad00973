"""The filters of templates: Jinja2's names and meanings, each paid for before it works.

A filter takes the meter, the value and its arguments. What is neither in this table
nor in that of `template_tests` does not exist in a template.
Left out on purpose: filters that call others by name (`map`, `select`), that format (`format`, `indent`, `center`:
their width is a number somebody else chose), and those for HTML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast

from batchdrop.core.recipe.template_values import (
    MAX_OUTPUT_BYTES,
    Meter,
    Missing,
    as_json,
    deep,
    elements,
    joined,
    known,
    shown,
    too_long,
    width,
)

MAX_PRECISION: Final = 20
MAX_NUMBER_CHARS: Final = 400
"""Longer texts are no numbers: reading one takes time by the square of its length."""
MAX_TRIMMED_CHARS: Final = 100
BYTES_A_PIECE: Final = 16
_EXACT: Final = 2**60
"""Whole numbers above it may be made to share one hash (CPython takes them modulo 2**61 - 1); texts cannot."""
_WORD: Final = re.compile(r"\w+")
_BEGINNING: Final = re.compile(r"[^-\s({\[<]+")
Filter = Callable[..., Any]


# ------------------------------------------------------------------------------------------------------ numbers
def number_of(value: Any) -> int | float:
    """Return a number as it is; TypeError for anything else."""
    if isinstance(value, (int, float)):
        return value
    raise TypeError


def _abs(meter: Meter, value: Any) -> int | float:
    return abs(number_of(known(value)))


def _int(meter: Meter, value: Any, default: Any = 0, base: int = 10) -> Any:
    value = known(value)
    if isinstance(value, str) and len(value) > MAX_NUMBER_CHARS:
        return default
    try:
        return int(value, base) if isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        return _int_of_float(value, default)


def _int_of_float(value: Any, default: Any) -> Any:
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return default


def _float(meter: Meter, value: Any, default: Any = 0.0) -> Any:
    value = known(value)
    if isinstance(value, str) and len(value) > MAX_NUMBER_CHARS:
        return default
    try:
        return float(value)
    except (TypeError, ValueError):
        return default


def _round(
    meter: Meter,
    value: Any,
    precision: int = 0,
    method: Literal["common", "ceil", "floor"] = "common",
) -> int | float:
    if isinstance(precision, bool) or not -MAX_PRECISION <= precision <= MAX_PRECISION:
        raise ValueError
    number = number_of(known(value))
    if method == "common":
        return round(number, precision)
    step: Callable[[float], int] = {"ceil": math.ceil, "floor": math.floor}[method]
    scale = 10**precision
    return float(step(number * scale) / scale)


def _sum(
    meter: Meter, value: Any, attribute: str | None = None, start: int | float = 0
) -> int | float:
    total = number_of(start)
    for item in elements(meter, value):
        total += number_of(
            item if attribute is None else _inner(meter, item, attribute)
        )
    return total


# -------------------------------------------------------------------------------------------------------- texts
def text_of(meter: Meter, value: Any) -> str:
    """Return a value as text, paid for."""
    text = shown(meter, known(value))
    meter.read(len(text))
    return text


def _changed(change: Callable[[str], str]) -> Filter:
    def filter(meter: Meter, value: Any) -> str:
        text = text_of(meter, value)
        meter.copy(text)
        meter.read(16 * len(text))
        return change(text)

    return filter


def _title(meter: Meter, value: Any) -> str:
    text = text_of(meter, value)
    meter.work(len(text))
    meter.make(width(text) * len(text) + 64 * (len(text) // 2))
    return _BEGINNING.sub(lambda word: word[0][0].upper() + word[0][1:].lower(), text)


def _trim(meter: Meter, value: Any, chars: str | None = None) -> str:
    text = text_of(meter, value)
    if chars is not None and len(chars) > MAX_TRIMMED_CHARS:
        raise ValueError
    meter.read(len(text) * len(chars or " "))
    meter.copy(text)
    return text.strip(chars)


def _replace(
    meter: Meter, value: Any, old: Any, new: Any, count: int | None = None
) -> str:
    text, old, new = text_of(meter, value), text_of(meter, old), text_of(meter, new)
    meter.search(text, old)
    times = (
        text.count(old) if count is None or count < 0 else min(count, text.count(old))
    )
    size = len(text) + times * (len(new) - len(old))
    if size > MAX_OUTPUT_BYTES:
        raise too_long()
    meter.make(size * max(width(text), width(new)))
    meter.search(text, old)
    meter.work(times)
    return text.replace(old, new, times)


def _truncate(
    meter: Meter,
    value: Any,
    length: int = 255,
    killwords: bool = False,
    end: str = "...",
    leeway: int = 5,
) -> str:
    text = text_of(meter, value)
    meter.read(len(text) + len(end))
    if length < len(end) or leeway < 0:
        raise ValueError
    if len(text) <= length + leeway:
        return text
    meter.make(4 * (length + len(end)))
    kept = text[: length - len(end)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def _wordcount(meter: Meter, value: Any) -> int:
    text = text_of(meter, value)
    meter.read(32 * len(text))
    count = 0
    for _ in _WORD.finditer(text):
        meter.work(1)
        count += 1
    return count


# -------------------------------------------------------------------------------------------- lists and objects
def _inner(meter: Meter, item: Any, dotted: str) -> Any:
    meter.work(1 + dotted.count("."))
    return deep(item, dotted)


def _first(meter: Meter, value: Any) -> Any:
    return _end(value, 0, "first")


def _last(meter: Meter, value: Any) -> Any:
    return _end(value, -1, "last")


def _end(value: Any, index: int, word: str) -> Any:
    value = known(value)
    if isinstance(value, Mapping):
        names = cast("dict[str, Any]", value)
        return next(reversed(names) if index else iter(names), Missing(word))
    if not isinstance(value, (list, str)):
        raise TypeError
    return cast("Any", value[index]) if value else Missing(word)


def _length(meter: Meter, value: Any) -> int:
    value = known(value)
    if isinstance(value, (str, list, Mapping)):
        return len(cast("str", value))
    raise TypeError


def _list(meter: Meter, value: Any) -> list[Any]:
    items = elements(meter, value)
    meter.make(8 * len(items))
    return list(items)


def _reverse(meter: Meter, value: Any) -> Any:
    value = known(value)
    if isinstance(value, str):
        meter.copy(value)
        return value[::-1]
    return _list(meter, value)[::-1]


def _join(
    meter: Meter, value: Any, separator: Any = "", attribute: str | None = None
) -> str:
    items = elements(meter, value)
    between = text_of(meter, separator)
    pieces: list[str] = []
    for item in items:
        piece = shown(
            meter, known(item) if attribute is None else _inner(meter, item, attribute)
        )
        meter.make(
            BYTES_A_PIECE + width(piece) * len(piece) + width(between) * len(between)
        )
        pieces += [between, piece] if pieces else [piece]
    return joined(pieces)


def _key(meter: Meter, item: Any, attribute: str | None, case_sensitive: bool) -> Any:
    """Return what an element is sorted or told apart by: a text or a number."""
    key = known(item) if attribute is None else _inner(meter, item, attribute)
    if isinstance(key, str):
        if case_sensitive:
            return key
        meter.copy(key)
        return key.lower()
    return number_of(key)


def _sort(
    meter: Meter,
    value: Any,
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: str | None = None,
) -> list[Any]:
    items = elements(meter, value)
    keys = [_key(meter, item, attribute, case_sensitive) for item in items]
    chars = sum(len(key) for key in keys if isinstance(key, str))
    meter.make(32 * len(items))
    meter.work(len(items).bit_length() * (len(items) + 2 * chars // 64))
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
    return [items[index] for index in order]


def _unique(
    meter: Meter, value: Any, case_sensitive: bool = False, attribute: str | None = None
) -> list[Any]:
    items = elements(meter, value)
    meter.make(100 * len(items))
    seen: dict[Any, Any] = {}
    for item in items:
        key = None if item is None else _key(meter, item, attribute, case_sensitive)
        meter.read(len(key) if isinstance(key, str) else 1)
        seen.setdefault(
            str(key)
            if isinstance(key, int) and abs(key) > _EXACT
            else (type(key) is str, key),
            item,
        )
    return list(seen.values())


def _default(meter: Meter, value: Any, default: Any = "", boolean: bool = False) -> Any:
    return default if isinstance(value, Missing) or (boolean and not value) else value


FILTERS: Final[Mapping[str, Filter]] = {
    "abs": _abs,
    "capitalize": _changed(str.capitalize),
    "count": _length,
    "d": _default,
    "default": _default,
    "first": _first,
    "float": _float,
    "int": _int,
    "join": _join,
    "last": _last,
    "length": _length,
    "list": _list,
    "lower": _changed(str.lower),
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "sort": _sort,
    "string": text_of,
    "sum": _sum,
    "title": _title,
    "tojson": as_json,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _unique,
    "upper": _changed(str.upper),
    "wordcount": _wordcount,
}
