"""Rendering: a record and a recipe become one Gemini line, `{"key":…,"request":{…}}`.

A pure function of both, so that the same upload makes the same lines. What is the same for all records (the
settings, the schema) is written once, when the recipe is compiled. Whatever is rendered passes `check_request`.

    generation  contents: [attachments…, prompt], systemInstruction, generationConfig with the answers' schema
    embedding   content: the prompt, outputDimensionality

Answers are asked for by `responseJsonSchema`, which takes JSON Schema as it is; labels are an enumeration in it. So all
structured answers are JSON and checked in one way (`text/x.enum` would need another one).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import limit
from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.core.recipe.recipe import Attachment, Recipe
from batchdrop.core.recipe.template import Template, compile_template
from batchdrop.dialects.dialect import Accepted
from batchdrop.dialects.gemini.attachments import with_files
from batchdrop.dialects.gemini.beginnings import Beginning

MAX_LINE_BYTES: Final = limit("input_line")
MAX_URI_CHARS: Final = 2048
_URI: Final = re.compile(r"(https|gs)://\S+")
_encode = msgspec.json.encode

MEDIA_TYPES: Final = {
    "avi": "video/avi",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "css": "text/css",
    "csv": "text/csv",
    "flac": "audio/flac",
    "flv": "video/x-flv",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "m4a": "audio/mp4",
    "md": "text/markdown",
    "mov": "video/quicktime",
    "mp3": "audio/mp3",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpg",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "rtf": "text/rtf",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "wmv": "video/wmv",
    "xml": "text/xml",
}
"""By the ending of a name. Ours and not the mimetypes module's, which differs from machine to machine; words as in
ai.google.dev/gemini-api/docs, pages on image, audio, video and document understanding."""


@dataclass(frozen=True, slots=True)
class CompiledRecipe:
    """A recipe ready for records: templates compiled, and what follows the contents written once."""

    recipe: Recipe
    prompt: Template | None
    system: Template | None
    tail: bytes


def compile_recipe(recipe: Recipe) -> CompiledRecipe:
    """Return the recipe ready for records.

    Raises:
        PermanentError: RECIPE_WITHOUT_PROMPT: it says nothing about what to ask.
    """
    if not recipe.renders:
        message = "The recipe has neither prompt nor attachments, so records cannot become requests."
        raise PermanentError(message, code="RECIPE_WITHOUT_PROMPT")
    return CompiledRecipe(
        recipe,
        compile_template(recipe.prompt) if recipe.prompt is not None else None,
        compile_template(recipe.system) if recipe.system is not None else None,
        _tail(recipe),
    )


def render_record(
    compiled: CompiledRecipe, fields: Mapping[str, Any]
) -> bytes | Problem:
    """Return the Gemini line for a record, without newline, or what is in the way; never raises."""
    recipe = compiled.recipe
    key = _key(recipe, fields)
    if isinstance(key, Problem):
        return key
    request = (
        _embedding(compiled, fields)
        if recipe.embed is not None
        else _generation(compiled, fields)
    )
    if isinstance(request, Problem):
        return request
    line = b'{"key":%b,"request":{%b%b}}' % (key, request, compiled.tail)
    if len(line) > MAX_LINE_BYTES:
        return Problem(
            Code.LINE_TOO_LONG,
            "",
            f"The rendered request has more than {MAX_LINE_BYTES} bytes.",
        )
    return line


def _tail(recipe: Recipe) -> bytes:
    """Return the request's fields that are the same for every record, each after a comma."""
    if recipe.embed is not None:
        return (
            b',"outputDimensionality":%d' % recipe.embed.dimensions
            if recipe.embed.dimensions
            else b""
        )
    config = recipe.generation.model_dump(mode="json", by_alias=True, exclude_none=True)
    schema = recipe.answer_schema()
    if schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return b',"generationConfig":' + _encode(config) if config else b""


def _generation(compiled: CompiledRecipe, fields: Mapping[str, Any]) -> bytes | Problem:
    parts: list[bytes] = []
    for attachment in compiled.recipe.attachments:
        found = _attached(attachment, fields)
        if isinstance(found, Problem):
            return found
        parts += found
    if compiled.prompt is not None:
        text = _text(compiled.prompt, fields, "prompt", empty=bool(parts))
        if isinstance(text, Problem):
            return text
        parts += [b'{"text":%b}' % text] if text != b'""' else []
    if not parts:
        return Problem(
            Code.EMPTY, "", "The record names no attachment, and there is no prompt."
        )
    request = b'"contents":[{"role":"user","parts":[%b]}]' % b",".join(parts)
    if compiled.system is None:
        return request
    system = _text(compiled.system, fields, "system instruction")
    if isinstance(system, Problem):
        return system
    return b'%b,"systemInstruction":{"parts":[{"text":%b}]}' % (request, system)


def _embedding(compiled: CompiledRecipe, fields: Mapping[str, Any]) -> bytes | Problem:
    if compiled.prompt is None:
        return Problem(Code.EMPTY, "", "There is no prompt to embed.")
    text = _text(compiled.prompt, fields, "prompt")
    return (
        text
        if isinstance(text, Problem)
        else b'"content":{"parts":[{"text":%b}]}' % text
    )


def _text(
    template: Template, fields: Mapping[str, Any], what: str, *, empty: bool = False
) -> bytes | Problem:
    """Return the rendered text as JSON; white space alone is a mistake unless it may be empty."""
    text = template.render(fields)
    if isinstance(text, Problem):
        return text
    if not text.strip():
        return (
            b'""'
            if empty
            else Problem(Code.EMPTY, "", f"The {what} is empty for this record.")
        )
    try:
        return _encode(text)
    except UnicodeEncodeError:
        return Problem(
            Code.LONE_SURROGATE, "", f"The {what} holds half of a surrogate pair."
        )


def _key(recipe: Recipe, fields: Mapping[str, Any]) -> bytes | Problem:
    if recipe.key is None:
        return b"null"
    if recipe.key not in fields:
        return Problem(
            Code.MISSING_FIELD,
            join("", recipe.key),
            "The record has no field for the key.",
        )
    key = fields[recipe.key]
    if key is not None and (
        isinstance(key, bool) or not isinstance(key, (str, int, float))
    ):
        return Problem(
            Code.WRONG_TYPE,
            join("", recipe.key),
            "The key must be a string or a number.",
        )
    try:
        return _encode(key)
    except (UnicodeEncodeError, OverflowError):
        return Problem(
            Code.WRONG_TYPE, join("", recipe.key), "The key cannot be written as JSON."
        )


def _attached(
    attachment: Attachment, fields: Mapping[str, Any]
) -> list[bytes] | Problem:
    """Return a part for each object the field names; an empty field names none."""
    pointer = join("", attachment.field)
    if attachment.field not in fields:
        return Problem(
            Code.MISSING_FIELD, pointer, "The record has no field for the attachment."
        )
    value = fields[attachment.field]
    names = cast("list[Any]", value) if isinstance(value, list) else [value]
    parts: list[bytes] = []
    for name in names:
        if name is None or name == "":
            continue
        if (
            not isinstance(name, str)
            or len(name) > MAX_URI_CHARS
            or not _URI.fullmatch(name)
        ):
            return Problem(
                Code.BAD_URI,
                pointer,
                "The field names no object.",
                "Write gs://bucket/name or https://….",
            )
        kind = attachment.type or media_type(name)
        if kind is None:
            fix = f"Give the type in the recipe: {{field: {attachment.field}, type: image/png}}."
            return Problem(
                Code.BAD_ENUM, pointer, "The object's name does not tell its type.", fix
            )
        try:
            parts.append(_encode({"fileData": {"fileUri": name, "mimeType": kind}}))
        except UnicodeEncodeError:
            return Problem(
                Code.LONE_SURROGATE, pointer, "The name holds half of a surrogate pair."
            )
    return parts


def media_type(uri: str) -> str | None:
    """Return the MIME type that the ending of an object's name tells."""
    path = uri.partition("?")[0].partition("#")[0] if uri.startswith("https:") else uri
    return MEDIA_TYPES.get(path.rpartition("/")[2].rpartition(".")[2].lower())


# ------------------------------------------------------------------------------------------- lines as they go out
class _Line(msgspec.Struct, frozen=True):
    request: msgspec.Raw


_lines: Final = msgspec.json.Decoder(_Line)
_decode_line = _lines.decode
_decode = msgspec.json.decode
LONGER_FACTOR: Final = 2


def body_of(
    raw: bytes,
    *,
    longer: bool,
    beginning: Beginning | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return the request of an accepted input line as it goes out.

    Args:
        raw: The input line.
        longer: Give the answer twice the room.
        beginning: What a cache holds is left out.
        files: The provider's files by the objects they were made of.
    """
    request = bytes(_decode_line(raw).request)
    if beginning is not None:
        request = beginning.spared(request)
    if files:
        request = with_files(request, files)
    return with_longer_output(request) if longer else request


def bodies_of(lines: bytes, number: int) -> list[tuple[int, bytes]]:
    """Return number and request of accepted input lines as they are, the first of which has that number."""
    return [
        (number, bytes(found.request))
        for number, found in enumerate(_lines.decode_lines(lines), number)
    ]


def body_bytes(raw: bytes, found: Accepted) -> int:
    """Return how long `body_of` makes an accepted input line, without making it."""
    return (
        memoryview(_decode_line(raw).request).nbytes
        if found.request_bytes is None
        else found.request_bytes
    )


def with_longer_output(request: bytes) -> bytes:
    """Return the request with twice the output limit it had; without a limit, unchanged."""
    body: dict[str, Any] = _decode(request)
    name = "generationConfig" if "generationConfig" in body else "generation_config"
    config: dict[str, Any] = body.get(name) or {}
    field = "maxOutputTokens" if "maxOutputTokens" in config else "max_output_tokens"
    if field not in config:
        return request
    config[field] = int(config[field]) * LONGER_FACTOR
    return _encode(body)
