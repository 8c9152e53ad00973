"""Values that conform to a response schema: an OpenAPI subset (responseSchema) or JSON Schema (responseJsonSchema).

A schema is compiled once into a function of (text, number) and kept; the value is plausible where a look at the text
allows it (labels, languages, numbers), else chosen by the number. `pattern` is not honoured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

Maker = Callable[[str, int], object]
Schema = dict[str, Any]
SHALLOW: Final = 3
"""Below this depth optional properties and optional items are left out, so that recursive schemas end."""
DEEPEST: Final = 24
_RECURSIVE: Final = frozenset({"$ref", "ref", "properties", "items"})
_TOPICS: Final = tuple(
    (re.compile(names), re.compile(words, re.IGNORECASE))
    for names, words in (
        (
            "bill|pay|invoice|refund",
            r"charged|refund|invoice|abgebucht|facture|fattura|pagu|\bEUR\b|€",
        ),
        ("deliver|ship", r"parcel|arrive|depot|paket|colis|pedido|paczka|届"),
        ("return", r"send.{0,10}back|\breturn|zurückschicken|devolver|too big"),
        ("tech|bug|defect", r"switch on|crash|cierra|電源|socket|abîmé|broken"),
        ("account|login", r"log in|password|compte|account"),
        ("praise|positive|happy", r"brilliant|great|love|wonderful|merci"),
        ("negative|complain", r"twice|never|broken|wait|angry|abîmé"),
    )
)
_LANGUAGES: Final = tuple(
    (code, re.compile(words))
    for code, words in (
        ("ja", r"[ぁ-ヿ]"),
        ("zh", r"[\u4e00-\u9fff]"),
        ("ru", r"[а-я]"),
        ("ar", r"[\u0600-\u06ff]"),
        ("pl", r"\b(?:nie|proszę|jest|się)\b"),
        ("de", r"\b(?:der|die|das|ich|und|nicht|auf)\b"),
        ("fr", r"\b(?:le|je|est|une|pour|du)\b"),
        ("pt", r"\b(?:não|quero|uma|em|é)\b"),
        ("es", r"\b(?:el|está|mi|por|para|al)\b"),
        ("it", r"\b(?:il|della|dell|di|che)\b"),
        ("en", r"\b(?:the|is|my|and|to)\b"),
    )
)
_URGENT: Final = re.compile(r"urgent|pilny|twice|doppelt|!")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_WORDS: Final = re.compile(r"[^\W\d_]{4,24}")
_CODE_NAME: Final = re.compile(r"number|code|serial|order|(?:^|_)id$", re.IGNORECASE)
_CODE: Final = re.compile(r"\b[A-Z]{2,}-\w+|\d{5,}")
_PLAIN_STRING: Final = frozenset({"type", "nullable", "description", "title"})
_FORMATS: Final = {
    "date": "2026-11-20",
    "date-time": "2026-11-20T12:00:00Z",
    "time": "12:00:00Z",
    "email": "customer@example.com",
    "uri": "https://example.com/",
    "uuid": "2f1e6c2a-9b7d-4c55-8a3e-0d4b1c6f7a88",
}


@lru_cache(maxsize=512)
def compiled(raw: bytes) -> Maker:
    """Return what makes conforming values for a schema, given as JSON."""
    try:
        schema = msgspec.json.decode(raw, type=Schema)
    except msgspec.MsgspecError:
        schema = {}
    definitions: Schema = (
        schema.get("$defs") or schema.get("definitions") or schema.get("defs") or {}
    )
    return _maker(schema, definitions, 0)


def _maker(schema: Any, definitions: Schema, depth: int) -> Maker:
    if not isinstance(schema, dict) or depth > DEEPEST:
        return _nothing
    known = cast("Schema", schema)
    if reference := known.get("$ref") or known.get("ref"):
        return _maker(
            definitions.get(str(reference).rsplit("/", 1)[-1]), definitions, depth + 1
        )
    if "const" in known:
        return _always(known["const"])
    if known.get("enum"):
        return _chooser(known["enum"])
    if known.get("allOf"):
        return _maker(_merged(known), definitions, depth + 1)
    for word in ("anyOf", "any_of", "oneOf"):
        if known.get(word):
            return _maker(_alternative(known[word], depth), definitions, depth + 1)
    return _typed(known, definitions, depth)


def _always(fixed: object) -> Maker:
    return lambda _text, _value: fixed


_nothing: Final = _always(None)


def _urgent(text: str, _: int) -> object:
    return _URGENT.search(text) is not None


def _merged(schema: Schema) -> Schema:
    """Return one schema for allOf: properties and requirements of all."""
    merged: Schema = {name: value for name, value in schema.items() if name != "allOf"}
    for part in cast("list[Schema]", schema["allOf"]):
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged |= part
        merged |= ({"properties": properties} if properties else {}) | (
            {"required": required} if required else {}
        )
    return merged


def _alternative(options: list[Schema], depth: int) -> Schema:
    """Return the first alternative; deep down one that does not recurse."""
    ends = [option for option in options if _RECURSIVE.isdisjoint(option)]
    return ends[-1] if depth >= SHALLOW and ends else options[0]


def _typed(schema: Schema, definitions: Schema, depth: int) -> Maker:
    kind: Any = schema.get("type")
    if isinstance(kind, list):
        kinds = [str(item).lower() for item in cast("list[object]", kind)]
        kind = next((item for item in kinds if item != "null"), "null")
    name = str(kind or ("object" if "properties" in schema else "string")).lower()
    if name == "object":
        return _object(schema, definitions, depth)
    if name == "array":
        return _array(schema, definitions, depth)
    if name in ("integer", "number"):
        return _number(schema, whole=name == "integer")
    if name == "boolean":
        return _urgent
    if name == "null":
        return _nothing
    return _string(schema)


def _object(schema: Schema, definitions: Schema, depth: int) -> Maker:
    properties: Schema = schema.get("properties") or {}
    required: list[str] = schema.get("required") or []
    order: list[str] = (
        schema.get("propertyOrdering")
        or schema.get("property_ordering")
        or list(properties)
    )
    names = [
        name
        for name in order
        if name in properties and (name in required or depth < SHALLOW)
    ]
    makers = [
        (name, n, _property(name, properties[name], definitions, depth))
        for n, name in enumerate(names)
    ]
    return lambda text, value: {
        name: maker(text, value + n) for name, n, maker in makers
    }


def _property(name: str, schema: Any, definitions: Schema, depth: int) -> Maker:
    """Return what makes a property's value: a plain string that is named as a code is read from the text."""
    make = _maker(schema, definitions, depth + 1)
    known = cast("Schema", schema) if isinstance(schema, dict) else {}
    if not (_CODE_NAME.search(name) and _PLAIN_STRING.issuperset(known)):
        return make

    def code(text: str, value: int) -> object:
        found = _CODE.search(text)
        return found[0] if found else make(text, value)

    return code if str(known.get("type", "")).lower() == "string" else make


def _array(schema: Schema, definitions: Schema, depth: int) -> Maker:
    fixed: list[object] = schema.get("prefixItems") or []
    least = _bound(schema, 0, "minItems", "min_items")
    most = _bound(schema, 1 << 30, "maxItems", "max_items")
    count = min(max(least, len(fixed), 1 if depth < SHALLOW else 0), most)
    makers = [_maker(item, definitions, depth + 1) for item in fixed[:count]]
    makers += [_maker(schema.get("items") or {}, definitions, depth + 1)] * (
        count - len(makers)
    )
    step = 7 if schema.get("uniqueItems") else 1
    return lambda text, value: [
        maker(text, value + n * step) for n, maker in enumerate(makers)
    ]


def _number(schema: Schema, *, whole: bool) -> Maker:
    low = float(schema.get("minimum", -math.inf))
    high = float(schema.get("maximum", math.inf))
    unit = float(schema.get("multipleOf") or (1 if whole else 0.5))
    if (above := schema.get("exclusiveMinimum")) is not None:
        low = max(
            low,
            float(above) + (unit if whole else min(unit, (high - float(above)) / 2)),
        )
    if (below := schema.get("exclusiveMaximum")) is not None:
        high = min(
            high,
            float(below) - (unit if whole else min(unit, (float(below) - low) / 2)),
        )
    stepped = bool(schema.get("multipleOf")) or whole

    def make(text: str, value: int) -> object:
        found = _NUMBER.search(text)
        near = min(
            max(float(found[0][:15]) if found else float(value % 100), low), high
        )
        if stepped:
            near = math.floor(near / unit) * unit
            near = near + unit if near < low else near
        return int(near) if whole else near

    return make


def _string(schema: Schema) -> Maker:
    shortest = _bound(schema, 0, "minLength", "min_length")
    longest = _bound(schema, 1 << 30, "maxLength", "max_length")
    fixed = _FORMATS.get(str(schema.get("format") or ""))
    if fixed is not None:
        return _always(fixed)

    def make(text: str, value: int) -> object:
        words = _WORDS.findall(text) or ["answer"]
        return str(words[value % len(words)]).ljust(shortest, "x")[:longest]

    return make


def _bound(schema: Schema, default: int, *names: str) -> int:
    """Read a count, which proto-JSON writes as a string."""
    return next(
        (int(schema[name]) for name in names if schema.get(name) is not None), default
    )


def _chooser(options: list[object]) -> Maker:
    """Choose by what the text is about, else by number."""
    names = {str(option).lower(): option for option in options}
    literal = [(name, option) for name, option in names.items() if len(name) >= 4]
    languages = [
        (pattern, names[code]) for code, pattern in _LANGUAGES if code in names
    ]
    topics = [
        (words, option)
        for about, words in _TOPICS
        for name, option in names.items()
        if about.search(name)
    ]

    def make(text: str, value: int) -> object:
        for pattern, option in languages if len(languages) > 1 else topics:
            if pattern.search(text):
                return option
        folded = text.lower()
        found = next((option for name, option in literal if name in folded), None)
        return options[value % len(options)] if found is None else found

    return make
