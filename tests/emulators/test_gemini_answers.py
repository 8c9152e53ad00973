"""The Gemini emulator's answers: pure functions of model and request, conforming to schemas, counts that add up."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop_local.emulators.gemini.faults import Faults, RowFaults
from batchdrop_local.emulators.gemini.results import Rows
from batchdrop_local.emulators.gemini.schemas import compiled

Json = dict[str, Any]
LABELS = ["billing", "delivery", "returns", "technical", "account", "praise", "other"]


def rows(model: str = "gemini-2.5-flash", faults: Faults | None = None) -> Rows:
    """Return the rows of a batch that is the first of its kind; one cache is known."""
    known = {"cachedContents/c": 100}
    return Rows(model, faults or Faults(), fails_first=lambda _: True, cached_tokens=known.get)


def answer(request: Json, model: str = "gemini-2.5-flash", faults: Faults | None = None) -> Json:
    """Answer one request."""
    [row] = rows(model, faults).line(json.dumps({"key": "k", "request": request}).encode())
    found: Json = json.loads(row)["response"]
    return found


def ask(text: str, **config: Any) -> Json:
    """Make a request of one text."""
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config}


def said(response: Json) -> str:
    """Return the text of an answer."""
    return "".join(part.get("text", "") for part in response["candidates"][0]["content"]["parts"])


def usage(response: Json) -> dict[str, int]:
    """Return the counters of an answer."""
    return {name: value for name, value in response["usageMetadata"].items() if isinstance(value, int)}


def test_an_answer_depends_on_model_and_request_alone() -> None:
    request = json.dumps(ask("hello"))

    def line(key: str) -> bytes:
        return b'{"key":"%b","request":%b}' % (key.encode(), request.encode())

    first = json.loads(rows().line(line("a"))[0])["response"]
    other_key = json.loads(rows(faults=Faults(seed=9)).line(line("b"))[0])["response"]
    assert first == other_key
    texts = [
        [said(answer(ask(f"hello {n}"), model)) for n in range(20)] for model in ("gemini-2.5-flash", "gemini-2.5-pro")
    ]
    assert texts[0] != texts[1]


def test_the_order_of_keys_varies_from_line_to_line() -> None:
    made = [rows().line(json.dumps({"key": n, "request": ask(f"text {n}")}).encode())[0] for n in range(50)]
    assert {tuple(json.loads(row)) for row in made} == {("key", "response"), ("response", "key")}
    assert len({tuple(json.loads(row)["response"]) for row in made}) == 2


def test_both_spellings_of_a_request_mean_the_same() -> None:
    schema = {"type": "STRING", "enum": ["x"]}
    camel = {
        **ask("hi", responseSchema=schema, maxOutputTokens="50"),
        "systemInstruction": {"parts": [{"text": "abcd"}]},
    }
    snake = {
        "contents": [{"parts": [{"text": "hi"}]}],
        "generation_config": {"response_schema": schema, "max_output_tokens": 50},
        "system_instruction": {"parts": {"text": "abcd"}},
    }
    for request in (camel, snake):
        assert said(answer(request)) == '"x"'
        assert usage(answer(request))["promptTokenCount"] == 2


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I was charged twice, please refund me", "billing"),
        ("My parcel has been at the depot since Monday", "delivery"),
        ("Ich möchte den Artikel zurückschicken", "returns"),
        ("the lamp will not switch on", "technical"),
        ("I cannot log in", "account"),
        ("it is brilliant", "praise"),
    ],
)
def test_a_label_fits_the_text(text: str, label: str) -> None:
    schema = {"type": "STRING", "enum": LABELS}
    assert json.loads(said(answer(ask(text, responseSchema=schema)))) == label


def test_a_language_is_recognised() -> None:
    schema = {"type": "STRING", "enum": ["en", "de", "fr", "es", "pt", "it", "pl", "ja"]}
    for text, language in {"das Paket ist nicht da": "de", "届きません": "ja", "where is the parcel": "en"}.items():
        assert json.loads(said(answer(ask(text, responseJsonSchema=schema)))) == language


def _whole(low: int, span: int) -> Json:
    return {"type": "integer", "minimum": low, "maximum": low + span}


def _real(low: int, span: int) -> Json:
    return {"type": "number", "minimum": low, "exclusiveMaximum": low + span}


def _words(low: int, span: int) -> Json:
    return {"type": "string", "minLength": low, "maxLength": low + span}


def _one_of(values: list[str]) -> Json:
    return {"type": "string", "enum": values}


def _fixed(*schemas: Json) -> st.SearchStrategy[Json]:
    return st.sampled_from(schemas)


SCALARS: st.SearchStrategy[Json] = st.one_of(
    _fixed({"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"const": 3}),
    _fixed(*({"type": "string", "format": name} for name in ("date", "date-time", "email", "uuid"))),
    st.builds(_whole, st.integers(-99, 99), st.integers(0, 9)),
    st.builds(_real, st.integers(-9, 9), st.integers(1, 9)),
    st.builds(_words, st.integers(0, 30), st.integers(0, 30)),
    st.builds(_one_of, st.lists(st.text(max_size=8), min_size=1, max_size=4)),
)


def _object(properties: dict[str, Json], omitted: int) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties)[omitted:],
        "additionalProperties": False,
    }


def _array(item: Json, low: int, span: int) -> Json:
    return {"type": "array", "items": item, "minItems": low, "maxItems": low + span}


def _any_of(schemas: list[Json]) -> Json:
    return {"anyOf": schemas}


def nested(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Build objects, arrays and alternatives of schemas."""
    names = st.text("abcdefg_", min_size=1, max_size=6)
    return st.one_of(
        st.builds(_object, st.dictionaries(names, inner, max_size=4), st.integers(0, 4)),
        st.builds(_array, inner, st.integers(0, 3), st.integers(0, 3)),
        st.builds(_any_of, st.lists(inner, min_size=1, max_size=3)),
    )


KINDS: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "object": dict,
    "array": list,
    "integer": int,
    "number": (int, float),
    "string": str,
    "boolean": bool,
    "null": type(None),
}


def conforms(value: Any, schema: Json) -> bool:
    """Check a value against the part of JSON Schema that `nested` and SCALARS build."""
    if "anyOf" in schema:
        return any(conforms(value, option) for option in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kind: Any = schema["type"]
    if kind == ["string", "null"]:
        return value is None or isinstance(value, str)
    if not of_kind(value, kind):
        return False
    if kind == "object":
        properties: dict[str, Json] = schema["properties"]
        named = set(schema["required"]) <= set(value) <= set(properties)
        return named and all(conforms(inner, properties[name]) for name, inner in value.items())
    if kind == "array":
        return schema["minItems"] <= len(value) <= schema["maxItems"] and all(
            conforms(item, schema["items"]) for item in value
        )
    if kind in ("integer", "number"):
        below = value <= schema["maximum"] if "maximum" in schema else value < schema["exclusiveMaximum"]
        return below and schema["minimum"] <= value and (kind == "number" or type(value) is int)
    if kind == "string":
        fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        return fits and (schema.get("format") not in ("date", "date-time") or is_moment(value))
    return True


def of_kind(value: object, kind: str) -> bool:
    """Tell whether a value has a type of JSON Schema; Python takes a bool for an int."""
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def is_moment(text: str) -> bool:
    """Tell whether a text is a date or a time."""
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


@given(st.recursive(SCALARS, nested, max_leaves=8), st.text(max_size=40), st.integers(0, 2**60))
def test_a_value_conforms_to_its_schema(schema: Json, text: str, value: int) -> None:
    made = compiled(json.dumps(schema).encode())(text, value)
    assert conforms(json.loads(json.dumps(made)), schema)


def test_a_recursive_schema_ends() -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "required": ["name", "children"],
    }
    schema = {"$defs": {"node": node}, "$ref": "#/$defs/node"}
    made = json.loads(said(answer(ask("a tree", responseJsonSchema=schema))))
    assert list(made) == ["name", "children"]
    assert isinstance(made["children"][0]["name"], str)


PART = st.sampled_from(
    [
        {"text": "some text"},
        {"inlineData": {"mimeType": "image/png", "data": "_9j7"}},
        {"file_data": {"file_uri": "https://x/files/1", "mime_type": "audio/mp3"}},
        {"fileData": {"fileUri": "https://x/files/2", "mimeType": "application/pdf"}},
    ]
)


@given(
    parts=st.lists(PART, min_size=1, max_size=5),
    limit=st.none() | st.integers(0, 300),
    budget=st.none() | st.integers(-1, 300),
    cache=st.sampled_from(["", "cachedContents/c"]),
    implicit=st.floats(0, 1),
)
def test_counters_add_up(parts: list[Json], limit: int | None, budget: int | None, cache: str, implicit: float) -> None:
    config: Json = {} if limit is None else {"maxOutputTokens": limit}
    config |= {} if budget is None else {"thinkingConfig": {"thinkingBudget": budget}}
    request = {"contents": [{"parts": parts}], "generationConfig": config} | ({"cachedContent": cache} if cache else {})
    response = answer(request, faults=Faults(rows=RowFaults(implicit_cache_rate=implicit)))
    found, counted = usage(response), response["usageMetadata"]
    answered = found.get("candidatesTokenCount", 0) + found.get("thoughtsTokenCount", 0)
    assert found["totalTokenCount"] == found["promptTokenCount"] + answered
    assert found["promptTokenCount"] == sum(item["tokenCount"] for item in counted["promptTokensDetails"])
    assert found.get("cachedContentTokenCount", 0) <= found["promptTokenCount"]
    assert 0 not in found.values()
    assert limit is None or answered <= limit
    assert not cache or found["cachedContentTokenCount"] == 100


def test_media_are_counted_by_modality() -> None:
    parts = [{"text": "x" * 8}, {"inlineData": {"mimeType": "image/png"}}, {"fileData": {"mimeType": "audio/wav"}}]
    details = answer({"contents": [{"parts": parts}]})["usageMetadata"]["promptTokensDetails"]
    assert {item["modality"]: item["tokenCount"] for item in details} == {"TEXT": 2, "IMAGE": 258, "AUDIO": 320}


def test_a_small_limit_cuts_the_answer() -> None:
    schema = {"type": "STRING", "minLength": 400}
    response = answer(ask("x", responseSchema=schema, maxOutputTokens=10))
    assert response["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert (len(said(response)), usage(response)["candidatesTokenCount"]) == (40, 10)


def test_thoughts_can_use_up_the_whole_limit() -> None:
    response = answer(ask("x", maxOutputTokens=5, thinkingConfig={"thinkingBudget": -1}))
    assert response["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert "parts" not in response["candidates"][0]["content"]
    assert usage(response)["thoughtsTokenCount"] == 5


def test_thoughts_are_shown_when_asked_for() -> None:
    response = answer(ask("x", thinkingConfig={"include_thoughts": True}))
    assert [part.get("thought", False) for part in response["candidates"][0]["content"]["parts"]] == [True, False]


@pytest.mark.parametrize(
    ("model", "config", "size"),
    [
        ("gemini-2.5-flash-image", {}, (8, 8)),
        ("gemini-3-pro-image-preview", {"imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"}}, (256, 144)),
        ("gemini-2.5-flash", {"responseModalities": ["TEXT", "IMAGE"]}, (8, 8)),
    ],
)
def test_an_image_is_a_valid_png_of_the_shape_asked_for(model: str, config: Json, size: tuple[int, int]) -> None:
    response = answer(ask("a cat", **config), model)
    part = response["candidates"][0]["content"]["parts"][-1]["inlineData"]
    png = base64.b64decode(part["data"], validate=True)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == size
    length = struct.unpack(">I", png[33:37])[0]
    assert len(zlib.decompress(png[41 : 41 + length])) == (size[0] * 3 + 1) * size[1]
    assert usage(response)["candidatesTokenCount"] == 1290


def test_images_can_be_made_large() -> None:
    response = answer(ask("a cat"), "gemini-2.5-flash-image", Faults(image_kib=64))
    data = response["candidates"][0]["content"]["parts"][0]["inlineData"]["data"]
    assert 64 * 1024 < len(base64.b64decode(data)) < 80 * 1024


def test_embeddings_have_the_dimensions_asked_for() -> None:
    for more, size in (({}, 3072), ({"outputDimensionality": 5}, 5), ({"output_dimensionality": 7}, 7)):
        response = answer({"content": {"parts": [{"text": "x"}]}, **more}, "gemini-embedding-001")
        values = response["embedding"]["values"]
        assert len(values) == size
        assert sum(value * value for value in values) == pytest.approx(1, abs=1e-5)
