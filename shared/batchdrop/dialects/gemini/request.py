"""One view of a request: what the steps ask of it beside what checking tells, from one typed decode.

Each field may be written in camelCase or in snake_case; an accepted request has it in one of the two. What a check
lets through in more than one type (`"maxOutputTokens": "100"`, `contents` without its brackets) is kept as JSON and
decoded when it is asked for.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from batchdrop.core.limits import MIB
from batchdrop.core.result.join import InputLine

INSTRUCTIONS: Final = (
    "systemInstruction",
    "system_instruction",
    "tools",
    "toolConfig",
    "tool_config",
)
Unit = tuple[int, bytes, bytes]
"""A part of a request: number of its turn (-1: the instructions), role as JSON, bytes."""
_NULL: Final = msgspec.Raw(b"null")
_OUTPUT_BYTES: Final = {"512": MIB, "1K": 2 * MIB, "2K": 8 * MIB, "4K": 24 * MIB}
"""Base64 bytes of one image row by `imageSize`: about 8 MB at 2K (discuss.ai.google.dev/t/174261), in proportion to
the pixels otherwise.
"""


class _Config(msgspec.Struct, frozen=True, gc=False):
    mime_type: str | None = msgspec.field(default=None, name="responseMimeType")
    mime_type_snake: str | None = msgspec.field(default=None, name="response_mime_type")
    json_schema: msgspec.Raw = msgspec.field(default=_NULL, name="responseJsonSchema")
    json_schema_snake: msgspec.Raw = msgspec.field(
        default=_NULL, name="response_json_schema"
    )
    schema: msgspec.Raw = msgspec.field(default=_NULL, name="responseSchema")
    schema_snake: msgspec.Raw = msgspec.field(default=_NULL, name="response_schema")
    limit: msgspec.Raw = msgspec.field(default=_NULL, name="maxOutputTokens")
    limit_snake: msgspec.Raw = msgspec.field(default=_NULL, name="max_output_tokens")
    modalities: msgspec.Raw = msgspec.field(default=_NULL, name="responseModalities")
    modalities_snake: msgspec.Raw = msgspec.field(
        default=_NULL, name="response_modalities"
    )
    image: msgspec.Raw = msgspec.field(default=_NULL, name="imageConfig")
    image_snake: msgspec.Raw = msgspec.field(default=_NULL, name="image_config")

    @property
    def wants_json(self) -> bool:
        return (self.mime_type or self.mime_type_snake) == "application/json"

    def answer_schema(self) -> bytes:
        if not self.wants_json:
            return b""
        schemas = (
            self.json_schema,
            self.json_schema_snake,
            self.schema,
            self.schema_snake,
        )
        written = (bytes(schema) for schema in schemas if schema is not _NULL)
        return next((schema for schema in written if schema != b"null"), b"")


class _Content(msgspec.Struct, frozen=True):
    parts: list[msgspec.Raw]
    role: msgspec.Raw = msgspec.Raw(b'"user"')


class _Image(msgspec.Struct, frozen=True):
    size: str | None = msgspec.field(default=None, name="imageSize")
    size_snake: str | None = msgspec.field(default=None, name="image_size")


_NO_CONFIG: Final = _Config()


class GeminiRequest(msgspec.Struct, frozen=True):
    """An accepted request; see `dialects.dialect.Request`."""

    contents: msgspec.Raw = _NULL
    config: _Config | None = msgspec.field(default=None, name="generationConfig")
    config_snake: _Config | None = msgspec.field(default=None, name="generation_config")
    system: msgspec.Raw = msgspec.field(default=_NULL, name="systemInstruction")
    system_snake: msgspec.Raw = msgspec.field(default=_NULL, name="system_instruction")
    tools: msgspec.Raw = _NULL
    choice: msgspec.Raw = msgspec.field(default=_NULL, name="toolConfig")
    choice_snake: msgspec.Raw = msgspec.field(default=_NULL, name="tool_config")
    cached: msgspec.Raw = msgspec.field(default=_NULL, name="cachedContent")
    cached_snake: msgspec.Raw = msgspec.field(default=_NULL, name="cached_content")

    @property
    def settings(self) -> _Config:
        """The generation settings, empty when the request has none."""
        return self.config or self.config_snake or _NO_CONFIG

    @property
    def wants_json(self) -> bool:
        """True when the answer must be JSON."""
        return self.settings.wants_json

    @property
    def schema(self) -> bytes:
        """The schema the answer must keep to, as written; empty without one, or when JSON is not asked for."""
        return self.settings.answer_schema()

    @property
    def output_limit(self) -> int | None:
        """The `maxOutputTokens`, None when it is not there or no number."""
        limit = _either(self.settings.limit, self.settings.limit_snake, int | None)
        return limit or None

    @property
    def asks_images(self) -> bool:
        """True when IMAGE is among the `responseModalities`."""
        wanted = _either(
            self.settings.modalities, self.settings.modalities_snake, list[str] | None
        )
        return "IMAGE" in (word.upper() for word in wanted or ())

    @property
    def image_bytes(self) -> int:
        """How large the row of an image will be, by the resolution asked for; 1K when nothing is said."""
        image = (
            _either(self.settings.image, self.settings.image_snake, _Image | None)
            or _Image()
        )
        return _OUTPUT_BYTES.get(
            (image.size or image.size_snake or "1K").upper(), _OUTPUT_BYTES["4K"]
        )

    @property
    def units(self) -> tuple[Unit, ...]:
        """The parts in order, instructions and tools first; none when the request names a cache itself."""
        if (
            bytes(self.cached) not in _NOTHING
            or bytes(self.cached_snake) not in _NOTHING
        ):
            return ()
        try:
            contents = _decode_contents(self.contents)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        values = (
            self.system,
            self.system_snake,
            self.tools,
            self.choice,
            self.choice_snake,
        )
        shown = (
            (name, bytes(value))
            for name, value in zip(INSTRUCTIONS, values, strict=True)
        )
        first = b",".join(
            b'"%b":%b' % (name.encode(), value)
            for name, value in shown
            if value != b"null"
        )
        parts = (
            (index, bytes(content.role), bytes(part))
            for index, content in enumerate(contents)
            for part in content.parts
        )
        return ((-1, b"", first), *parts)


class _Line(msgspec.Struct, frozen=True):
    request: GeminiRequest
    key: msgspec.Raw = _NULL
    record: msgspec.Raw = _NULL


class _Raw(msgspec.Struct, frozen=True):
    request: msgspec.Raw


_NOTHING: Final = (b"null", b'""')
_lines: Final = msgspec.json.Decoder(_Line)
_decode_line: Final = _lines.decode
_raw: Final = msgspec.json.Decoder(_Raw)
_decode_raw: Final = _raw.decode
_decode_request: Final = msgspec.json.Decoder(GeminiRequest).decode
_decode_contents: Final = msgspec.json.Decoder(list[_Content]).decode


def request(line: bytes) -> GeminiRequest:
    """Return the view of an accepted line's request."""
    return _decode_line(line).request


def raw_request(line: bytes) -> msgspec.Raw:
    """Return an accepted line's request as it is written."""
    return _decode_raw(line).request


def raw_requests(lines: bytes) -> list[msgspec.Raw]:
    """Return the requests of accepted lines that follow each other, as they are written."""
    return [line.request for line in _raw.decode_lines(lines)]


def view(body: bytes) -> GeminiRequest:
    """Return the view of an accepted request, of its bytes alone."""
    return _decode_request(body)


def identify(line: bytes, number: int) -> InputLine:
    """Return what a row needs of an accepted line."""
    return _identified(_decode_line(line), number)


def identify_all(lines: bytes, number: int) -> list[InputLine]:
    """Return what rows need of accepted lines that follow each other, the first of which has that number."""
    return [
        _identified(line, number)
        for number, line in enumerate(_lines.decode_lines(lines), number)
    ]


def _identified(line: _Line, number: int) -> InputLine:
    settings = line.request.config or line.request.config_snake
    if settings is None:
        return InputLine(number, bytes(line.key), False, b"", bytes(line.record))
    return InputLine(
        number,
        bytes(line.key),
        settings.wants_json,
        settings.answer_schema(),
        bytes(line.record),
    )


def _either(camel: msgspec.Raw, snake: msgspec.Raw, kind: Any) -> Any:
    """Return the field in the spelling that is there, None when it is of another type."""
    raw = snake if camel is _NULL else camel
    if raw is _NULL:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
