"""A request as the emulator reads it: only what decides about the answer, in either spelling.

proto-JSON allows camelCase and snake_case at every level, and the SDKs mix them. These shapes are decoded once per
row, straight from the input file's bytes, so they hold both spellings instead of rewriting the JSON first.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

ABSENT: Final = msgspec.Raw(b"null")
"""A Raw field cannot be optional otherwise (msgspec 0.22)."""


class Media(msgspec.Struct):
    """Inline or referenced media; of its bytes nothing is read here."""

    mimeType: str | None = None
    mime_type: str | None = None
    fileUri: str | None = None
    file_uri: str | None = None

    @property
    def uri(self) -> str:
        """The file's address, if it names one."""
        return self.fileUri or self.file_uri or ""

    @property
    def kind(self) -> str:
        """The modality, as usage metadata names it."""
        family, _, form = (self.mimeType or self.mime_type or "image/png").partition(
            "/"
        )
        if form == "pdf" or family == "text":
            return "DOCUMENT"
        return family.upper() if family in ("image", "audio", "video") else "DOCUMENT"


class Part(msgspec.Struct):
    """A part of a content."""

    text: str | None = None
    inlineData: Media | None = None
    inline_data: Media | None = None
    fileData: Media | None = None
    file_data: Media | None = None

    @property
    def media(self) -> Media | None:
        """The part's media, if it has any."""
        return self.inlineData or self.fileData or self.inline_data or self.file_data


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

    @property
    def system(self) -> Content | None:
        """The system instruction."""
        return self.systemInstruction or self.system_instruction

    @property
    def cache(self) -> str | None:
        """The name of the cached content."""
        return self.cachedContent or self.cached_content

    def parts(self) -> list[Part]:
        """Return the parts of the contents, without the system instruction."""
        contents = self.contents
        if type(contents) is list and len(contents) == 1:
            found = contents[0].parts
            return (
                found if type(found) is list else [found] if type(found) is Part else []
            )
        turns = (
            contents if isinstance(contents, list) else [contents] if contents else []
        )
        return [
            part
            for turn in (*turns, self.content)
            if turn is not None
            for part in parts_of(turn)
        ]

    def text(self) -> str:
        """Return the text of the contents."""
        return "\n".join([part.text for part in self.parts() if part.text])


class Line(msgspec.Struct):
    """A line of an input file."""

    request: msgspec.Raw
    key: msgspec.Raw = ABSENT


_NO_CONFIG: Final = Config()
decode_line: Final = msgspec.json.Decoder(Line).decode
decode_request: Final = msgspec.json.Decoder(Request).decode


def parts_of(turn: Content) -> list[Part]:
    """Return the parts of a turn."""
    parts = turn.parts
    return parts if isinstance(parts, list) else [parts] if parts else []


def number(value: int | str | None) -> int | None:
    """Read an int64, which proto-JSON may write as a string."""
    return None if value is None else int(value)


def either(camel: msgspec.Raw, snake: msgspec.Raw) -> bytes | None:
    """Return a field in whichever spelling it came, as JSON; None when it is absent or null."""
    for raw in (camel, snake):
        if raw is not ABSENT and (found := bytes(raw)) != b"null":
            return found
    return None


def plain(raw: bytes | None) -> dict[str, Any]:
    """Decode an object that was kept raw; anything else is empty."""
    if raw is None:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
