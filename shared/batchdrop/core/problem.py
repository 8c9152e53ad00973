"""The stable codes of rejections, each with what a person can do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """Why a line was refused."""

    NOT_UTF8 = "NOT_UTF8"
    NOT_JSON = "NOT_JSON"
    NOT_OBJECT = "NOT_OBJECT"
    DUPLICATE_NAME = "DUPLICATE_NAME"
    TOO_DEEP = "TOO_DEEP"
    BAD_NUMBER = "BAD_NUMBER"
    LONE_SURROGATE = "LONE_SURROGATE"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    MISPLACED_FIELD = "MISPLACED_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    BAD_ENUM = "BAD_ENUM"
    EMPTY = "EMPTY"
    PART_NOT_ONE = "PART_NOT_ONE"
    BAD_BASE64 = "BAD_BASE64"
    BAD_URI = "BAD_URI"
    CACHE_CONFLICT = "CACHE_CONFLICT"
    SCHEMA_CONFLICT = "SCHEMA_CONFLICT"
    BAD_SCHEMA = "BAD_SCHEMA"
    RAGGED_RECORD = "RAGGED_RECORD"
    BAD_QUOTES = "BAD_QUOTES"
    MODEL_MISMATCH = "MODEL_MISMATCH"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    LINE_TOO_LONG = "LINE_TOO_LONG"
    TOO_COSTLY = "TOO_COSTLY"
    MIXED_KINDS = "MIXED_KINDS"
    NO_EQUIVALENT = "NO_EQUIVALENT"
    DIALECT_MIXED = "DIALECT_MIXED"
    ATTACHMENT_FORBIDDEN = "ATTACHMENT_FORBIDDEN"
    ATTACHMENT_MISSING = "ATTACHMENT_MISSING"
    ATTACHMENT_SIZE = "ATTACHMENT_SIZE"


FIXES: Final = {
    Code.NOT_UTF8: "Save the file as UTF-8.",
    Code.NOT_JSON: "Write one JSON object on one line.",
    Code.NOT_OBJECT: 'Write {"key": …, "request": {…}}.',
    Code.DUPLICATE_NAME: "Keep one of the two; which one counts differs from reader to reader.",
    Code.TOO_DEEP: "Flatten the value.",
    Code.BAD_NUMBER: "JSON has no NaN or Infinity; write numbers a double can hold.",
    Code.LONE_SURROGATE: "Write the character whole: both halves of the pair, or the character itself.",
    Code.MISSING_FIELD: "Add the field.",
    Code.UNKNOWN_FIELD: "Remove the field or correct its name.",
    Code.MISPLACED_FIELD: "Move the field to where the sentence says.",
    Code.WRONG_TYPE: "Write a value of the named type.",
    Code.OUT_OF_RANGE: "Write a value within the range.",
    Code.BAD_ENUM: "Use one of the words the Gemini API documents for this field.",
    Code.EMPTY: "Put something in, or remove the field.",
    Code.PART_NOT_ONE: "Give each part exactly one of text, inlineData, fileData, functionCall, functionResponse.",
    Code.BAD_BASE64: "Encode the bytes as standard or URL-safe base64, without line breaks.",
    Code.BAD_URI: "Use the uri of an uploaded file (https://…/files/…), or an https or gs address.",
    Code.CACHE_CONFLICT: "Put systemInstruction, tools and toolConfig into the cached content instead.",
    Code.SCHEMA_CONFLICT: "Keep one schema, and set responseMimeType to application/json.",
    Code.BAD_SCHEMA: "Write the schema as the Gemini API documents it.",
    Code.RAGGED_RECORD: "Give the record as many cells as the header has; quote cells with the delimiter in them.",
    Code.BAD_QUOTES: "Close the quote; write a quote inside a quoted cell twice.",
    Code.MODEL_MISMATCH: "Remove the field; a batch has one model, set for the upload.",
    Code.NOT_SUPPORTED: "Remove the field; the Gemini Developer API has no batch requests with it.",
    Code.LINE_TOO_LONG: "Put large media in files and refer to them by fileData.",
    Code.TOO_COSTLY: "Make it smaller or simpler: fewer values, fewer turns of loops, less text put together.",
    Code.MIXED_KINDS: "Upload embedding requests and generation requests as two files.",
    Code.NO_EQUIVALENT: "Remove the field, or write the request for Gemini.",
    Code.DIALECT_MIXED: "Upload lines of different forms as different files.",
    Code.ATTACHMENT_FORBIDDEN: "Put the object into the input bucket, or name its bucket in the stack's settings.",
    Code.ATTACHMENT_MISSING: "Upload the object first, or correct its name.",
    Code.ATTACHMENT_SIZE: "Attach an object that is not empty and not over 2 GB.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a line; `pointer` is an RFC 6901 JSON pointer into it."""

    code: Code
    pointer: str
    message: str
    fix: str = ""

    def advice(self) -> str:
        """Return how to mend it."""
        return self.fix or FIXES[self.code]
