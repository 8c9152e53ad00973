"""Anthropic's lines ask Gemini for the same thing, or say what they could not take along."""

from __future__ import annotations

from typing import Any

import pytest

from tests.samples.dialects import PNG
from tests.unit.dialect_lines import USER, Json, anthropic, config, contents, refused, request, warned

SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
USE = {"type": "tool_use", "id": "t1", "name": "find", "input": {"q": 1}}


def user(*blocks: Json) -> list[Json]:
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_the_system_prompt_becomes_the_instruction(system: Any) -> None:
    found = anthropic(system=system)
    assert request(found)["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert warned(found) == []


def test_settings_keep_their_values_under_gemini_names() -> None:
    found = anthropic(temperature=1, top_k=40, top_p=0.5, stop_sequences=["END"])
    expected = {"maxOutputTokens": 2000, "temperature": 1, "topK": 40, "topP": 0.5, "stopSequences": ["END"]}
    assert config(found) == expected


@pytest.mark.parametrize(
    ("params", "expected", "codes"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 4000}},
            {"includeThoughts": True, "thinkingBudget": 4000},
            [],
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 32000}},
            {"includeThoughts": True, "thinkingBudget": 24576},
            ["APPROXIMATED"],
        ),
        ({"thinking": {"type": "disabled"}}, {"thinkingBudget": 0}, ["APPROXIMATED"]),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, {"includeThoughts": False}, []),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            {"includeThoughts": True, "thinkingBudget": 1024},
            [],
        ),
        (
            {"output_config": {"effort": "max"}, "thinking": {"type": "enabled", "budget_tokens": 4000}},
            {"includeThoughts": True, "thinkingBudget": 4000},
            ["APPROXIMATED", "IGNORED"],
        ),
    ],
)
def test_thinking_becomes_a_budget(params: Json, expected: Json, codes: list[str]) -> None:
    found = anthropic(**params)
    assert config(found)["thinkingConfig"] == expected
    assert [code for code, _ in warned(found)] == codes


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_a_format_becomes_a_schema(field: str) -> None:
    form = {"type": "json_schema", "schema": SCHEMA}
    found = config(anthropic(**{field: {"format": form} if field == "output_config" else form}))
    assert (found["responseMimeType"], found["responseJsonSchema"]) == ("application/json", SCHEMA)


def test_calls_and_results_of_tools_become_function_parts() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "Found."}, image]}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = [
        *USER,
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "Let me look."}, USE]},
        {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
    ]
    found = anthropic(messages=messages, tools=[{"name": "find", "input_schema": SCHEMA}])
    call = {"functionCall": {"name": "find", "args": {"q": 1}, "id": "t1"}}
    assert contents(found)[1:] == [
        ("model", [{"text": "Let me look."}, call | {"thoughtSignature": "skip_thought_signature_validator"}]),
        (
            "user",
            [
                {"functionResponse": {"name": "find", "response": {"output": "Found."}, "id": "t1"}},
                {"inlineData": {"mimeType": "image/png", "data": PNG}},
                {"text": "Well?"},
            ],
        ),
    ]
    assert warned(found) == [("IGNORED", "/params/messages/1/content/0")]


def test_a_failed_tool_says_so() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "No such order", "is_error": True}
    found = contents(anthropic(messages=[*USER, {"role": "assistant", "content": [USE]}, *user(result)]))
    assert found[2][1][0]["functionResponse"]["response"] == {"error": "No such order"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"mode": "AUTO"}),
        ({"type": "any"}, {"mode": "ANY"}),
        ({"type": "none"}, {"mode": "NONE"}),
        ({"type": "tool", "name": "find"}, {"mode": "ANY", "allowedFunctionNames": ["find"]}),
    ],
)
def test_a_choice_of_tools_is_a_calling_mode(choice: Json, expected: Json) -> None:
    found = anthropic(tools=[{"name": "find", "input_schema": SCHEMA}], tool_choice=choice)
    assert request(found)["toolConfig"]["functionCallingConfig"] == expected


def test_tools_of_anthropics_own_become_geminis_with_a_warning() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, {"name": "find", "input_schema": SCHEMA}]
    found = anthropic(tools=tools)
    assert [list(tool) for tool in request(found)["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    assert warned(found) == [("APPROXIMATED", "/params/tools/0")]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
            {"fileData": {"fileUri": "https://a.example/x.png", "mimeType": "image/png"}},
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
            {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Once"}},
            {"text": "Once"},
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Once"}]}},
            {"text": "Once"},
        ),
    ],
)
def test_images_and_documents_become_parts(block: Json, part: Json) -> None:
    assert contents(anthropic(messages=user(block))) == [("user", [part])]


def test_breakpoints_of_the_cache_are_left_out_with_a_warning() -> None:
    cached = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    found = anthropic(system=[cached], messages=user(cached))
    expected = ["/params/system/0/cache_control", "/params/messages/0/content/0/cache_control"]
    assert warned(found) == [("IGNORED", pointer) for pointer in expected]


@pytest.mark.parametrize(
    ("name", "value"),
    [("metadata", {"user_id": "x"}), ("service_tier", "auto"), ("stream", True), ("cache_control", {})],
)
def test_what_does_not_change_the_answer_is_left_out_with_a_warning(name: str, value: Any) -> None:
    assert warned(anthropic(**{name: value})) == [("IGNORED", f"/params/{name}")]


REFUSED: list[tuple[Json, tuple[str, str]]] = [
    ({"messages": [*USER, {"role": "assistant", "content": "{"}]}, ("NO_EQUIVALENT", "/params/messages")),
    ({"messages": [{"role": "robot", "content": "x"}]}, ("BAD_ENUM", "/params/messages/0/role")),
    ({"messages": None}, ("MISSING_FIELD", "/params/messages")),
    ({"messages": user({"type": "search_result"})}, ("NO_EQUIVALENT", "/params/messages/0/content/0/type")),
    (
        {"messages": user({"type": "image", "source": {"type": "file", "file_id": "f"}})},
        ("NO_EQUIVALENT", "/params/messages/0/content/0/source/type"),
    ),
    (
        {"messages": user({"type": "tool_result", "tool_use_id": "t9"})},
        ("MISSING_FIELD", "/params/messages/0/content/0/tool_use_id"),
    ),
    ({"stop_sequences": list("abcdef")}, ("OUT_OF_RANGE", "/params/stop_sequences")),
    ({"container": "c"}, ("NO_EQUIVALENT", "/params/container")),
    ({"mcp_servers": [{}]}, ("NO_EQUIVALENT", "/params/mcp_servers")),
    ({"inference_geo": "us"}, ("NO_EQUIVALENT", "/params/inference_geo")),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, ("NO_EQUIVALENT", "/params/tools/0/type")),
    ({"tool_choice": {"type": "maybe"}}, ("BAD_ENUM", "/params/tool_choice/type")),
    ({"thinking": {"type": "enabled"}}, ("MISSING_FIELD", "/params/thinking/budget_tokens")),
    ({"max_token": 5}, ("UNKNOWN_FIELD", "/params/max_token")),
]


@pytest.mark.parametrize(("params", "expected"), REFUSED)
def test_what_would_change_the_answer_is_refused_where_it_stands(params: Json, expected: tuple[str, str]) -> None:
    assert refused(anthropic(**params)) == expected
