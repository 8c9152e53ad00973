"""The tests of templates, `{{ a is defined }}`: Jinja2's names and meanings, each paid for before it works.

A test takes the meter, the value and its arguments, as a filter does; comparisons are tests too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from batchdrop.core.recipe.template_filters import Filter, number_of, text_of
from batchdrop.core.recipe.template_values import Meter, Missing, elements, known, weigh


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
    return number_of(left) < number_of(right)


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


def _isnumber_of(*kinds: type) -> Filter:
    def test(meter: Meter, value: Any) -> bool:
        return isinstance(known(value), kinds) and not isinstance(value, bool)

    return test


def _cased(tell: Callable[[str], bool]) -> Filter:
    def test(meter: Meter, value: Any) -> bool:
        return tell(text_of(meter, value))

    return test


def _remainder(meter: Meter, value: Any, divisor: Any) -> int | float:
    return number_of(known(value)) % number_of(known(divisor))


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
    "integer": _isnumber_of(int),
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
