"""Lines of users: the forms they come in, and what checking or translating one finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from batchdrop.core.provider.batch import BatchKind

Json = dict[str, Any]
"""A decoded JSON object of a foreign API; its shape is what the tables of this package are about."""


class LineForm(StrEnum):
    """What the lines of a file look like."""

    GEMINI = "gemini"
    """`{"key", "request"}`, as the Gemini Batch API reads it."""
    GEMINI_BARE = "gemini-bare"
    """A GenerateContentRequest or EmbedContentRequest a line, without an envelope; a `key` beside it is kept."""
    GEMINI_BODY = "gemini-body"
    """`{"custom_id", "method", "url", "body"}` with a Gemini request as the body."""
    OPENAI = "openai"
    """`{"custom_id", "method", "url", "body"}` of OpenAI: chat completions, responses, embeddings."""
    ANTHROPIC = "anthropic"
    """`{"custom_id", "params"}` of Anthropic's message batches."""
    RECORDS = "records"
    """Any other JSON object: data for a recipe, not a request."""

    @property
    def key(self) -> str:
        """The member of a line that holds the user's key."""
        return "custom_id" if self in _POSTED else "key"


_POSTED: Final = (LineForm.OPENAI, LineForm.ANTHROPIC, LineForm.GEMINI_BODY)


class Caution(StrEnum):
    """What a warning is about."""

    IGNORED = "IGNORED"
    """The field has no equivalent and is left out; the answer's meaning does not hang on it."""
    APPROXIMATED = "APPROXIMATED"
    """The nearest thing Gemini has was taken."""
    REORDERED = "REORDERED"
    """A system message stood between others; system text comes first with Gemini."""
    REMOTE_MEDIA = "REMOTE_MEDIA"
    """The service fetches the address when it runs the batch; it must be reachable until then."""
    TOKENS_INCLUDE_THOUGHTS = "TOKENS_INCLUDE_THOUGHTS"
    """A small output limit, which Gemini's thinking models share between thoughts and answer."""


@dataclass(frozen=True, slots=True)
class Caveat:
    """One thing the translation could not keep exactly; `pointer` is an RFC 6901 pointer into the user's line."""

    code: Caution
    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Translated:
    """A line as a request of another language. `key` and `request` are JSON, `wants` is the model the line named."""

    key: bytes
    request: bytes
    wants: str | None = None
    warnings: tuple[Caveat, ...] = ()


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A line that can run: its key as JSON, its kind, and an estimate of its prompt's tokens."""

    kind: BatchKind
    key: bytes
    tokens: int
    media: bool = True
    """False when all parts are known to be text."""
    request_bytes: int | None = None
    """How long its request is, when checking showed it by the way."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is refused: what is wrong, where, and what would mend it."""

    key: bytes
    code: str
    pointer: str
    message: str
    fix: str
