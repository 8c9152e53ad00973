"""OpenAI's lines ask Gemini for the same thing, or say what they could not take along."""

from __future__ import annotations

from typing import Any

import pytest

from tests.samples.dialects import PNG
from tests.unit.dialect_lines import Json, chat, config, contents, openai, refused, request, warned

SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q":1}'}}
USED: list[Json] = [
    {"role": "user", "content": "Find it"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
]


def test_system_text_becomes_the_instruction_and_roles_are_renamed() -> None:
    found = chat(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Salut"},
            {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
        ]
    )
    assert request(found)["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In French."}]}
    assert contents(found) == [
        ("user", [{"text": "Hi"}]),
        ("model", [{"text": "Salut"}]),
        ("user", [{"text": "And now?"}]),
    ]
    assert warned(found) == []


def test_system_text_between_messages_moves_to_the_front_with_a_warning() -> None:
    found = chat(messages=[{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}])
    assert warned(found) == [("REORDERED", "/body/messages/1")]


def test_a_line_of_system_messages_only_is_asked_as_the_user() -> None:
    found = chat(messages=[{"role": "system", "content": "Say hello."}])
    assert contents(found) == [("user", [{"text": "Say hello."}])]
    assert warned(found) == [("APPROXIMATED", "/body/messages")]


def test_settings_keep_their_values_under_gemini_names() -> None:
    found = chat(
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=2000,
        n=2,
        stop="END",
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logprobs=True,
        top_logprobs=3,
        reasoning_effort="low",
    )
    assert config(found) == {
        "temperature": 0.5,
        "topP": 0.9,
        "maxOutputTokens": 2000,
        "candidateCount": 2,
        "stopSequences": ["END"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": -0.1,
        "responseLogprobs": True,
        "logprobs": 3,
        "thinkingConfig": {"thinkingBudget": 1024},
    }
    assert warned(found) == []


def test_a_json_schema_is_sent_as_it_stands_with_the_description_of_the_format() -> None:
    form = {"name": "t", "description": "A ticket", "strict": True, "schema": SCHEMA}
    found = config(chat(response_format={"type": "json_schema", "json_schema": form}))
    assert found["responseMimeType"] == "application/json"
    assert found["responseJsonSchema"] == {"description": "A ticket", **SCHEMA}
    assert config(chat(response_format={"type": "json_object"})) == {"responseMimeType": "application/json"}
    assert config(chat(response_format={"type": "text"})) == {}


def test_calls_and_results_of_tools_become_function_parts() -> None:
    found = chat(messages=[*USED, {"role": "tool", "tool_call_id": "c1", "content": "Found."}])
    call = {"name": "find", "args": {"q": 1}, "id": "c1"}
    assert contents(found)[1:] == [
        ("model", [{"functionCall": call, "thoughtSignature": "skip_thought_signature_validator"}]),
        ("user", [{"functionResponse": {"name": "find", "response": {"output": "Found."}, "id": "c1"}}]),
    ]


def test_results_of_parallel_calls_are_one_turn() -> None:
    calls = [CALL, {**CALL, "id": "c2"}]
    results = [{"role": "tool", "tool_call_id": name, "content": name} for name in ("c1", "c2")]
    found = contents(chat(messages=[USED[0], {"role": "assistant", "tool_calls": calls}, *results]))
    assert [len(parts) for _, parts in found] == [1, 2, 2]
    assert "thoughtSignature" not in found[1][1][1]


def test_legacy_functions_are_tools() -> None:
    function = {"name": "find", "description": "Find", "parameters": SCHEMA}
    call = {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": ""}}
    messages = [USED[0], call, {"role": "function", "name": "find", "content": "x"}]
    found = chat(messages=messages, functions=[function], function_call={"name": "find"})
    declaration = {"name": "find", "description": "Find", "parametersJsonSchema": SCHEMA}
    assert request(found)["tools"] == [{"functionDeclarations": [declaration]}]
    assert request(found)["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["find"]}}
    assert contents(found)[2][1][0]["functionResponse"]["response"] == {"output": "x"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", {"mode": "NONE"}),
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
    ],
)
def test_a_choice_of_tools_is_a_calling_mode(choice: Any, expected: Json) -> None:
    found = chat(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice=choice)
    assert request(found)["toolConfig"]["functionCallingConfig"] == expected


def user(*blocks: Json) -> list[Json]:
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize(
    ("block", "part", "codes"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
            [],
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://a.example/x.webp?w=1"}},
            {"fileData": {"fileUri": "https://a.example/x.webp?w=1", "mimeType": "image/webp"}},
            ["REMOTE_MEDIA"],
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://a.example/x"}},
            {"fileData": {"fileUri": "https://a.example/x", "mimeType": "image/jpeg"}},
            ["REMOTE_MEDIA", "APPROXIMATED"],
        ),
        (
            {"type": "image_url", "image_url": {"url": "gs://bucket/x.png", "detail": "low"}},
            {"fileData": {"fileUri": "gs://bucket/x.png", "mimeType": "image/png"}},
            ["IGNORED"],
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
            [],
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
            [],
        ),
        (
            {"type": "file", "file": {"file_data": "aGk=", "filename": "a.txt"}},
            {"inlineData": {"mimeType": "text/plain", "data": "aGk="}},
            [],
        ),
    ],
)
def test_media_become_parts(block: Json, part: Json, codes: list[str]) -> None:
    found = chat(messages=user(block))
    assert contents(found) == [("user", [part])]
    assert [code for code, _ in warned(found)] == codes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user", "crm"),
        ("store", True),
        ("metadata", {"a": "b"}),
        ("service_tier", "flex"),
        ("parallel_tool_calls", False),
        ("logit_bias", {"17": -5}),
        ("stream", True),
        ("prompt_cache_key", "k"),
        ("safety_identifier", "s"),
        ("verbosity", "low"),
        ("prediction", {"type": "content", "content": "x"}),
    ],
)
def test_what_does_not_change_the_answer_is_left_out_with_a_warning(name: str, value: Any) -> None:
    found = chat(**{name: value})
    assert warned(found) == [("IGNORED", f"/body/{name}")]
    assert request(found) == request(chat())


@pytest.mark.parametrize(("name", "value"), [("store", False), ("parallel_tool_calls", True), ("user", None)])
def test_the_usual_value_of_such_a_field_says_nothing(name: str, value: Any) -> None:
    assert warned(chat(**{name: value})) == []


def test_a_small_limit_is_warned_of_because_thoughts_count() -> None:
    assert warned(chat(max_tokens=16)) == [("TOKENS_INCLUDE_THOUGHTS", "/body/max_tokens")]
    assert warned(chat(max_tokens=16, reasoning_effort="low")) == []


REFUSED: list[tuple[Json, tuple[str, str]]] = [
    ({"logit_bias": {"9820": 100}}, ("NO_EQUIVALENT", "/body/logit_bias")),
    ({"modalities": ["text", "audio"]}, ("NO_EQUIVALENT", "/body/modalities")),
    ({"audio": {"voice": "x"}}, ("NO_EQUIVALENT", "/body/audio")),
    ({"temperature": 3}, ("OUT_OF_RANGE", "/body/temperature")),
    ({"temperature": "hot"}, ("WRONG_TYPE", "/body/temperature")),
    ({"n": 9}, ("OUT_OF_RANGE", "/body/n")),
    ({"temprature": 1}, ("UNKNOWN_FIELD", "/body/temprature")),
    ({"max_tokens": 5, "max_completion_tokens": 6}, ("DUPLICATE_NAME", "/body/max_completion_tokens")),
    ({"reasoning_effort": "heroic"}, ("BAD_ENUM", "/body/reasoning_effort")),
    ({"messages": None}, ("MISSING_FIELD", "/body/messages")),
    ({"messages": []}, ("EMPTY", "/body/messages")),
    ({"messages": ["hi"]}, ("WRONG_TYPE", "/body/messages/0")),
    ({"messages": [{"role": "robot", "content": "x"}]}, ("BAD_ENUM", "/body/messages/0/role")),
    ({"messages": [{"role": "user"}]}, ("MISSING_FIELD", "/body/messages/0/content")),
    ({"messages": [{"role": "user", "content": []}]}, ("EMPTY", "/body/messages/0")),
    ({"messages": user({"type": "video"})}, ("NO_EQUIVALENT", "/body/messages/0/content/0/type")),
    (
        {"messages": user({"type": "file", "file": {"file_id": "f"}})},
        ("NO_EQUIVALENT", "/body/messages/0/content/0/file/file_id"),
    ),
    (
        {"messages": user({"type": "image_url", "image_url": {"url": "http://a.example/x.png"}})},
        ("BAD_URI", "/body/messages/0/content/0/image_url/url"),
    ),
    (
        {"messages": user({"type": "image_url", "image_url": {"url": "data:image/png;base64,!!"}})},
        ("BAD_BASE64", "/body/messages/0/content/0/image_url/url"),
    ),
    (
        {"messages": user({"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg"}})},
        ("BAD_URI", "/body/messages/0/content/0/image_url/url"),
    ),
    (
        {"messages": [{"role": "tool", "tool_call_id": "c9", "content": "x"}]},
        ("MISSING_FIELD", "/body/messages/0/tool_call_id"),
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{"}}]}]},
        ("NOT_JSON", "/body/messages/0/tool_calls/0/function/arguments"),
    ),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, ("NO_EQUIVALENT", "/body/tools/0/type")),
    (
        {"tools": [{"type": "function", "function": {"name": "1 2"}}]},
        ("BAD_ENUM", "/body/tools/0/function/name"),
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "thing"}}}]},
        ("BAD_SCHEMA", "/body/tools/0/function/parameters/type"),
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "thing"}}}},
        ("BAD_SCHEMA", "/body/response_format/json_schema/schema/type"),
    ),
    ({"response_format": {"type": "grammar"}}, ("NO_EQUIVALENT", "/body/response_format/type")),
]


@pytest.mark.parametrize(("body", "expected"), REFUSED)
def test_what_would_change_the_answer_is_refused_where_it_stands(body: Json, expected: tuple[str, str]) -> None:
    assert refused(chat(**body)) == expected


def test_a_field_inside_a_message_that_is_not_read_is_named() -> None:
    found = chat(messages=[{"role": "user", "content": "Hi", "name": "Ann"}])
    assert warned(found) == [("IGNORED", "/body/messages/0/name")]


def test_an_address_without_translation_is_refused() -> None:
    assert refused(openai("/v1/completions", prompt="x")) == ("NO_EQUIVALENT", "/url")


# --------------------------------------------------------------------------------------------- responses
def respond(**body: Any) -> Any:
    return openai("/v1/responses", **({"input": "Hello"} | body))


def test_a_response_asks_the_same_of_gemini() -> None:
    found = respond(
        instructions="Be brief.",
        max_output_tokens=2000,
        temperature=1,
        text={"format": {"type": "json_schema", "name": "t", "schema": SCHEMA}},
        reasoning={"effort": "medium", "summary": "auto"},
        tools=[{"type": "function", "name": "find", "parameters": SCHEMA, "strict": True}, {"type": "web_search"}],
        tool_choice={"type": "function", "name": "find"},
    )
    body = request(found)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["generationConfig"] == {
        "temperature": 1,
        "maxOutputTokens": 2000,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "thinkingConfig": {"thinkingBudget": 8192, "includeThoughts": True},
    }
    assert body["tools"] == [
        {"functionDeclarations": [{"name": "find", "parametersJsonSchema": SCHEMA}]},
        {"googleSearch": {}},
    ]
    assert warned(found) == [("IGNORED", "/body/tools/0/strict"), ("APPROXIMATED", "/body/tools/1")]


def test_the_items_of_an_input_become_turns() -> None:
    found = respond(
        input=[
            {"role": "system", "content": "Be brief."},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "find", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        ]
    )
    assert [(role, len(parts)) for role, parts in contents(found)] == [("user", 3), ("model", 2), ("user", 2)]
    assert warned(found) == [("IGNORED", "/body/input/2")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"previous_response_id": "resp_1"}, ("NO_EQUIVALENT", "/body/previous_response_id")),
        ({"conversation": "conv_1"}, ("NO_EQUIVALENT", "/body/conversation")),
        ({"prompt": {"id": "p"}}, ("NO_EQUIVALENT", "/body/prompt")),
        ({"input": [{"type": "item_reference", "id": "x"}]}, ("NO_EQUIVALENT", "/body/input/0/type")),
        ({"tools": [{"type": "file_search"}]}, ("NO_EQUIVALENT", "/body/tools/0/type")),
        ({"input": None}, ("MISSING_FIELD", "/body/input")),
    ],
)
def test_what_lies_with_openai_cannot_be_asked(body: Json, expected: tuple[str, str]) -> None:
    assert refused(respond(**body)) == expected


# --------------------------------------------------------------------------------------------- embeddings
def embed(**body: Any) -> Any:
    return openai("/v1/embeddings", **body)


@pytest.mark.parametrize("text", ["Hello", ["Hello"]])
def test_a_text_is_embedded(text: Any) -> None:
    found = embed(input=text, dimensions=256, encoding_format="float")
    assert request(found) == {"content": {"parts": [{"text": "Hello"}]}, "outputDimensionality": 256}
    assert warned(found) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": ["a", "b"]}, ("NO_EQUIVALENT", "/body/input")),
        ({"input": []}, ("NO_EQUIVALENT", "/body/input")),
        ({"input": [1234]}, ("NO_EQUIVALENT", "/body/input")),
        ({"input": "a", "dimensions": 0}, ("OUT_OF_RANGE", "/body/dimensions")),
        ({}, ("MISSING_FIELD", "/body/input")),
    ],
)
def test_one_line_gives_one_embedding(body: Json, expected: tuple[str, str]) -> None:
    assert refused(embed(**body)) == expected


def test_numbers_in_base64_are_not_promised() -> None:
    assert warned(embed(input="a", encoding_format="base64")) == [("IGNORED", "/body/encoding_format")]
