"""Schemas that branch, recur, repeat and match, with answers that make the most of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.samples.hostile.cases import Case, asked

Schema = dict[str, Any]


def _chain(count: int, word: str, each: int = 2) -> Schema:
    """Return definitions, each of them twice the one before."""
    definitions: Schema = {"d0": {"type": "string"}}
    for number in range(1, count):
        definitions[f"d{number}"] = {word: [{"$ref": f"#/$defs/d{number - 1}"}] * each}
    return {"$defs": definitions, "$ref": f"#/$defs/d{count - 1}"}


def _inside(count: int, make: str) -> Schema:
    """Return a chain that goes into the value at each step."""
    inner: Schema = {"type": "string"}
    definitions: Schema = {"d0": inner}
    for number in range(1, count):
        step: Schema = {"$ref": f"#/$defs/d{number - 1}"}
        wrapped: Schema = {make: {"a": step} if make == "properties" else step}
        definitions[f"d{number}"] = {"anyOf": [wrapped, dict(wrapped)]}
    return {"$defs": definitions, "$ref": f"#/$defs/d{count - 1}"}


_TREE: Schema = {"anyOf": [{"type": "array", "items": {"$ref": "#"}}] * 2}
_PLAIN: Schema = {"type": "object", "properties": {"a": {"type": "string"}}}


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def _wide(count: int) -> str:
    return "[" + ",".join(["0"] * count) + "]"


_CASES: dict[str, tuple[Any, str]] = {
    **{f"40 definitions of {word}": (_chain(40, word), "3") for word in ("anyOf", "oneOf", "allOf")},
    "16 definitions": (_chain(16, "anyOf"), "3"),
    "17 definitions and a long answer": (_chain(17, "anyOf"), _wide(100_000)),
    "10,000 definitions in a row": (_chain(5_000, "anyOf", 1), "3"),
    "branches of a hundred": (_chain(5, "anyOf", 100), "3"),
    "60 steps into lists": (_inside(60, "items"), _nested(60)),
    "60 steps into objects": (_inside(60, "properties"), '{"a":' * 60 + "1" + "}" * 60),
    "60 steps into other properties": (_inside(60, "additionalProperties"), '{"a":' * 60 + "1" + "}" * 60),
    "if then else": ({"if": {"$ref": "#/$defs/a"}, "then": {"$ref": "#"}, "$defs": {"a": {"not": {"$ref": "#"}}}}, "1"),
    "a reference to itself": ({"$ref": "#"}, "1"),
    "two references to each other": (
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        "1",
    ),
    "any of itself": ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "1"),
    "a tree that branches": (_TREE, _nested(90)),
    "a tree that branches wide": ({"anyOf": [{"type": "array", "items": {"$ref": "#"}}] * 50}, _nested(30)),
    "a dynamic reference": ({"$dynamicAnchor": "a", "anyOf": [{"items": {"$dynamicRef": "#a"}}] * 2}, _nested(90)),
    "a recursive reference": (
        {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "$recursiveAnchor": True,
            "anyOf": [{"items": {"$recursiveRef": "#"}}] * 2,
        },
        _nested(90),
    ),
    "an anchor": ({"$anchor": "a", "anyOf": [{"items": {"$ref": "#a"}}] * 2}, _nested(90)),
    "an address inside": ({"$defs": {"a": {"$id": "http://a/", "type": "string"}}, "$ref": "http://a/"}, "1"),
    "another document": ({"$ref": "http://169.254.169.254/"}, "1"),
    "a file": ({"$ref": "file:///etc/passwd"}, "1"),
    "nowhere": ({"$ref": "#/$defs/none"}, "1"),
    "a hundred branches that fail": ({"anyOf": [{"type": "null"}] * 100}, _wide(100_000)),
    "many branches that fail": ({"anyOf": [{"type": "null"}] * 5_000}, _wide(100_000)),
    "many branches for each element": ({"items": {"anyOf": [{"type": "null"}] * 5_000}}, _wide(100_000)),
    "an enumeration of objects": (
        {"items": {"enum": [{"a": number} for number in range(5_000)]}},
        "[" + ",".join(['{"a":4999}'] * 20_000) + "]",
    ),
    "an enumeration of words": (
        {"items": {"enum": [f"w{number}" for number in range(15_000)]}},
        "[" + ",".join(['"w14999"'] * 50_000) + "]",
    ),
    "unique items": ({"uniqueItems": True}, "[" + ",".join(f'{{"a":{number}}}' for number in range(100_000)) + "]"),
    "unique equal items": ({"uniqueItems": True}, "[" + ",".join(['{"a":[1,2]}'] * 50_000) + "]"),
    "contains": ({"contains": {"contains": {"const": 1}}}, "[" + ",".join(["[0,0,0]"] * 50_000) + "]"),
    "unevaluated items": ({"allOf": [{"prefixItems": [{}] * 500}] * 20, "unevaluatedItems": False}, _wide(50_000)),
    "unevaluated properties": (
        {"anyOf": [{"properties": {f"p{n}": {} for n in range(50)}}] * 50, "unevaluatedProperties": False},
        json.dumps({f"p{number}": 1 for number in range(5_000)}),
    ),
    "many properties": (
        {"properties": {f"p{n}": {"type": "string"} for n in range(9_000)}},
        json.dumps({f"p{n}": 1 for n in range(9_000)}),
    ),
    "too many properties": ({"properties": {f"p{n}": {"type": "string"} for n in range(30_000)}}, "{}"),
    "long names": ({"properties": {"n" * 100_000 + str(n): {} for n in range(4)}}, "{}"),
    "deep names": (json.loads('{"properties":{"' + "n" * 900 + '":' * 1 + "{}" + "}}"), "{}"),
    "many required": ({"required": [f"p{n}" for n in range(15_000)]}, "{}"),
    "dependent schemas": ({"dependentSchemas": {f"p{n}": _PLAIN for n in range(3_000)}}, '{"p1":1}'),
    "property names": ({"propertyNames": {"pattern": "^(a|b)*c$"}}, json.dumps({"a" * n: 1 for n in range(1_000)})),
    "pattern properties": (
        {"patternProperties": {f"^a*{n}": {"type": "string"} for n in range(49)}},
        json.dumps({"a" * 20 + str(n): 1 for n in range(10_000)}),
    ),
    "too many patterns": ({"anyOf": [{"pattern": f"^a{n}(\\w{{1,50}})*$"} for n in range(1_000)]}, '"a"'),
    "patterns under a name of a keyword": (
        {"properties": {"default": {"anyOf": [{"pattern": f"(\\w{{1,50}}){n}"} for n in range(1_000)]}}},
        '"a"',
    ),
    "fifty patterns": (
        {"anyOf": [{"pattern": f"(\\w{{1,9}}|.{{1,9}}){n}$"} for n in range(49)]},
        '"' + "a" * 200_000 + '"',
    ),
    "a deep object": (_PLAIN, '{"a":' * 50_000 + "1" + "}" * 50_000),
    "a deep answer": ({"items": {"$ref": "#"}}, _nested(900)),
    "an answer of millions": ({"items": {"type": "integer"}}, _wide(1_500_000)),
    "a number of much": ({"multipleOf": 1e-300}, "9" * 4_000),
    "multiples": ({"items": {"multipleOf": 0.1}}, _wide(100_000)),
    "a large bound": ({"maximum": 10**300, "minLength": 10**18}, "1"),
    "a format that compiles": (
        {"$schema": "http://json-schema.org/draft-07/schema#", "format": "regex"},
        json.dumps("(\\w{1,100}){1,100}"),
    ),
    "a format of much": (
        {"$schema": "http://json-schema.org/draft-07/schema#", "format": "email"},
        json.dumps("a" * 200_000 + "@"),
    ),
}
_PATTERNS = (
    "(a+)+$ (a|a)*b (.*)*x ^(\\w+\\s?)*$ (a{1000}){1000} (\\w{1,100}){1,100} (.{1,40}){1,40}x ((a*)*)*b"
    " (?i)(\\p{L}{1,99}){9} [\\s\\S]*[\\s\\S]*x (x+x+)+y (?=a)b (a)\\1 ^(([a-z])+.)+[A-Z]([a-z])+$"
)


def cases() -> Iterator[Case]:
    """Yield all cases of schemas."""
    for name, (schema, answer) in _CASES.items():
        yield _case(name, schema, answer)
    for pattern in _PATTERNS.split():
        yield _case(f"pattern {pattern}", {"pattern": pattern}, '"' + "a" * 200_000 + '"')
    for name, (schema, _) in list(_CASES.items())[:24]:
        recipe = b"prompt: x\nresponse_schema: " + json.dumps(schema).encode() + b"\n"
        yield Case(f"schema of a recipe: {name}", lambda: b'{"text":"x"}\n', recipe=recipe)
    yield Case("schema: Gemini's own form, large", lambda: asked(_gemini(15_000)))
    yield Case("schema: Gemini's own form, deep", lambda: asked(_gemini_deep(80)))


def _case(name: str, schema: Any, answer: str) -> Case:
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return Case(f"schema: {name}", lambda: asked(config), answer=lambda: answer)


def _gemini(count: int) -> dict[str, Any]:
    schema = {"type": "OBJECT", "properties": {f"p{number}": {"type": "STRING"} for number in range(count)}}
    return {"responseMimeType": "application/json", "responseSchema": schema}


def _gemini_deep(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(depth):
        schema = {"type": "ARRAY", "items": schema, "nullable": True}
    return {"responseMimeType": "application/json", "responseSchema": schema}
