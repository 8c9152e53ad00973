"""The filters and tests of templates: Jinja2's names and meanings, each paid for before it works.

A filter takes the meter, the value and its arguments. What is not in these two tables does not exist in a template.
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
    weigh,
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
def _number(value: Any) -> int | float:
    if isinstance(value, (int, float)):
        return value
    raise TypeError


def _abs(meter: Meter, value: Any) -> int | float:
    return abs(_number(known(value)))


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
    meter: Meter, value: Any, precision: int = 0, method: Literal["common", "ceil", "floor"] = "common"
) -> int | float:
    if isinstance(precision, bool) or not -MAX_PRECISION <= precision <= MAX_PRECISION:
        raise ValueError
    number = _number(known(value))
    if method == "common":
        return round(number, precision)
    step: Callable[[float], int] = {"ceil": math.ceil, "floor": math.floor}[method]
    scale = 10**precision
    return float(step(number * scale) / scale)


def _sum(meter: Meter, value: Any, attribute: str | None = None, start: int | float = 0) -> int | float:
    total = _number(start)
    for item in elements(meter, value):
        total += _number(item if attribute is None else _inner(meter, item, attribute))
    return total


# -------------------------------------------------------------------------------------------------------- texts
def _text(meter: Meter, value: Any) -> str:
    text = shown(meter, known(value))
    meter.read(len(text))
    return text


def _changed(change: Callable[[str], str]) -> Filter:
    def filter(meter: Meter, value: Any) -> str:
        text = _text(meter, value)
        meter.copy(text)
        meter.read(16 * len(text))
        return change(text)

    return filter


def _title(meter: Meter, value: Any) -> str:
    text = _text(meter, value)
    meter.work(len(text))
    meter.make(width(text) * len(text) + 64 * (len(text) // 2))
    return _BEGINNING.sub(lambda word: word[0][0].upper() + word[0][1:].lower(), text)


def _trim(meter: Meter, value: Any, chars: str | None = None) -> str:
    text = _text(meter, value)
    if chars is not None and len(chars) > MAX_TRIMMED_CHARS:
        raise ValueError
    meter.read(len(text) * len(chars or " "))
    meter.copy(text)
    return text.strip(chars)


def _replace(meter: Meter, value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = _text(meter, value), _text(meter, old), _text(meter, new)
    meter.search(text, old)
    times = text.count(old) if count is None or count < 0 else min(count, text.count(old))
    size = len(text) + times * (len(new) - len(old))
    if size > MAX_OUTPUT_BYTES:
        raise too_long()
    meter.make(size * max(width(text), width(new)))
    meter.search(text, old)
    meter.work(times)
    return text.replace(old, new, times)


def _truncate(
    meter: Meter, value: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int = 5
) -> str:
    text = _text(meter, value)
    meter.read(len(text) + len(end))
    if length < len(end) or leeway < 0:
        raise ValueError
    if len(text) <= length + leeway:
        return text
    meter.make(4 * (length + len(end)))
    kept = text[: length - len(end)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def _wordcount(meter: Meter, value: Any) -> int:
    text = _text(meter, value)
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


def _join(meter: Meter, value: Any, separator: Any = "", attribute: str | None = None) -> str:
    items = elements(meter, value)
    between = _text(meter, separator)
    pieces: list[str] = []
    for item in items:
        piece = shown(meter, known(item) if attribute is None else _inner(meter, item, attribute))
        meter.make(BYTES_A_PIECE + width(piece) * len(piece) + width(between) * len(between))
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
    return _number(key)


def _sort(
    meter: Meter, value: Any, reverse: bool = False, case_sensitive: bool = False, attribute: str | None = None
) -> list[Any]:
    items = elements(meter, value)
    keys = [_key(meter, item, attribute, case_sensitive) for item in items]
    chars = sum(len(key) for key in keys if isinstance(key, str))
    meter.make(32 * len(items))
    meter.work(len(items).bit_length() * (len(items) + 2 * chars // 64))
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
    return [items[index] for index in order]


def _unique(meter: Meter, value: Any, case_sensitive: bool = False, attribute: str | None = None) -> list[Any]:
    items = elements(meter, value)
    meter.make(100 * len(items))
    seen: dict[Any, Any] = {}
    for item in items:
        key = None if item is None else _key(meter, item, attribute, case_sensitive)
        meter.read(len(key) if isinstance(key, str) else 1)
        seen.setdefault(str(key) if isinstance(key, int) and abs(key) > _EXACT else (type(key) is str, key), item)
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
    "string": _text,
    "sum": _sum,
    "title": _title,
    "tojson": as_json,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _unique,
    "upper": _changed(str.upper),
    "wordcount": _wordcount,
}


# -------------------------------------------------------------------------------------------------------- tests
def equal(meter: Meter, left: Any, right: Any) -> bool:
    """Tell whether two values are the same."""
    left, right = known(left), known(right)
    if isinstance(left, str) and isinstance(right, str):
        meter.read(min(len(left), len(right)))
    elif isinstance(left, (list, Mapping)) and isinstance(right, (list, Mapping)):
        weigh(meter, left)
        weigh(meter, right)
    return bool(left == right)


def less(meter: Meter, left: Any, right: Any) -> bool:
    """Tell whether one value comes before the other."""
    left, right = known(left), known(right)
    if isinstance(left, str) and isinstance(right, str):
        meter.read(min(len(left), len(right)))
        return left < right
    return _number(left) < _number(right)


def contains(meter: Meter, value: Any, container: Any) -> bool:
    """Tell whether a list has an element, an object a name, a text a part."""
    value, container = known(value), known(container)
    if isinstance(container, str):
        if not isinstance(value, str):
            raise TypeError
        meter.search(container, value)
        return value in container
    if isinstance(container, Mapping):
        return value in cast("Mapping[Any, Any]", container)
    if not isinstance(container, list):
        raise TypeError
    return any(equal(meter, value, item) for item in elements(meter, container))


def _is(*kinds: type) -> Filter:
    def test(meter: Meter, value: Any) -> bool:
        return isinstance(known(value), kinds)

    return test


def _is_number(*kinds: type) -> Filter:
    def test(meter: Meter, value: Any) -> bool:
        return isinstance(known(value), kinds) and not isinstance(value, bool)

    return test


def _cased(tell: Callable[[str], bool]) -> Filter:
    def test(meter: Meter, value: Any) -> bool:
        return tell(_text(meter, value))

    return test


def _remainder(meter: Meter, value: Any, divisor: Any) -> int | float:
    return _number(known(value)) % _number(known(divisor))


def _odd(meter: Meter, value: Any) -> bool:
    return _remainder(meter, value, 2) == 1


def _even(meter: Meter, value: Any) -> bool:
    return _remainder(meter, value, 2) == 0


def _divisible(meter: Meter, value: Any, num: Any) -> bool:
    return _remainder(meter, value, num) == 0


def _same(constant: bool | None) -> Filter:
    def test(meter: Meter, value: Any) -> bool:
        return known(value) is constant

    return test


def _defined(meter: Meter, value: Any) -> bool:
    return not isinstance(value, Missing)


def _undefined(meter: Meter, value: Any) -> bool:
    return isinstance(value, Missing)


def _unequal(meter: Meter, left: Any, right: Any) -> bool:
    return not equal(meter, left, right)


def _greater(meter: Meter, left: Any, right: Any) -> bool:
    return less(meter, right, left)


def _at_most(meter: Meter, left: Any, right: Any) -> bool:
    return not less(meter, right, left)


def _at_least(meter: Meter, left: Any, right: Any) -> bool:
    return not less(meter, left, right)


TESTS: Final[Mapping[str, Filter]] = {
    "boolean": _is(bool),
    "defined": _defined,
    "divisibleby": _divisible,
    "even": _even,
    "false": _same(False),
    "float": _is(float),
    "in": contains,
    "integer": _is_number(int),
    "iterable": _is(str, list, dict),
    "lower": _cased(str.islower),
    "mapping": _is(dict),
    "none": _same(None),
    "number": _is(int, float),
    "odd": _odd,
    "sequence": _is(str, list, dict),
    "string": _is(str),
    "true": _same(True),
    "undefined": _undefined,
    "upper": _cased(str.isupper),
    **dict.fromkeys(("==", "eq", "equalto"), equal),
    **dict.fromkeys(("!=", "ne"), _unequal),
    **dict.fromkeys(("<", "lt", "lessthan"), less),
    **dict.fromkeys((">", "gt", "greaterthan"), _greater),
    **dict.fromkeys(("<=", "le"), _at_most),
    **dict.fromkeys((">=", "ge"), _at_least),
}
