"""A request as the emulator reads it: only what decides about the answer, in either spelling.

proto-JSON allows camelCase and snake_case at every level, and the SDKs mix them.
"""

# JSON of any shape passes through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false

from __future__ import annotations

from typing import Any, Final

import msgspec

ABSENT: Final = msgspec.Raw(b"null")
"""A Raw field cannot be optional otherwise (msgspec 0.22)."""


class Part(msgspec.Struct):
    """A part of a content."""

    text: str | None = None
    inlineData: msgspec.Raw = ABSENT
    inline_data: msgspec.Raw = ABSENT
    fileData: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT


class Content(msgspec.Struct):
    """A turn."""

    parts: list[Part] | Part | None = None


class Config(msgspec.Struct):
    """The generation settings that matter here."""

    maxOutputTokens: int | str | None = None
    max_output_tokens: int | str | None = None
    responseMimeType: str | None = None
    response_mime_type: str | None = None
    responseSchema: msgspec.Raw = ABSENT
    response_schema: msgspec.Raw = ABSENT
    responseJsonSchema: msgspec.Raw = ABSENT
    response_json_schema: msgspec.Raw = ABSENT
    responseModalities: list[str] | None = None
    response_modalities: list[str] | None = None
    thinkingConfig: msgspec.Raw = ABSENT
    thinking_config: msgspec.Raw = ABSENT
    imageConfig: msgspec.Raw = ABSENT
    image_config: msgspec.Raw = ABSENT
    candidateCount: int | None = None


class Request(msgspec.Struct):
    """A GenerateContentRequest, or an EmbedContentRequest when `content` is there."""

    contents: list[Content] | Content | None = None
    content: Content | None = None
    systemInstruction: Content | None = None
    system_instruction: Content | None = None
    generationConfig: Config | None = None
    generation_config: Config | None = None
    cachedContent: str | None = None
    cached_content: str | None = None
    outputDimensionality: int | None = None
    output_dimensionality: int | None = None

    @property
    def config(self) -> Config:
        """The generation settings, empty if there are none."""
        return self.generationConfig or self.generation_config or _NO_CONFIG

    def turns(self) -> list[Content]:
        """Return the contents, the system instruction first."""
        system = self.systemInstruction or self.system_instruction
        contents = self.contents if isinstance(self.contents, list) else [self.contents] if self.contents else []
        found = [*contents, self.content] if self.content else contents
        return [system, *found] if system else list(found)

    def parts(self) -> list[Part]:
        """Return all parts of all turns."""
        found: list[Part] = []
        for turn in self.turns():
            parts = turn.parts
            found += parts if isinstance(parts, list) else [parts] if parts else []
        return found

    def user_text(self) -> str:
        """Return the text of the contents, without the system instruction."""
        turns = self.contents if isinstance(self.contents, list) else [self.contents] if self.contents else []
        texts: list[str] = []
        for turn in turns:
            parts = turn.parts
            for part in parts if isinstance(parts, list) else [parts] if parts else []:
                if part.text:
                    texts.append(part.text)
        return "\n".join(texts)


class Line(msgspec.Struct):
    """A line of an input file."""

    request: msgspec.Raw
    key: msgspec.Raw = msgspec.Raw(b"null")


_NO_CONFIG: Final = Config()
decode_line: Final = msgspec.json.Decoder(Line).decode
decode_request: Final = msgspec.json.Decoder(Request).decode


def number(value: int | str | None) -> int | None:
    """Read an int64, which proto-JSON writes as a string."""
    return None if value is None else int(value)


def either(camel: msgspec.Raw, snake: msgspec.Raw) -> bytes | None:
    """Return a field in whichever spelling it came, as JSON; None when it is absent or null."""
    for raw in (bytes(camel), bytes(snake)):
        if raw != b"null":
            return raw
    return None


def plain(raw: bytes | None) -> Any:
    """Decode a field that was kept raw."""
    return None if raw is None else msgspec.json.decode(raw)
