"""Translation is total: whatever a line holds, it gives a valid request or says what is wrong, and never raises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchdrop.dialects.anthropic.messages import TABLE as MESSAGE_FIELDS
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.gemini.check import check_request
from batchdrop.dialects.known.detect import detect
from batchdrop.dialects.known.reply import answer
from batchdrop.dialects.known.translate import key_of, translate
from batchdrop.dialects.line import LineForm, Translated
from batchdrop.dialects.openai.chat import TABLE as CHAT_FIELDS
from batchdrop.dialects.openai.responses import TABLE as RESPONSE_FIELDS
from tests.samples.dialects import lines

Json = dict[str, Any]
Anything = st.SearchStrategy[Any]
WORDS = """type role content text user assistant system developer tool function messages input name id call_id arguments
tool_call_id tool_calls tool_use tool_result tool_use_id function_call function_call_output output image_url url
data:image/png;base64,aGk= https://a.example/b.png gs://a/b source base64 media_type image/png data aGk= budget
image document input_text input_image input_file output_text file file_data file_id input_audio format wav mp3
json_schema json_object schema parameters input_schema enabled disabled adaptive budget_tokens low high none auto
required any custom web_search effort summary message reasoning refusal thinking contents parts body params
request key custom_id method POST inlineData fileData mode tools allowed_tools properties object {} []""".split()  # noqa: SIM905 - words, not code


def word(index: int) -> str:
    """A word by its number; Hypothesis prints its strategies, and a long list of words each time is too much."""
    return WORDS[index]


scalars: Anything = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts: Anything = st.integers(0, len(WORDS) - 1).map(word) | st.text(max_size=8)
values: Anything = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
objects: Anything = st.dictionaries(texts, values, max_size=5)


def typed(kind: str, fields: Json) -> Json:
    """A content block."""
    return {**fields, "type": kind}


blocks: Anything = st.builds(typed, texts, objects)
roles: Anything = st.sampled_from(["user", "assistant", "system", "tool", "developer", "function"])
messages: Anything = st.lists(
    st.fixed_dictionaries(
        {"role": roles, "content": texts | st.lists(blocks, max_size=2)},
        optional={"tool_calls": st.lists(objects, max_size=1), "tool_call_id": texts, "name": texts},
    ),
    max_size=3,
)
dialects = st.sampled_from(list(LineForm))
urls = st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions", ""])


def bodies(fields: Iterable[str], needed: str) -> Anything:
    """Objects with the fields a table knows, and what is asked."""

    def body(settings: Json, asked: Any) -> Json:
        return {**settings, needed: asked}

    return st.builds(body, st.dictionaries(st.sampled_from(sorted(fields)), values, max_size=4), messages | texts)


openai_lines: Anything = st.fixed_dictionaries(
    {
        "custom_id": texts,
        "url": urls,
        "body": bodies(CHAT_FIELDS, "messages") | bodies(RESPONSE_FIELDS, "input") | objects,
    }
)
anthropic_lines: Anything = st.fixed_dictionaries(
    {"custom_id": texts, "params": bodies(MESSAGE_FIELDS, "messages") | objects}
)
gemini_lines: Anything = st.fixed_dictionaries(
    {"key": values, "request": objects | st.fixed_dictionaries({"contents": values})}
)
anything: Anything = openai_lines | anthropic_lines | gemini_lines | objects


def translated_is_valid(dialect: LineForm, raw: bytes) -> None:
    found = translate(gemini, dialect, raw)
    key_of(dialect, raw)
    if not isinstance(found, Translated):
        assert found.advice()
        assert found.message
        return
    request = msgspec.json.decode(found.request)
    assert check_request(request)[2] == []
    assert msgspec.json.decode(found.key) == msgspec.json.decode(key_of(dialect, raw))


@settings(max_examples=400)
@given(st.binary(max_size=200), dialects)
def test_any_bytes_give_a_request_or_a_problem(raw: bytes, dialect: LineForm) -> None:
    translated_is_valid(dialect, raw)
    detect([raw])


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(anything, dialects)
def test_any_object_gives_a_valid_request_or_a_problem(line: Json, dialect: LineForm) -> None:
    raw = msgspec.json.encode(line)
    translated_is_valid(dialect, raw)
    translated_is_valid(LineForm.OPENAI if "body" in line else LineForm.ANTHROPIC, raw)
    assert detect([raw]) is not None


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([LineForm.OPENAI, LineForm.ANTHROPIC]), st.integers(0, 27), st.data())
def test_a_good_line_with_one_value_changed_gives_a_valid_request_or_a_problem(
    dialect: LineForm, number: int, data: st.DataObject
) -> None:
    line = msgspec.json.decode(list(lines(dialect, 28))[number])
    holder, name = data.draw(st.sampled_from(list(places(line))))
    holder[name] = data.draw(values)
    translated_is_valid(dialect, msgspec.json.encode(line))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a value that can be assigned to."""
    names = list(cast("Json", value)) if isinstance(value, dict) else list(range(len(value)))
    found: list[tuple[Any, Any]] = [(value, name) for name in names]
    for name in names:
        if isinstance(value[name], (dict, list)):
            found += places(value[name])
    return found


@settings(max_examples=400)
@given(
    st.fixed_dictionaries(
        {"line": st.integers(1), "key": scalars | texts},
        optional={
            "outcome": st.sampled_from(["answered", "truncated", "blocked", "error", "missing", "empty"]),
            "code": texts,
            "message": texts,
            "response": values | st.fixed_dictionaries({"candidates": st.lists(values, max_size=2)}),
            "usage": values,
        },
    ),
    dialects,
    urls,
)
def test_any_row_gives_one_line_and_always_the_same(row: Json, dialect: LineForm, url: str) -> None:
    line = answer(gemini, dialect, row, url)
    assert line == answer(gemini, dialect, row, url)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@pytest.mark.parametrize("depth", [50, 101, 5000, 200_000])
def test_nesting_of_any_depth_ends_in_a_verdict(depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    for dialect in LineForm:
        translated_is_valid(dialect, deep)
        translated_is_valid(dialect, b'{"custom_id":"a","params":' + deep + b"}")
        translated_is_valid(dialect, b'{"custom_id":"a","url":"/v1/responses","body":' + deep + b"}")
    detect([deep])
