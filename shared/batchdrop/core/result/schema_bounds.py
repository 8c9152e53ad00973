"""What holding an answer against a JSON Schema can cost, known before it is done.

jsonschema-rs goes from schema to schema without remembering where it was: 40 definitions, each `anyOf` of twice the
next, are 2**39 steps, and one step is a call that nobody can stop. So the steps are counted beforehand, here, with a
memory: a pair of schema and value is counted once and added as often as it is reached.

    unfolded    the schemas reached from the root when every reference is written out; a recursion counts once
    steps       the pairs of schema and value that holding one answer against it takes, at most

A schema whose references cannot be followed here (other documents, `$id` inside) is refused: it could hide anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from batchdrop.core.limits import limit
from batchdrop.core.pointer import pointer_of, unescaped
from batchdrop.core.problem import Code, Problem

MAX_VALUES: Final = limit("schema_values")
MAX_CHARS: Final = limit("schema_chars")
MAX_UNFOLDED: Final = limit("schema_unfolded")
MAX_PATTERNS: Final = limit("schema_patterns")
MAX_NAME_CHARS: Final = 1000
MAX_DEPTH: Final = 120
"""Of schemas in schemas, references followed; deeper, Python and jsonschema-rs would recurse too far."""
_SAME: Final = ("allOf", "anyOf", "oneOf")
_SAME_ONE: Final = ("not", "if", "then", "else")
_INSIDE: Final = (
    *("items", "additionalItems", "contains", "unevaluatedItems"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames"),
)
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_DATA: Final = frozenset(
    {"enum", "const", "default", "example", "examples", "required", "type"}
)
Schema = dict[str, Any]


class SchemaCostError(Exception):
    """The schema may cost too much."""

    def __init__(self, pointer: str, sentence: str) -> None:
        """Keep where and why."""
        super().__init__(sentence)
        self.pointer = pointer
        self.sentence = sentence


@dataclass(slots=True)
class Bounded:
    """A schema within the bounds, with its references followed."""

    root: Any
    unfolded: int = 0
    patterns: bool = False
    """It looks at texts character by character."""
    recursive: bool = False
    """A schema is reached again from inside itself, so that an answer's depth counts."""
    anchors: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    @property
    def id_word(self) -> str:
        """Return the keyword that gives a schema an address; draft 4 has another one."""
        address = _object(self.root).get("$schema")
        return "id" if isinstance(address, str) and "draft-04" in address else "$id"

    def step_into(self, schema: Any) -> Iterator[tuple[str, Any]]:
        """Yield the schemas that this one hands the same value to, each with its pointer."""
        if not isinstance(schema, dict):
            return
        body = cast("Schema", schema)
        for word in _SAME:
            yield from (
                (f"/{word}/{index}", inner)
                for index, inner in enumerate(_list(body.get(word)))
            )
        for word in ("dependentSchemas", "dependencies"):
            yield from (
                (f"/{word}/{name}", inner)
                for name, inner in _object(body.get(word)).items()
            )
        yield from ((f"/{word}", body[word]) for word in _SAME_ONE if word in body)
        for word in _REFERENCES:
            if isinstance(body.get(word), str):
                for target in self.targets(body[word]):
                    yield f"/{word}", target

    def targets(self, reference: str) -> list[Any]:
        """Return what a reference leads to.

        Raises:
            SchemaCostError: It leads out of the schema, or nowhere.
        """
        base, _, fragment = reference.partition("#")
        if not base and not fragment:
            return [self.root]
        if not base and not fragment.startswith("/"):
            found = self.anchors.get(fragment)
        else:
            found = None if base else _pointed(self.root, fragment)
        if not found:
            sentence = "The reference leads nowhere; write #, #/$defs/name or #anchor, within the schema itself."
            raise SchemaCostError("", sentence)
        return found


def bounded(schema: Any) -> Bounded:
    """Return the schema, known to be within the bounds.

    Raises:
        SchemaCostError: It is too large, or may cost too much.
    """
    found = Bounded(schema)
    _measure(schema, found)
    found.unfolded = _Unfolding(found).count(schema, "", 0)
    return found


def check_bounds(schema: Any, pointer: str, problems: list[Problem]) -> None:
    """Add what is wrong when a schema is out of the bounds."""
    try:
        bounded(schema)
    except SchemaCostError as error:
        fix = "Make the schema smaller, and let definitions refer to fewer others."
        problems.append(
            Problem(Code.BAD_SCHEMA, pointer + error.pointer, error.sentence, fix)
        )


# ------------------------------------------------------------------------------------------------------- its size
def _measure(schema: Any, found: Bounded) -> None:
    """Count values, characters and patterns; collect the anchors."""
    values = chars = patterns = 0
    waiting: list[tuple[Any, bool]] = [(schema, False)]
    while waiting:
        value, is_data = waiting.pop()
        values += 1
        if isinstance(value, str):
            chars += len(value)
        elif isinstance(value, list):
            waiting += [(item, is_data) for item in cast("list[Any]", value)]
        elif isinstance(value, dict):
            body = cast("Schema", value)
            chars += sum(map(len, body))
            if not is_data:
                patterns += _noted(body, found, is_root=value is schema)
                found.patterns = found.patterns or patterns > 0 or "format" in body
            waiting += [
                (item, name in _DATA and not isinstance(item, dict))
                for name, item in body.items()
            ]
        if values + len(waiting) > MAX_VALUES:
            raise SchemaCostError(
                "", f"The schema has more than {MAX_VALUES:,} values."
            )
        if chars > MAX_CHARS:
            raise SchemaCostError(
                "", f"The schema has more than {MAX_CHARS:,} characters."
            )
    if patterns > MAX_PATTERNS:
        raise SchemaCostError("", f"The schema has more than {MAX_PATTERNS} patterns.")


def _noted(body: Schema, found: Bounded, *, is_root: bool) -> int:
    """Note the anchors of an object that may be a schema; return how many patterns it has."""
    if not is_root and isinstance(body.get(found.id_word), str):
        raise SchemaCostError("", f"Only the whole schema may have an {found.id_word}.")
    for word in ("$anchor", "$dynamicAnchor"):
        if isinstance(body.get(word), str):
            found.anchors.setdefault(body[word], []).append(body)
    if any(len(name) > MAX_NAME_CHARS for name in body):
        raise SchemaCostError(
            "", f"A name in the schema has more than {MAX_NAME_CHARS} characters."
        )
    return isinstance(body.get("pattern"), str) + len(
        _object(body.get("patternProperties"))
    )


# --------------------------------------------------------------------------------------------------- unfolded
class _Unfolding:
    """Counts the schemas reached when every reference is written out."""

    def __init__(self, schema: Bounded) -> None:
        self._schema = schema
        self._counts: dict[int, int] = {}
        self._open: dict[int, int] = {}

    def count(self, schema: Any, pointer: str, depth: int) -> int:
        """Return how many schemas are reached from this one; `depth` is how often a value's inside was entered."""
        if not isinstance(schema, dict):
            return 1
        here = id(cast("Schema", schema))
        if here in self._open:
            if self._open[here] == depth:
                raise SchemaCostError(
                    pointer,
                    "The reference leads back to itself without looking into the value.",
                )
            self._schema.recursive = True
            return 1
        if len(self._open) > MAX_DEPTH:
            raise SchemaCostError(
                pointer, f"The schema is nested deeper than {MAX_DEPTH} levels."
            )
        if here not in self._counts:
            self._open[here] = depth
            self._counts[here] = self._sum(cast("Schema", schema), pointer, depth)
            del self._open[here]
        return self._counts[here]

    def _sum(self, schema: Schema, pointer: str, depth: int) -> int:
        total = 1 + _compared(schema)
        try:
            for step, inner in self._schema.step_into(schema):
                total += self.count(inner, pointer + step, depth)
        except SchemaCostError as error:
            raise SchemaCostError(error.pointer or pointer, error.sentence) from None
        for step, inner in inner_schemas(schema):
            total += self.count(inner, pointer + step, depth + 1)
        if total > MAX_UNFOLDED:
            sentence = f"Written out, the schema's references are more than {MAX_UNFOLDED:,} schemas."
            raise SchemaCostError(pointer, sentence)
        return total


def inner_schemas(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Yield the schemas for what is inside a value, each with its pointer."""
    for word in _INSIDE:
        if isinstance(schema.get(word), dict):
            yield f"/{word}", schema[word]
    for word in ("items", "prefixItems"):
        for index, inner in enumerate(_list(schema.get(word))):
            yield f"/{word}/{index}", inner
    for word in ("properties", "patternProperties"):
        for name, inner in _object(schema.get(word)).items():
            yield pointer_of((word, name)), inner


def _compared(schema: Schema) -> int:
    """Return with how many values an enumeration may compare: objects and lists one by one, words by their hash."""
    words = _list(schema.get("enum"))
    return len(words) // 16 + sum(
        _values(item) for item in words if isinstance(item, (dict, list))
    )


def _values(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        count += 1
        if isinstance(item, (list, dict)):
            waiting += cast(
                "list[Any]",
                item if isinstance(item, list) else list(cast("Schema", item).values()),
            )
    return count


# ------------------------------------------------------------------------------------------ steps for one answer
class Steps:
    """Counts what holding one answer against a schema takes.

    Raises:
        SchemaCostError: More pairs of schema and value than `most_pairs`.
    """

    def __init__(self, schema: Bounded, most_pairs: int) -> None:
        """Begin with nothing counted."""
        self._schema = schema
        self._left = most_pairs
        self._counts: dict[tuple[int, int], int] = {}
        self._compared: dict[int, int] = {}

    def count(self, schema: Any, value: Any) -> int:
        """Return the steps for a value and what is inside it."""
        pair = (id(schema), id(value))
        found = self._counts.get(pair)
        if found is None:
            self._left -= 1
            if self._left < 0:
                raise SchemaCostError(
                    "",
                    Code.SCHEMA_TOO_COSTLY.sentence,
                )
            found = self._counts[pair] = self._sum(schema, value)
        return found

    def _sum(self, schema: Any, value: Any) -> int:
        if not isinstance(schema, dict):
            return 1
        body = cast("Schema", schema)
        if id(body) not in self._compared:
            self._compared[id(body)] = _compared(body)
        total = (
            1
            + self._compared[id(body)]
            + sum(self.count(inner, value) for _, inner in self._schema.step_into(body))
        )
        if isinstance(value, str):
            return total + len(value) // 8 * ("pattern" in body or "format" in body)
        if isinstance(value, list):
            return total + self._list(body, cast("list[Any]", value))
        return (
            total + self._object(body, cast("Schema", value))
            if isinstance(value, dict)
            else total
        )

    def _list(self, body: Schema, items: list[Any]) -> int:
        there = [
            body[word]
            for word in ("items", "additionalItems", "contains", "unevaluatedItems")
            if word in body
        ]
        every: list[Any] = [inner for inner in there if isinstance(inner, dict)]
        total = sum(self.count(inner, item) for inner in every for item in items)
        placed = [*_list(body.get("prefixItems")), *_list(body.get("items"))]
        return (
            total
            + len(items)
            + sum(
                self.count(inner, item)
                for inner, item in zip(placed, items, strict=False)
            )
        )

    def _object(self, body: Schema, fields: Schema) -> int:
        every: list[Any] = [
            inner
            for word, inner in body.items()
            if word in _INSIDE[4:6] and isinstance(inner, dict)
        ]
        every += _object(body.get("patternProperties")).values()
        named = _object(body.get("properties"))
        total = len(fields) + sum(
            self.count(inner, value) for inner in every for value in fields.values()
        )
        total += sum(
            self.count(named[name], value)
            for name, value in fields.items()
            if name in named
        )
        patterns = len(_object(body.get("patternProperties"))) + (
            "propertyNames" in body
        )
        return total + patterns * sum(1 + len(name) // 8 for name in fields)


def _pointed(root: Any, pointer: str) -> list[Any]:
    """Return what a JSON pointer leads to, nothing if nowhere."""
    from urllib.parse import unquote

    value = root
    for step in unquote(pointer).split("/")[1:]:
        name = unescaped(step)
        if isinstance(value, dict) and name in value:
            value = cast("Schema", value)[name]
        elif (
            isinstance(value, list)
            and name.isdigit()
            and int(name) < len(cast("list[Any]", value))
        ):
            value = cast("list[Any]", value)[int(name)]
        else:
            return []
    return [value]


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
