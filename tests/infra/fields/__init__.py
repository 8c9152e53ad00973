"""What the provider would refuse: each input of each resource against the types it was made from.

Three sources, each read where it stands: names, types and what is required come from the installed provider's argument
classes; the words of an enum from the documentation of its properties; formats, ranges and conflicts from
`tables.toml`, whose rows name their sources. What is unknown in a preview is not judged.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from pulumi._types import input_type_py_to_pulumi_names, input_type_types, is_input_type

from tests.infra.engine import UNKNOWN, Archive, Resource
from tests.infra.engine.values import Value
from tests.infra.fields.cron import is_cron

TABLES: dict[str, Any] = tomllib.loads((Path(__file__).parent / "tables.toml").read_text())
ENUM = re.compile(r"Possible values are: ((?:`[^`]+`(?:, )?)+)")
Row = Mapping[str, Any]


def refused(resource: Resource) -> list[str]:
    """Return a sentence for each input that the provider or Google would refuse."""
    found = arguments(resource.type)
    if found is None:
        return [f"{resource.type}: the provider has no such type"]
    wrong = [*_object(found, resource.inputs, ""), *_rows(resource)]
    return [f"{resource.type} {resource.name}: {sentence}" for sentence in wrong]


@cache
def arguments(type: str) -> type | None:
    """Return the class of a resource type's arguments: `gcp:pubsub/topic:Topic` -> `pulumi_gcp.pubsub.TopicArgs`."""
    package, place, name = type.split(":")
    if package != "gcp":
        return None
    module = importlib.import_module(f"pulumi_gcp.{place.partition('/')[0]}")
    return cast("Any", getattr(module, f"{name}Args", None))


# ------------------------------------------------------------------------------------- the provider's types
def _object(kind: Any, given: Mapping[str, Value], path: str) -> Iterator[str]:
    types = input_type_types(kind)
    for name in sorted(required(kind) - set(given)):
        yield f"{_join(path, name)} is missing"
    for name, value in given.items():
        if name not in types:
            yield f"{_join(path, name)}: there is no such field"
        else:
            yield from _value(types[name], value, _join(path, name))
            yield from _word(kind, name, value, _join(path, name))


@cache
def required(kind: Any) -> frozenset[str]:
    """Return the names, as they are sent, of the arguments without which an object cannot be made."""
    names = input_type_py_to_pulumi_names(kind)
    parameters = inspect.signature(kind.__init__).parameters.values()
    return frozenset(names[entry.name] for entry in parameters if entry.default is entry.empty and entry.name in names)


@cache
def words(kind: Any, name: str) -> frozenset[str]:
    """Return the words that the documentation of a property allows; none: it names no words."""
    python = {sent: own for own, sent in input_type_py_to_pulumi_names(kind).items()}[name]
    said = ENUM.search(" ".join((getattr(kind, python).__doc__ or "").split()))
    return frozenset(re.findall("`([^`]+)`", said[1])) if said else frozenset()


def _word(kind: Any, name: str, value: Value, path: str) -> Iterator[str]:
    allowed = words(kind, name)
    if isinstance(value, str) and allowed and value not in allowed:
        yield f"{path} is {value!r}, not one of {', '.join(sorted(allowed))}"


def _value(kind: Any, value: Value, path: str) -> Iterator[str]:
    kind = _plain(kind)
    if value is UNKNOWN or kind is Any:
        return
    if get_origin(kind) in (Sequence, list):
        yield from _list(kind, value, path)
    elif get_origin(kind) in (Mapping, dict):
        yield from _map(kind, value, path)
    elif isinstance(kind, type) and is_input_type(kind):
        if isinstance(value, dict):
            yield from _object(kind, cast("dict[str, Value]", value), path)
        else:
            yield f"{path} is {value!r}, not an object"
    elif not _scalar(kind, value):
        yield f"{path} is {value!r}, not {getattr(kind, '__name__', kind)}"


def _list(kind: Any, value: Value, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} is {value!r}, not a list"
        return
    for at, item in enumerate(cast("list[Value]", value)):
        yield from _value(get_args(kind)[0], item, f"{path}[{at}]")


def _map(kind: Any, value: Value, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is {value!r}, not a map"
        return
    for name, item in cast("dict[str, Value]", value).items():
        yield from _value(get_args(kind)[1], item, f"{path}.{name}")


def _scalar(kind: Any, value: Value) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, Archive)


def _plain(kind: Any) -> Any:
    """Return a type without what may be awaited: `Input[T]` is T, an awaitable or an output of it."""
    members = [entry for entry in get_args(kind) if entry is not type(None)]
    if get_origin(kind) in (Sequence, list, Mapping, dict) or not members:
        return kind
    return _plain(members[0])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# --------------------------------------------------------------------------------------------- our own rows
def _rows(resource: Resource) -> Iterator[str]:
    for row in TABLES["row"]:
        if resource.type.startswith(f"gcp:{row['type']}:"):
            for path, value in at(resource.inputs, row["path"]):
                if value is not UNKNOWN:
                    yield from (f"{path or resource.name} {said} ({row['source']})" for said in _judged(row, value))


def at(node: Value, path: str) -> Iterator[tuple[str, Value]]:
    """Return every value at a path, with the way to it; `[]` goes into each item of a list."""
    yield from _walk(node, [part for part in re.split(r"\.|(?=\[\])", path) if part], "")


def _walk(node: Value, parts: list[str], way: str) -> Iterator[tuple[str, Value]]:
    if not parts:
        yield way, node
    elif parts[0] == "[]":
        for number, item in enumerate(cast("list[Value]", node) if isinstance(node, list) else []):
            yield from _walk(item, parts[1:], f"{way}[{number}]")
    elif isinstance(node, dict) and parts[0] in node:
        yield from _walk(cast("dict[str, Value]", node)[parts[0]], parts[1:], _join(way, parts[0]))


def _judged(row: Row, value: Any) -> Iterator[str]:
    for name, judge in JUDGES.items():
        if name in row:
            said = judge(row, value)
            if said:
                yield said


def _pattern(row: Row, value: Any) -> str:
    return "" if re.fullmatch(row["pattern"], str(value)) else f"is {value!r}, which does not match {row['pattern']}"


def _range(row: Row, value: Any) -> str:
    low, high = row["range"]
    good = isinstance(value, int | float) and ((value == 0 and row.get("or_zero")) or low <= value <= high)
    return "" if good else f"is {value}, not between {low} and {high}"


def _seconds(row: Row, value: Any) -> str:
    if value == "" and row.get("empty"):
        return ""
    low, high = row["seconds"]
    text = re.fullmatch(r"([0-9]+(?:\.[0-9]{1,9})?)s", str(value))
    if text is None:
        return f"is {value!r}, not a number of seconds followed by s"
    seconds = float(text[1])
    good = low <= seconds <= high and seconds % row.get("multiple", 1) == 0
    return "" if good else f"is {value}, not between {low}s and {high}s in steps of {row.get('multiple', 1)}"


def _words(row: Row, value: Any) -> str:
    return "" if value in row["words"] else f"is {value!r}, not one of {', '.join(row['words'])}"


def _items(row: Row, value: Any) -> str:
    low, high = row["items"]
    return "" if low <= len(value) <= high else f"has {len(value)} items, not {low} to {high}"


def _keys(row: Row, value: Any) -> str:
    wrong = [name for name in value if not re.fullmatch(row["keys"], name)]
    return f"has names that are reserved or malformed: {', '.join(wrong)}" if wrong else ""


def _given(names: Sequence[str], value: Any) -> list[str]:
    return [name for name in names if name in value]


def _exactly_one(row: Row, value: Any) -> str:
    found = _given(row["exactly_one"], value)
    return (
        ""
        if len(found) == 1
        else f"has {' and '.join(found) or 'none'} of {', '.join(row['exactly_one'])}; one must be"
    )


def _conflicts(row: Row, value: Any) -> str:
    found = _given(row["conflicts"], value)
    return "" if len(found) <= 1 else f"has {' and '.join(found)}, which exclude each other"


def _at_least_one(row: Row, value: Any) -> str:
    return "" if _given(row["at_least_one"], value) else f"has none of {', '.join(row['at_least_one'])}"


def _together(row: Row, value: Any) -> str:
    found = _given(row["together"], value)
    return "" if len(found) in (0, len(row["together"])) else f"has {found[0]} alone of {', '.join(row['together'])}"


def _cron(_: Row, value: Any) -> str:
    return "" if is_cron(value) else f"is {value!r}, not a schedule of five fields"


def _zone(_: Row, value: Any) -> str:
    return "" if value in zoneinfo.available_timezones() else f"is {value!r}, not a name of the tz database"


JUDGES: Mapping[str, Callable[[Row, Any], str]] = {
    "pattern": _pattern,
    "range": _range,
    "seconds": _seconds,
    "words": _words,
    "items": _items,
    "keys": _keys,
    "exactly_one": _exactly_one,
    "conflicts": _conflicts,
    "at_least_one": _at_least_one,
    "together": _together,
    "cron": _cron,
    "zone": _zone,
}
