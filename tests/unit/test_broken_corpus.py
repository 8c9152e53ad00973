"""A corpus of broken input: each kind gets its stable code and the place of the mistake, and nothing else is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchdrop.core.problem import Problem
from batchdrop.core.recipe.parse import parse_recipe
from batchdrop.core.upload.tables import Unreadable, read_jsonl, read_separated
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.gemini.check import check_line
from batchdrop.dialects.known.translate import translate
from batchdrop.dialects.line import LineForm

TEXT = {"role": "user", "parts": [{"text": "hello"}]}
CONFIG = "/request/generationConfig"


def req(**fields: Any) -> bytes:
    return json.dumps({"key": "k", "request": {"contents": [TEXT], **fields}}).encode()


def cfg(**fields: Any) -> bytes:
    return req(generationConfig=fields)


def part(*parts: Any) -> bytes:
    return req(contents=[{"role": "user", "parts": list(parts)}])


def schema(body: Any) -> bytes:
    return cfg(responseMimeType="application/json", responseSchema=body)


LINES: dict[str, tuple[bytes, str, str]] = {
    "not UTF-8": (b'{"key":"\xff","request":{}}', "NOT_UTF8", ""),
    "not JSON": (b'{"key": nope}', "NOT_JSON", ""),
    "cut off": (req()[:-5], "NOT_JSON", ""),
    "two objects on a line": (req() + req(), "NOT_JSON", ""),
    "a trailing comma": (req()[:-1] + b",}", "NOT_JSON", ""),
    "single quotes": (b"{'key': 'a'}", "NOT_JSON", ""),
    "a comment": (req() + b" // hi", "NOT_JSON", ""),
    "an array": (b"[1]", "NOT_OBJECT", ""),
    "a number": (b"7", "NOT_OBJECT", ""),
    "null": (b"null", "NOT_OBJECT", ""),
    "NaN": (cfg(temperature=1)[:-3].replace(b"1", b"NaN") + b"}}}", "BAD_NUMBER", ""),
    "a number no double holds": (req().replace(b'"k"', b"1e999"), "BAD_NUMBER", ""),
    "a name twice": (b'{"key":"a","key":"b","request":{"contents":[]}}', "DUPLICATE_NAME", "/key"),
    "a name twice, deep": (
        req().replace(b'"text": "hello"', b'"text": "a", "text": "b"'),
        "DUPLICATE_NAME",
        "/request/contents/0/parts/0/text",
    ),
    "too deep": (b'{"key":"a","request":' + b"[" * 600 + b"]" * 600 + b"}", "TOO_DEEP", ""),
    "half a surrogate": (req().replace(b"hello", rb"\ud800"), "LONE_SURROGATE", ""),
    "no request": (b'{"key":"a"}', "MISSING_FIELD", "/request"),
    "a bare request": (b'{"contents":[]}', "MISSING_FIELD", "/request"),
    "a field beside": (req()[:-1] + b',"model":"x"}', "UNKNOWN_FIELD", "/model"),
    "a key that is an object": (req().replace(b'"k"', b"{}"), "WRONG_TYPE", "/key"),
    "a request that is text": (b'{"key":"a","request":"hi"}', "WRONG_TYPE", "/request"),
    "no contents": (b'{"key":"a","request":{}}', "MISSING_FIELD", "/request/contents"),
    "empty contents": (req(contents=[]), "EMPTY", "/request/contents"),
    "contents of text": (req(contents=["hi"]), "WRONG_TYPE", "/request/contents/0"),
    "an unknown role": (req(contents=[{**TEXT, "role": "system"}]), "BAD_ENUM", "/request/contents/0/role"),
    "no parts": (req(contents=[{"role": "user"}]), "MISSING_FIELD", "/request/contents/0/parts"),
    "empty parts": (req(contents=[{"parts": []}]), "EMPTY", "/request/contents/0/parts"),
    "a part of two things": (
        part({"text": "a", "inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        "PART_NOT_ONE",
        "/request/contents/0/parts/0",
    ),
    "a part of nothing": (part({}), "PART_NOT_ONE", "/request/contents/0/parts/0"),
    "a part with a misspelt field": (part({"txt": "a"}), "UNKNOWN_FIELD", "/request/contents/0/parts/0/txt"),
    "text that is a number": (part({"text": 5}), "WRONG_TYPE", "/request/contents/0/parts/0/text"),
    "not base64": (
        part({"inlineData": {"mimeType": "image/png", "data": "***"}}),
        "BAD_BASE64",
        "/request/contents/0/parts/0/inlineData/data",
    ),
    "no media type": (
        part({"inlineData": {"data": "AAAA"}}),
        "MISSING_FIELD",
        "/request/contents/0/parts/0/inlineData/mimeType",
    ),
    "a file path instead of an address": (
        part({"fileData": {"fileUri": "/home/me/a.png"}}),
        "BAD_URI",
        "/request/contents/0/parts/0/fileData/fileUri",
    ),
    "an unknown setting": (cfg(temprature=1), "UNKNOWN_FIELD", f"{CONFIG}/temprature"),
    "temperature too high": (cfg(temperature=3), "OUT_OF_RANGE", f"{CONFIG}/temperature"),
    "temperature as text": (cfg(temperature="1"), "WRONG_TYPE", f"{CONFIG}/temperature"),
    "top_p below zero": (cfg(topP=-1), "OUT_OF_RANGE", f"{CONFIG}/topP"),
    "no output tokens": (cfg(maxOutputTokens=0), "OUT_OF_RANGE", f"{CONFIG}/maxOutputTokens"),
    "half a token": (cfg(maxOutputTokens=1.5), "WRONG_TYPE", f"{CONFIG}/maxOutputTokens"),
    "too many candidates": (cfg(candidateCount=9), "OUT_OF_RANGE", f"{CONFIG}/candidateCount"),
    "too many stop sequences": (cfg(stopSequences=list("abcdef")), "OUT_OF_RANGE", f"{CONFIG}/stopSequences"),
    "an unknown answer type": (cfg(responseMimeType="application/xml"), "BAD_ENUM", f"{CONFIG}/responseMimeType"),
    "settings outside generationConfig": (req(temperature=1), "MISPLACED_FIELD", "/request/temperature"),
    "a schema without JSON": (cfg(responseSchema={"type": "STRING"}), "SCHEMA_CONFLICT", f"{CONFIG}/responseSchema"),
    "two schemas": (
        cfg(responseMimeType="application/json", responseSchema={"type": "STRING"}, responseJsonSchema={}),
        "SCHEMA_CONFLICT",
        f"{CONFIG}/responseJsonSchema",
    ),
    "a schema of an unknown type": (schema({"type": "TEXT"}), "BAD_SCHEMA", f"{CONFIG}/responseSchema/type"),
    "a schema with an unknown field": (
        schema({"type": "STRING", "foo": 1}),
        "BAD_SCHEMA",
        f"{CONFIG}/responseSchema/foo",
    ),
    "cached content beside instructions": (
        req(cachedContent="cachedContents/x", systemInstruction=TEXT),
        "CACHE_CONFLICT",
        "/request/systemInstruction",
    ),
    "cached content beside tools": (
        req(cachedContent="cachedContents/x", tools=[{"googleSearch": {}}]),
        "CACHE_CONFLICT",
        "/request/tools",
    ),
    "another model": (req(model="models/other"), "MODEL_MISMATCH", "/request/model"),
    "an unknown field of the request": (req(foo=1), "UNKNOWN_FIELD", "/request/foo"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_broken_gemini_line_gets_its_code_and_place(name: str) -> None:
    raw, code, pointer = LINES[name]
    found = check_line(raw, "gemini-2.5-flash-lite")
    assert isinstance(found, tuple), "accepted"
    problems = found[1]
    assert (code, pointer) in [(problem.code.value, problem.pointer) for problem in problems]
    for problem in problems:
        assert problem.message.endswith(".")
        assert problem.advice()


def chat(**fields: Any) -> bytes:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **fields}
    return json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}).encode()


def message(**fields: Any) -> bytes:
    params = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **fields}
    return json.dumps({"custom_id": "a", "params": params}).encode()


OTHERS: dict[str, tuple[LineForm, bytes, str, str]] = {
    "openai: no messages": (LineForm.OPENAI, chat(messages=[]), "EMPTY", "/body/messages"),
    "openai: an unknown role": (
        LineForm.OPENAI,
        chat(messages=[{"role": "robot", "content": "x"}]),
        "BAD_ENUM",
        "/body/messages/0/role",
    ),
    "openai: temperature as text": (LineForm.OPENAI, chat(temperature="hot"), "WRONG_TYPE", "/body/temperature"),
    "openai: an address nobody has": (
        LineForm.OPENAI,
        chat().replace(b"chat/completions", b"videos"),
        "NO_EQUIVALENT",
        "/url",
    ),
    "openai: spoken answers": (LineForm.OPENAI, chat(modalities=["audio"]), "NO_EQUIVALENT", "/body/modalities"),
    "openai: not a line of it": (LineForm.OPENAI, message(), "DIALECT_MIXED", ""),
    "openai: an unknown setting": (LineForm.OPENAI, chat(temprature=1), "UNKNOWN_FIELD", "/body/temprature"),
    "anthropic: no messages": (LineForm.ANTHROPIC, message(messages=[]), "EMPTY", "/params/messages"),
    "anthropic: an answer begun": (
        LineForm.ANTHROPIC,
        message(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
        "NO_EQUIVALENT",
        "/params/messages",
    ),
    "anthropic: not a line of it": (LineForm.ANTHROPIC, chat(), "DIALECT_MIXED", ""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_broken_line_of_another_dialect_gets_its_code_and_place(name: str) -> None:
    dialect, raw, code, pointer = OTHERS[name]
    found = translate(gemini, dialect, raw)
    assert isinstance(found, Problem)
    assert (found.code.value, found.pointer) == (code, pointer)
    assert found.advice()


RECORDS: dict[str, tuple[bytes, list[tuple[int, str]]]] = {
    "csv: too few cells": (b"a,b\n1\n2,3\n", [(1, "RAGGED_RECORD")]),
    "csv: too many cells": (b"a,b\n1,2,3\n", [(1, "RAGGED_RECORD")]),
    "csv: a quote that never ends": (b'a,b\n1,"x\n2,3\n', [(1, "BAD_QUOTES")]),
    "csv: not UTF-8": (b"a,b\n1,\xff\n2,3\n", [(1, "NOT_UTF8")]),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_broken_record_is_told_and_the_others_are_read(name: str) -> None:
    data, expected = RECORDS[name]
    entries = list(read_separated([data]))
    told = [(entry.number, entry.problem.code.value) for entry in entries if isinstance(entry, Unreadable)]
    assert told == expected
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))


def test_a_broken_json_record_is_told_and_the_others_are_read() -> None:
    entries = list(read_jsonl([b'{"a":1}\n[]\n\n{"a":\n{"a":2}\n']))
    told = [(entry.number, entry.problem.code.value) for entry in entries if isinstance(entry, Unreadable)]
    assert told == [(2, "NOT_OBJECT"), (4, "NOT_JSON")]
    assert len(entries) == 5


RECIPES: dict[str, tuple[bytes, int, str]] = {
    "not YAML": (b"a: b: c\n", 1, ""),
    "a list": (b"- a\n", 1, ""),
    "an unknown field": (b"model: m\npromt: x\n", 2, "promt"),
    "a field twice": (b"model: a\nmodel: b\n", 2, ""),
    "a broken template": (b"prompt: '{{ a'\n", 1, "prompt"),
    "a deadline nobody understands": (b"deadline: soon\n", 1, "deadline"),
    "a temperature too high": (b"prompt: x\ngeneration:\n  temperature: 9\n", 3, "generation.temperature"),
    "a schema that is none": (b"response_schema: {type: 5}\n", 1, "response_schema"),
    "labels twice": (b"labels: [a, a]\n", 1, "labels"),
    "an alias": (b"a: &x 1\nb: *x\n", 2, ""),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_broken_recipe_is_told_with_line_and_field(name: str) -> None:
    data, line, field = RECIPES[name]
    found = parse_recipe(data)
    assert isinstance(found, list)
    assert (line, field) in [(problem.line, problem.field) for problem in found]
    assert all(problem.message and problem.fix for problem in found)


def test_the_corpus_has_at_least_sixty_kinds() -> None:
    assert len(LINES) + len(OTHERS) + len(RECORDS) + len(RECIPES) + 2 >= 60
