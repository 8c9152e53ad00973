"""Drafts: what a recipe asks about one record, in no language's words; a dialect renders them.

    record --prompt, system, attachments of the recipe--> Draft | Problem          a pure function of both

Texts are rendered and written as JSON strings once. What is the same for all records (schema, settings, an
embedding's dimensions) stays in the recipe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from batchdrop.core.errors import PermanentError
from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.core.recipe.recipe import Attachment, Recipe
from batchdrop.core.recipe.template import Template, compile_template

MAX_URI_CHARS: Final = 2048
_URI: Final = re.compile(r"(https|gs)://\S+")
_NOTHING: Final = b'""'
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
class Named:
    """An object that a record names, and its media type; both are JSON strings."""

    uri: bytes
    mime_type: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """A request before it is written in a language: attachments first, then the prompt. Texts are JSON strings."""

    key: bytes
    """The user's key as JSON."""
    prompt: bytes | None
    system: bytes | None = None
    attachments: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledRecipe:
    """A recipe ready for records."""

    recipe: Recipe
    prompt: Template | None
    system: Template | None


def compile_recipe(recipe: Recipe) -> CompiledRecipe:
    """Return the recipe ready for records.

    Raises:
        PermanentError: RECIPE_WITHOUT_PROMPT: it says nothing about what to ask.
    """
    if not recipe.renders:
        message = "The recipe has neither prompt nor attachments, so records cannot become requests."
        raise PermanentError(message, code=Code.RECIPE_WITHOUT_PROMPT)
    return CompiledRecipe(
        recipe,
        compile_template(recipe.prompt) if recipe.prompt is not None else None,
        compile_template(recipe.system) if recipe.system is not None else None,
    )


def draft_of(compiled: CompiledRecipe, fields: Mapping[str, Any]) -> Draft | Problem:
    """Return what is asked about a record, or what is in the way; never raises."""
    key = _key(compiled.recipe, fields)
    if isinstance(key, Problem):
        return key
    if compiled.recipe.embed is not None:
        return _embedding(compiled, key, fields)
    return _generation(compiled, key, fields)


def _generation(
    compiled: CompiledRecipe, key: bytes, fields: Mapping[str, Any]
) -> Draft | Problem:
    attachments: list[Named] = []
    for attachment in compiled.recipe.attachments:
        named = _attached(attachment, fields)
        if isinstance(named, Problem):
            return named
        attachments += named
    prompt: bytes | Problem | None = None
    if compiled.prompt is not None:
        prompt = _text(compiled.prompt, fields, "prompt", empty=bool(attachments))
    if isinstance(prompt, Problem):
        return prompt
    prompt = None if prompt == _NOTHING else prompt
    if prompt is None and not attachments:
        message = "The record names no attachment, and there is no prompt."
        return Problem(Code.EMPTY, "", message)
    if compiled.system is None:
        return Draft(key, prompt, None, tuple(attachments))
    system = _text(compiled.system, fields, "system instruction")
    if isinstance(system, Problem):
        return system
    return Draft(key, prompt, system, tuple(attachments))


def _embedding(
    compiled: CompiledRecipe, key: bytes, fields: Mapping[str, Any]
) -> Draft | Problem:
    if compiled.prompt is None:
        return Problem(Code.EMPTY, "", "There is no prompt to embed.")
    text = _text(compiled.prompt, fields, "prompt")
    return text if isinstance(text, Problem) else Draft(key, text)


def _text(
    template: Template, fields: Mapping[str, Any], what: str, *, empty: bool = False
) -> bytes | Problem:
    """Return the rendered text as JSON; white space alone is a mistake unless it may be empty."""
    text = template.render(fields)
    if isinstance(text, Problem):
        return text
    if not text.strip():
        return (
            _NOTHING
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
) -> list[Named] | Problem:
    """Return the objects a field names; an empty field names none."""
    if attachment.field not in fields:
        pointer = join("", attachment.field)
        return Problem(
            Code.MISSING_FIELD, pointer, "The record has no field for the attachment."
        )
    value = fields[attachment.field]
    objects: list[Named] = []
    for name in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if name is None or name == "":
            continue
        named = _named(attachment, name)
        if isinstance(named, Problem):
            return named
        objects.append(named)
    return objects


def _named(attachment: Attachment, name: Any) -> Named | Problem:
    """Return one object that a field names, or what is wrong with its name."""
    pointer = join("", attachment.field)
    if not _is_address(name):
        fix = "Write gs://bucket/name or https://…."
        return Problem(Code.BAD_URI, pointer, "The field names no object.", fix)
    kind = attachment.type or media_type(name)
    if kind is None:
        fix = f"Give the type in the recipe: {{field: {attachment.field}, type: image/png}}."
        message = "The object's name does not tell its type."
        return Problem(Code.BAD_ENUM, pointer, message, fix)
    try:
        return Named(_encode(name), _encode(kind))
    except UnicodeEncodeError:
        message = "The name holds half of a surrogate pair."
        return Problem(Code.LONE_SURROGATE, pointer, message)


def _is_address(name: Any) -> bool:
    return (
        isinstance(name, str)
        and len(name) <= MAX_URI_CHARS
        and _URI.fullmatch(name) is not None
    )


def media_type(uri: str) -> str | None:
    """Return the MIME type that the ending of an object's name tells."""
    path = uri.partition("?")[0].partition("#")[0] if uri.startswith("https:") else uri
    return MEDIA_TYPES.get(path.rpartition("/")[2].rpartition(".")[2].lower())
