"""Dialects: what each language of requests and answers gives to the steps, and the words they share.

    a line       --check-->   Accepted: kind, tokens, size, key             | Rejected: what is wrong, where, the fix
    its request  --request--> Request: one view of what else is asked of it: images, limit, schema, beginning
    the line     --body_of--> the request as it goes out                    (longer, without a beginning, with files)
    a result     --answer-->  core.result.outcome.Answer                    usage --add_usage--> tokens by class

A dialect is a folder here whose `language` module gives the functions of `Dialect`; pure, and total over every byte
string a user or a provider may write. `dialects.spoken` finds it by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from batchdrop.core.money.usage import Usage
from batchdrop.core.provider.batch import BatchKind
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer
from batchdrop.core.result.result import Result

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
    """A line as a Gemini request. `key` and `request` are JSON, `wants` is the model the line named."""

    key: bytes
    request: bytes
    wants: str | None = None
    warnings: tuple[Caveat, ...] = ()


# ------------------------------------------------------------------------------------------------ the protocol
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


Unit = tuple[int, bytes, bytes]
"""A part of a request: number of its turn (-1: the instructions), role as JSON, bytes."""


class Request(Protocol):
    """One view of an accepted request, decoded once."""

    @property
    def wants_json(self) -> bool:
        """True when the answer must be JSON."""
        ...

    @property
    def schema(self) -> bytes:
        """The schema the answer must keep to, as written; empty without one."""
        ...

    @property
    def output_limit(self) -> int | None:
        """The most tokens the answer may have, None when the request does not say."""
        ...

    @property
    def asks_images(self) -> bool:
        """True when the answer shall hold images."""
        ...

    @property
    def image_bytes(self) -> int:
        """How large a row with the image will be, by the resolution asked for."""
        ...

    @property
    def units(self) -> tuple[Unit, ...]:
        """The parts in order, the instructions first; none when the request names a cache itself."""
        ...


class Dialect(Protocol):
    """The language of one kind of provider. A line is an accepted line of input unless something else is said."""

    def check(
        self, line: bytes, model: str, /, *, converted: bool
    ) -> Accepted | Rejected:
        """Return what any line asks for, or the first thing wrong with it; `converted`: written by a conversion."""
        ...

    def request(self, line: bytes, /) -> Request:
        """Return the view of a line's request."""
        ...

    def may_ask_images(self, line: bytes, /) -> bool:
        """Tell at a glance whether a line could ask for images; False is certain."""
        ...

    def may_name(self, line: bytes, /) -> bool:
        """Tell at a glance whether a line could name an object; False is certain."""
        ...

    def draws(self, model: str, /) -> bool:
        """Tell whether a model answers with images."""
        ...

    def draws_nothing(self, model: str, /) -> bool:
        """Tell whether a model is known to make no images."""
        ...

    def no_images(self, key: bytes, model: str, /) -> Rejected:
        """Refuse a line that asks a model for images which makes none."""
        ...

    def identify(self, line: bytes, number: int, /) -> InputLine:
        """Return what a row needs of a line."""
        ...

    def identify_all(self, lines: bytes, number: int, /) -> list[InputLine]:
        """Return what rows need of lines that follow each other, the first of which has that number."""
        ...

    def body_of(
        self, line: bytes, /, *, longer: bool, beginning: Any, files: Mapping[str, str]
    ) -> bytes:
        """Return the request of a line as it goes out."""
        ...

    def bodies_of(self, lines: bytes, number: int, /) -> list[tuple[int, bytes]]:
        """Return number and request of lines that follow each other, as they are."""
        ...

    def body_bytes(self, line: bytes, accepted: Accepted, /) -> int:
        """Return how long `body_of` makes a line as it is, without making it."""
        ...

    def answer(self, result: Result, line: InputLine, /) -> Answer:
        """Return what became of a line's request."""
        ...

    def add_usage(self, total: Usage, metadata: bytes | None, /) -> None:
        """Add the tokens an answer used to a total, by the classes that have a price."""
        ...
