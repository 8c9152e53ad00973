"""What a template's values are, and what rendering may cost: every filter and loop pays here before it works.

Values are JSON's: null, booleans, numbers, texts, lists and objects; besides them a field that is not there (`Missing`)
and a loop's counters (`Loop`). Nothing else exists in a template, so there is no method and no attribute to reach.

    steps   one for each element touched and for each node evaluated, one for every CHARS_A_STEP characters
    made    bytes of all texts and lists that filters make, counted until the end: nothing is given back

Both are paid before the work is done, so that no single call into C is longer than what is left.
Invariant: a rendering ends after MAX_STEPS steps, with at most MAX_MADE_BYTES and MAX_OUTPUT_BYTES made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from batchdrop.core.limits import limit
from batchdrop.core.problem import Code, Problem

MAX_STEPS: Final = limit("template_steps")
MAX_MADE_BYTES: Final = limit("template_made")
MAX_OUTPUT_BYTES: Final = limit("input_line")
CHARS_A_STEP: Final = 64
"""Python copies, compares and searches text at one to two nanoseconds a character; a step takes 0.1 to 0.5 µs."""
BYTES_AN_ELEMENT: Final = 16
_CONTROLS: Final = bytes(range(0x20))
_NEEDLES: Final = ((2_500, 2_500), (30_000, 100))
"""Below these lengths of text and needle CPython's search is quadratic, else linear (its stringlib/fastsearch.h)."""


class RenderError(Exception):
    """The record cannot be rendered; `problem` says why without quoting a value."""

    def __init__(
        self, code: Code, sentence: str, pointer: str = "", fix: str = ""
    ) -> None:
        """Keep the problem."""
        super().__init__(sentence)
        self.problem = Problem(code, pointer, sentence, fix)


@dataclass(frozen=True, slots=True)
class Missing:
    """What the record does not have; `path` is how the template writes it."""

    path: str


@dataclass(slots=True)
class Loop:
    """The counters of a loop."""

    length: int
    index0: int = 0

    def look_up(self, name: str) -> int | bool | Missing:
        """Return a counter by its name in Jinja2."""
        if name == "index":
            return self.index0 + 1
        if name == "index0":
            return self.index0
        if name == "first":
            return self.index0 == 0
        if name == "last":
            return self.index0 == self.length - 1
        return self.length if name == "length" else Missing(f"loop.{name}")


class Meter:
    """What a rendering has left to spend."""

    __slots__ = ("made", "steps")

    def __init__(self) -> None:
        """Begin with everything."""
        self.steps = MAX_STEPS
        self.made = MAX_MADE_BYTES

    def work(self, steps: int) -> None:
        """Pay for steps.

        Raises:
            RenderError: More than MAX_STEPS in all.
        """
        self.steps -= steps
        if self.steps < 0:
            sentence = (
                f"The template takes more than {MAX_STEPS:,} steps for this record."
            )
            raise RenderError(Code.TOO_COSTLY, sentence)

    def read(self, chars: int) -> None:
        """Pay for looking at characters."""
        self.work(1 + chars // CHARS_A_STEP)

    def make(self, size: int) -> None:
        """Pay for bytes that are about to be made, and for the time that takes.

        Raises:
            RenderError: More than MAX_MADE_BYTES in all.
        """
        self.work(1 + size // CHARS_A_STEP)
        self.made -= size
        if self.made < 0:
            sentence = f"The template makes more than {MAX_MADE_BYTES:,} bytes of text on the way for this record."
            raise RenderError(Code.TOO_COSTLY, sentence)

    def copy(self, text: str, times: int = 1) -> None:
        """Pay for making a text, or one that is so many times as long."""
        self.make(width(text) * len(text) * times)

    def search(self, text: str, needle: str) -> None:
        """Pay for finding all places of a needle in a text."""
        slow = next((most for size, most in _NEEDLES if len(text) < size), 6)
        self.read(len(text) * max(1, min(len(needle), slow)) + len(needle))


def width(text: str) -> int:
    """Return how many bytes a character of the text takes at most."""
    return 1 if text.isascii() else 4


def known(value: Any) -> Any:
    """Return the value.

    Raises:
        RenderError: MISSING_FIELD, it is not there.
    """
    if isinstance(value, Missing):
        sentence = f"The template needs what the record does not have: {value.path!r}."
        raise RenderError(Code.MISSING_FIELD, sentence)
    return value


def look_up(value: Any, key: Any, path: str) -> Any:
    """Return a field or an element of a value, Missing when there is none."""
    if isinstance(value, Mapping):
        return cast("Mapping[Any, Any]", value).get(key, Missing(path))
    if isinstance(value, list) and isinstance(key, int):
        items = cast("list[Any]", value)
        return items[key] if -len(items) <= key < len(items) else Missing(path)
    return value.look_up(key) if isinstance(value, Loop) else Missing(path)


def deep(value: Any, dotted: str) -> Any:
    """Return what a dotted path such as `address.city` leads to."""
    for name in dotted.split("."):
        value = look_up(value, int(name) if name.isdigit() else name, dotted)
    return known(value)


def elements(meter: Meter, value: Any) -> list[Any]:
    """Return what a loop goes over: a list's elements, an object's names, a text's characters."""
    value = known(value)
    if isinstance(value, list):
        items = cast("list[Any]", value)
        meter.work(len(items))
        return items
    if not isinstance(value, (str, Mapping)):
        raise TypeError
    meter.make(
        len(cast("str", value))
        * (8 if isinstance(value, Mapping) else 8 + 20 * width(value))
    )
    return list(cast("str", value))


def weigh(meter: Meter, value: Any) -> None:
    """Pay for looking at all of a value."""
    if isinstance(value, str):
        meter.read(len(value))
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        meter.work(1 + len(items))
        for item in items:
            weigh(meter, item)
    elif isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        meter.work(1 + len(fields))
        for name, item in fields.items():
            meter.read(len(name))
            weigh(meter, item)


def shown(meter: Meter, value: Any) -> str:
    """Return a value as it stands in a prompt: nothing for null, JSON for true, false, lists and objects."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        meter.work(8)
        return str(value)
    return as_json(meter, value)


def as_json(meter: Meter, value: Any) -> str:
    """Return a value as JSON."""
    _pay_for_json(meter, known(value))
    return json.dumps(value, ensure_ascii=False)


def _pay_for_json(meter: Meter, value: Any) -> None:
    if isinstance(value, str):
        meter.make(width(value) * _json_length(value))
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        meter.make(2 + BYTES_AN_ELEMENT * len(items))
        for item in items:
            _pay_for_json(meter, item)
    elif isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        meter.make(2 + BYTES_AN_ELEMENT * len(fields))
        for name, item in fields.items():
            _pay_for_json(meter, name)
            _pay_for_json(meter, item)
    else:
        known(value)
        meter.make(BYTES_AN_ELEMENT)


def _json_length(text: str) -> int:
    """Return how many characters a text has as JSON: a control character takes six, a quotation mark two."""
    length = len(text) + 2 + text.count('"') + text.count("\\")
    if text.isprintable():
        return length
    data = text.encode("utf-8", "surrogatepass")
    return length + 5 * (len(data) - len(data.translate(None, _CONTROLS)))


def joined(pieces: Iterable[str]) -> str:
    """Return the pieces as one text, which fits into a line.

    Raises:
        RenderError: LINE_TOO_LONG.
    """
    found: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT_BYTES:
            raise too_long()
        found.append(piece)
    return "".join(found)


def too_long() -> RenderError:
    """Return what is wrong with a text that fits into no line."""
    return RenderError(
        Code.LINE_TOO_LONG,
        f"The rendered text has more than {MAX_OUTPUT_BYTES:,} bytes.",
    )
