"""The slow path, which is the law: every field of a request against a table, every problem with its pointer.

Fields and words: google-genai 3.4.0 `types.py` (GenerateContentRequest and what it holds, Developer API side) and
ai.google.dev/gemini-api/docs, read in stored copies 2026-11-23. proto-JSON takes camelCase and snake_case.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.core.provider.batch import BatchKind
from batchdrop.core.result.schema_shape import check_json_schema
from batchdrop.dialects.gemini.fast import CHARS_PER_TOKEN, MEDIA_TOKENS, is_base64
from batchdrop.dialects.gemini.schema import check_schema

MAX_PROBLEMS: Final = 100
"""No more of one line are looked for: a line may have a hundred thousand."""
MAX_NAME_CHARS: Final = 200
Problems = list[Problem]
Check = Callable[[Any, str, Problems], None]

_MIME = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*", re.IGNORECASE)
_URI = re.compile(r"(https|gs)://\S+|files/[a-z0-9-]{1,40}")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_SNAKE = re.compile(r"_([a-z0-9])")


def check_request(
    request: Any, model: str, pointer: str
) -> tuple[BatchKind, int, Problems]:
    """Check a decoded request; see `check.check_request`."""
    problems: Problems = []
    if not isinstance(request, dict):
        return (
            BatchKind.GENERATE,
            0,
            [Problem(Code.WRONG_TYPE, pointer, "The request must be an object.")],
        )
    body = cast("dict[str, Any]", request)
    embeds = "content" in body and "contents" not in body
    fields = fields_of(body, EMBED if embeds else REQUEST, pointer, problems)
    needed = "content" if embeds else "contents"
    if needed not in fields:
        problems.append(
            Problem(
                Code.MISSING_FIELD,
                join(pointer, needed),
                f'The request has no "{needed}".',
            )
        )
    named = fields.get("model")
    if isinstance(named, str) and model and named.removeprefix("models/") != model:
        message = Code.MODEL_MISMATCH.sentence
        problems.append(Problem(Code.MODEL_MISMATCH, join(pointer, "model"), message))
    if fields.get("cachedContent"):
        problems += [
            Problem(
                Code.CACHE_CONFLICT,
                join(pointer, name),
                f"{name} cannot stand beside cachedContent.",
            )
            for name in ("systemInstruction", "tools", "toolConfig")
            if name in fields
        ]
    return BatchKind.EMBED if embeds else BatchKind.GENERATE, _tokens(request), problems


def field_is_valid(name: str, value: Any) -> bool:
    """Tell whether one field of the request or its generation settings is valid by itself."""
    problems: Problems = []
    (CONFIG if name in CONFIG else REQUEST)[name](value, "", problems)
    return not problems


def fields_of(
    body: dict[str, Any], table: Mapping[str, Check], pointer: str, problems: Problems
) -> dict[str, Any]:
    """Check each field of an object against a table; return the fields by their camelCase names."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if len(problems) >= MAX_PROBLEMS:
            break
        here = join(pointer, name)
        if len(name) > MAX_NAME_CHARS:
            problems.append(
                Problem(
                    Code.UNKNOWN_FIELD,
                    here[:MAX_NAME_CHARS],
                    "The Gemini API has no such field here.",
                )
            )
            continue
        camel = (
            name if name in table else _SNAKE.sub(lambda match: match[1].upper(), name)
        )
        if camel not in table:
            problems.append(_unknown(name, camel, here, table))
        elif camel in found:
            problems.append(
                Problem(
                    Code.DUPLICATE_NAME,
                    here,
                    "The field is there twice, in two spellings.",
                )
            )
        else:
            found[camel] = value
            if value is not None:
                table[camel](value, here, problems)
    return found


def _unknown(
    name: str, camel: str, pointer: str, table: Mapping[str, Check]
) -> Problem:
    if table is REQUEST and camel in CONFIG:
        return Problem(
            Code.MISPLACED_FIELD, pointer, f"{name} belongs into generationConfig."
        )
    if table is CONFIG and camel in REQUEST:
        return Problem(
            Code.MISPLACED_FIELD,
            pointer,
            f"{name} belongs beside generationConfig, not into it.",
        )
    if table is REQUEST and name == "config":
        message = "config is the SDK's name; in a file its fields belong into generationConfig and beside it."
        return Problem(Code.MISPLACED_FIELD, pointer, message)
    close = difflib.get_close_matches(camel, table, n=1)
    fix = f"Did you mean {close[0]}?" if close else ""
    return Problem(
        Code.UNKNOWN_FIELD, pointer, "The Gemini API has no such field here.", fix
    )


def _tokens(value: Any) -> int:
    """Estimate a request's tokens: characters of all text, a fixed share for each medium."""
    characters = media = 0
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            characters += len(item)
        elif isinstance(item, list):
            waiting += cast("list[Any]", item)
        elif isinstance(item, dict):
            entry = cast("dict[str, Any]", item)
            medium = next(
                (
                    name
                    for name in ("inlineData", "inline_data", "fileData", "file_data")
                    if name in entry
                ),
                "",
            )
            media += MEDIA_TOKENS if medium else 0
            waiting += [part for name, part in entry.items() if name != medium]
    return characters // CHARS_PER_TOKEN + media + 1


# ------------------------------------------------------------------------------------------- simple checks
def _is(kind: type | tuple[type, ...], word: str) -> Check:
    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, kind) or (
            isinstance(value, bool) and kind is not bool
        ):
            problems.append(
                Problem(Code.WRONG_TYPE, pointer, f"The value must be {word}.")
            )

    return check


_text = _is(str, "a string")
_boolean = _is(bool, "true or false")
_object = _is(dict, "an object")
_array = _is(list, "an array")


def _number(least: float, most: float) -> Check:
    def check(value: Any, pointer: str, problems: Problems) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.append(
                Problem(Code.WRONG_TYPE, pointer, "The value must be a number.")
            )
        elif not least <= value <= most:
            problems.append(
                Problem(
                    Code.OUT_OF_RANGE,
                    pointer,
                    f"The value must be between {least:g} and {most:g}.",
                )
            )

    return check


def _whole(least: int, most: int) -> Check:
    """A whole number; proto-JSON also takes it as a string or with a zero fraction."""

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
            value = int(value)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or value != int(value)
        ):
            problems.append(
                Problem(Code.WRONG_TYPE, pointer, "The value must be a whole number.")
            )
        elif not least <= value <= most:
            problems.append(
                Problem(
                    Code.OUT_OF_RANGE,
                    pointer,
                    f"The value must be between {least} and {most}.",
                )
            )

    return check


def _one_of(words: str) -> Check:
    allowed = frozenset(words.split())

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, str) or value.upper() not in allowed:
            problems.append(
                Problem(
                    Code.BAD_ENUM,
                    pointer,
                    f"The value must be one of {', '.join(sorted(allowed))}.",
                )
            )

    return check


def _matching(pattern: re.Pattern[str], code: Code, message: str) -> Check:
    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, str):
            problems.append(
                Problem(Code.WRONG_TYPE, pointer, "The value must be a string.")
            )
        elif not pattern.fullmatch(value):
            problems.append(Problem(code, pointer, message))

    return check


def _each(check_item: Check, *, most: int | None = None, least: int = 0) -> Check:
    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.append(
                Problem(Code.WRONG_TYPE, pointer, "The value must be an array.")
            )
            return
        items = cast("list[Any]", value)
        if len(items) < least:
            problems.append(Problem(Code.EMPTY, pointer, "The array is empty."))
        if most is not None and len(items) > most:
            problems.append(
                Problem(
                    Code.OUT_OF_RANGE,
                    pointer,
                    f"The array may have {most} entries at most.",
                )
            )
        for index, item in enumerate(items):
            if len(problems) >= MAX_PROBLEMS:
                break
            check_item(item, join(pointer, index), problems)

    return check


def _fields(table: Mapping[str, Check], *needed: str) -> Check:
    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.append(
                Problem(Code.WRONG_TYPE, pointer, "The value must be an object.")
            )
            return
        found = fields_of(cast("dict[str, Any]", value), table, pointer, problems)
        problems += [
            Problem(
                Code.MISSING_FIELD, join(pointer, name), f'The object has no "{name}".'
            )
            for name in needed
            if found.get(name) is None
        ]

    return check


def _not_supported(value: Any, pointer: str, problems: Problems) -> None:
    problems.append(
        Problem(
            Code.NOT_SUPPORTED,
            pointer,
            "The field is for other services than this one.",
        )
    )


# ------------------------------------------------------------------------------------------------ contents
_mime = _matching(_MIME, Code.BAD_ENUM, "The value must be a MIME type.")


def _bytes(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, str):
        problems.append(
            Problem(Code.WRONG_TYPE, pointer, "The value must be base64 in a string.")
        )
    elif not is_base64(value):
        problems.append(Problem(Code.BAD_BASE64, pointer, Code.BAD_BASE64.sentence))


_DATA: Final[dict[str, Check]] = {
    "text": _text,
    "inlineData": _fields(
        {"mimeType": _mime, "data": _bytes, "displayName": _text}, "mimeType", "data"
    ),
    "fileData": _fields(
        {
            "fileUri": _matching(_URI, Code.BAD_URI, Code.BAD_URI.sentence),
            "mimeType": _mime,
            "displayName": _text,
        },
        "fileUri",
    ),
    "functionCall": _fields({"id": _text, "name": _text, "args": _object}, "name"),
    "functionResponse": _fields(
        {
            "id": _text,
            "name": _text,
            "response": _object,
            "parts": _array,
            "scheduling": _text,
            "willContinue": _boolean,
        },
        "name",
        "response",
    ),
    "executableCode": _object,
    "codeExecutionResult": _object,
    "toolCall": _object,
    "toolResponse": _object,
}
_PART: Final[dict[str, Check]] = _DATA | {
    "thought": _boolean,
    "thoughtSignature": _bytes,
    "videoMetadata": _object,
    "mediaResolution": _object,
    "partMetadata": _object,
}


def _part(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, dict):
        problems.append(
            Problem(
                Code.WRONG_TYPE,
                pointer,
                'A part must be an object, {"text": …} for example.',
            )
        )
        return
    found = fields_of(cast("dict[str, Any]", value), _PART, pointer, problems)
    data = [name for name in found if name in _DATA and found[name] is not None]
    if len(data) != 1 and not any(
        problem.pointer.startswith(pointer) for problem in problems
    ):
        problems.append(
            Problem(
                Code.PART_NOT_ONE,
                pointer,
                f"The part has {len(data)} kinds of data, not one.",
            )
        )


def _parts(value: Any, pointer: str, problems: Problems) -> None:
    if isinstance(value, dict):
        _part(value, pointer, problems)
    else:
        _each(_part, least=1)(value, pointer, problems)


_content = _fields(
    {"role": _one_of("USER MODEL FUNCTION SYSTEM"), "parts": _parts}, "parts"
)
_turn = _fields({"role": _one_of("USER MODEL FUNCTION"), "parts": _parts}, "parts")
"""In `contents` there is no system role: "must be either 'user' or 'model'" (ai.google.dev/api/caching#Content)."""


def _contents(value: Any, pointer: str, problems: Problems) -> None:
    if isinstance(value, dict):
        _turn(value, pointer, problems)
    else:
        _each(_turn, least=1)(value, pointer, problems)


# ------------------------------------------------------------------------------------------- configuration
CONFIG: Final[dict[str, Check]] = {
    "temperature": _number(0, 2),
    "topP": _number(0, 1),
    "topK": _number(1, 1000),
    "candidateCount": _whole(1, 8),
    "maxOutputTokens": _whole(1, 1_000_000),
    "stopSequences": _each(_text, most=5),
    "seed": _whole(-(2**31), 2**31 - 1),
    "presencePenalty": _number(-2, 2),
    "frequencyPenalty": _number(-2, 2),
    "responseMimeType": _one_of("TEXT/PLAIN APPLICATION/JSON TEXT/X.ENUM"),
    "responseSchema": check_schema,
    "responseJsonSchema": check_json_schema,
    "responseFormat": _object,
    "responseModalities": _each(_one_of("TEXT IMAGE AUDIO")),
    "thinkingConfig": _fields(
        {
            "includeThoughts": _boolean,
            "thinkingBudget": _whole(-1, 100_000),
            "thinkingLevel": _one_of("MINIMAL LOW MEDIUM HIGH"),
        }
    ),
    "imageConfig": _fields(
        {"aspectRatio": _text, "imageSize": _one_of("512 0.5K 1K 2K 4K")}
    ),
    "speechConfig": _object,
    "mediaResolution": _text,
    "responseLogprobs": _boolean,
    "logprobs": _whole(0, 20),
    "enableEnhancedCivicAnswers": _boolean,
}


def _config(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, dict):
        problems.append(
            Problem(Code.WRONG_TYPE, pointer, "The value must be an object.")
        )
        return
    found = fields_of(cast("dict[str, Any]", value), CONFIG, pointer, problems)
    schemas = [
        name
        for name in ("responseSchema", "responseJsonSchema")
        if found.get(name) is not None
    ]
    if len(schemas) > 1:
        problems.append(
            Problem(
                Code.SCHEMA_CONFLICT,
                join(pointer, schemas[1]),
                "There are two schemas.",
            )
        )
    elif schemas and found.get("responseMimeType") not in (
        "application/json",
        "text/x.enum",
    ):
        message = "A schema needs responseMimeType application/json."
        problems.append(
            Problem(Code.SCHEMA_CONFLICT, join(pointer, schemas[0]), message)
        )


_CATEGORY = (
    "HARM_CATEGORY_HARASSMENT HARM_CATEGORY_HATE_SPEECH HARM_CATEGORY_SEXUALLY_EXPLICIT"
    " HARM_CATEGORY_DANGEROUS_CONTENT HARM_CATEGORY_CIVIC_INTEGRITY"
)
_THRESHOLD = (
    "BLOCK_LOW_AND_ABOVE BLOCK_MEDIUM_AND_ABOVE BLOCK_ONLY_HIGH BLOCK_NONE OFF"
    " HARM_BLOCK_THRESHOLD_UNSPECIFIED"
)
_declaration = _fields(
    {
        "name": _matching(
            _FUNCTION,
            Code.BAD_ENUM,
            "A function's name has letters, digits, _ . : - only.",
        ),
        "description": _text,
        "parameters": check_schema,
        "parametersJsonSchema": check_json_schema,
        "response": check_schema,
        "responseJsonSchema": check_json_schema,
        "behavior": _text,
    },
    "name",
)
_TOOL: Final[dict[str, Check]] = {
    "functionDeclarations": _each(_declaration, least=1),
    "googleSearch": _object,
    "googleSearchRetrieval": _object,
    "codeExecution": _object,
    "urlContext": _object,
    "googleMaps": _object,
    "fileSearch": _object,
    "computerUse": _object,
}
REQUEST: Final[dict[str, Check]] = {
    "contents": _contents,
    "systemInstruction": _content,
    "generationConfig": _config,
    "safetySettings": _each(
        _fields(
            {"category": _one_of(_CATEGORY), "threshold": _one_of(_THRESHOLD)},
            "category",
            "threshold",
        )
    ),
    "tools": _each(_fields(_TOOL)),
    "toolConfig": _object,
    "cachedContent": _matching(
        re.compile(r"cachedContents/\S+"),
        Code.BAD_URI,
        "The value names no cached content.",
    ),
    "model": _text,
    "labels": _not_supported,
    "serviceTier": _not_supported,
    "store": _not_supported,
}
EMBED: Final[dict[str, Check]] = {
    "content": _content,
    "taskType": _one_of(
        "RETRIEVAL_QUERY RETRIEVAL_DOCUMENT SEMANTIC_SIMILARITY CLASSIFICATION CLUSTERING QUESTION_ANSWERING"
        " FACT_VERIFICATION CODE_RETRIEVAL_QUERY"
    ),
    "title": _text,
    "outputDimensionality": _whole(1, 10_000),
    "model": _text,
}
