"""What a language gives to the steps. Whoever adds one writes a folder whose `language` module has these functions.

    Written   a language that users' lines may be in, and that rows are answered in          all of them
    Dialect   a language that a provider speaks                                              `known.spoken`

    a line       --check-->    Accepted: kind, tokens, size, key            | Rejected: what is wrong, where, the fix
    its request  --request-->  Request: one view of what else is asked of it: JSON, schema, limit
    a draft      --renderer--> a request                                    a request in the hub's words --from_hub--^
    the line     --body_of-->  the request as it goes out                   (longer, without a beginning, with files)
    a result     --answer-->   core.result.outcome.Answer                   usage --add_usage--> tokens by class
    a row        --said-->     what its answer says, neutrally; `reply` of the form the user wrote puts it in words

A line is one of the language's own form, as the user wrote it, or one that a conversion wrote (`converted`). All of it
is pure, and total over every byte string a user or a provider may write. What only some languages have is a protocol of
its own, None in a language without it: attachments, beginnings, images, media, models, plain answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from batchdrop.core.money.usage import Usage
from batchdrop.core.provider.batch import BatchKind, ModelInfo
from batchdrop.core.recipe.draft import Draft
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.result.inline import Inline
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer
from batchdrop.core.result.plain import Plain
from batchdrop.core.result.result import Result
from batchdrop.core.value import Failure
from batchdrop.dialects.hub import Reader
from batchdrop.dialects.line import Accepted, Json, LineForm, Rejected
from batchdrop.dialects.reply import Reply, Said


class Written(Protocol):
    """A language that lines of users may be in."""

    @property
    def FORMS(self) -> Mapping[LineForm, Reader]:  # noqa: N802 - a constant of a module
        """What reads the lines of each of its forms."""
        ...

    def reply(self, form: LineForm, row: Json, found: Reply, url: str, /) -> Json:
        """Return a row as the language's own API would have answered a line of that form, sent to that address."""
        ...


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


# ------------------------------------------------------------------------------------ what only some have
class Named(NamedTuple):
    """An object a request names: where, its address and the type the request gives it."""

    pointer: str
    uri: str
    mime_type: str


class Attachments(Protocol):
    """Objects that requests name and that become files of the provider."""

    def named(self, body: bytes, /) -> list[Named]:
        """Return the objects a request names and that are attached to it, in order; pointers begin at the request."""
        ...

    def named_by_line(self, line: bytes, /) -> list[Named]:
        """Return the same of a line; pointers begin at the line."""
        ...


class Images(Protocol):
    """Images as answers."""

    def draws(self, model: str, /) -> bool:
        """Tell whether a model answers with images."""
        ...

    def draws_nothing(self, model: str, /) -> bool:
        """Tell whether a model is known to make no images."""
        ...

    def asked(self, line: bytes, /) -> bool:
        """Tell whether a line asks for images."""
        ...

    def row_bytes(self, line: bytes, /) -> int:
        """Return how large the row of a line's image will be."""
        ...

    def no_images(self, key: bytes, model: str, /) -> Rejected:
        """Refuse a line that asks a model for images which makes none."""
        ...


class PlainAnswers(Protocol):
    """Answers of the usual shape, read many at a time."""

    def plain(
        self, bodies: Sequence[bytes | None], lines: Sequence[InputLine], /
    ) -> list[Plain | None]:
        """Return the plain answer in each body, None where there is none: `answer` tells what it is.

        Bodies were never decoded: a plain one is proven to be UTF-8 and JSON that all readers read alike.
        """
        ...


class Media(Protocol):
    """Binary parts of answers."""

    def taken_out(self, response: bytes, /) -> tuple[Json, list[tuple[Json, Inline]]]:
        """Return a decoded response and its binary parts, each with the object in it that held the bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Cut:
    """A beginning: how many units long, and how many requests have it."""

    depth: int
    requests: int


class Watch(Protocol):
    """Counts how far lines agree with the first one."""

    @property
    def counts(self) -> list[int] | None:
        """Lines by the depth to which they agree; None once there is nothing to share."""
        ...

    def see(self, line: bytes, /) -> None:
        """Count one accepted line."""
        ...

    def best(self) -> Cut | None:
        """Return the beginning that spares the most bytes, at least two requests having it."""
        ...

    def characters(self, cut: Cut, /) -> int | None:
        """Return about how many characters a beginning has; None when a part names a file."""
        ...


class Beginning(Protocol):
    """A beginning that is kept in a cache."""

    def spared(self, body: bytes, /) -> bytes:
        """Return the request as it is sent: what follows the beginning, or itself when it has another one."""
        ...


class Beginnings(Protocol):
    """What requests of a job have in common from their start, kept once in a cache."""

    def watch(
        self,
        least_bytes: int,
        counts: Sequence[int] | None = (),
        pattern: bytes | None = None,
        /,
    ) -> Watch:
        """Return a counter; see `Watch` of the language for what it goes on from."""
        ...

    def beginning(self, line: bytes, depth: int, cache: str, /) -> Beginning:
        """Return the beginning of a line, kept under a cache's name."""
        ...

    def cache_body(self, line: bytes, depth: int, /) -> bytes:
        """Return the members of a cached content that holds a line's beginning: JSON without its braces."""
        ...

    def countable(self, line: bytes, depth: int, /) -> bytes:
        """Return a request that asks little more than a line's beginning, for counting its tokens."""
        ...


class Models(Protocol):
    """What the models of the language can be asked in batches."""

    @property
    def DEFAULT(self) -> str:  # noqa: N802 - a constant of a module
        """A model to begin with."""
        ...

    def table(self, model: str, /) -> ModelInfo | None:
        """Return what a model could do when this version was made; None when it was not there."""
        ...

    def cannot(self, model: str, kind: BatchKind, /) -> Failure:
        """Say that a model cannot run requests of a kind in batches, and which can."""
        ...

    def foreign(self, model: str, /) -> Failure | None:
        """Say that a model's name is one of another service."""
        ...


# ------------------------------------------------------------------------------------------- what all have
class Dialect(Protocol):
    """A language that a provider speaks. A line is an accepted line of input unless something else is said."""

    @property
    def form(self) -> str:
        """The form of its own lines, which are taken as they are written."""
        ...

    @property
    def models(self) -> Models | None:
        """What its models can be asked; None where nothing is known of them but what the provider says."""
        ...

    @property
    def attachments(self) -> Attachments | None:
        """Objects that requests name; None when no request can."""
        ...

    @property
    def beginnings(self) -> Beginnings | None:
        """Beginnings kept in caches of their own; None when there are no such caches."""
        ...

    @property
    def images(self) -> Images | None:
        """Images as answers; None when no model makes them."""
        ...

    @property
    def media(self) -> Media | None:
        """Binary parts of answers; None when answers are text."""
        ...

    @property
    def plain_answers(self) -> PlainAnswers | None:
        """Answers of the usual shape, many at a time; None: each is judged by itself."""
        ...

    # ------------------------------------------------------------------------------------------ lines
    def check(
        self, line: bytes, model: str, /, *, converted: bool
    ) -> Accepted | Rejected:
        """Return what any line asks for, or the first thing wrong with it; `converted`: written by a conversion."""
        ...

    def request(self, line: bytes, /) -> Request:
        """Return the view of a line's request."""
        ...

    def may_name(self, line: bytes, /) -> bool:
        """Tell at a glance whether a line could name an object; False is certain."""
        ...

    def addresses(self, line: bytes, /) -> list[tuple[str, str]]:
        """Return pointer and text of every address of a bucket's object anywhere in a line, attached or not."""
        ...

    def identify(self, line: bytes, number: int, /) -> InputLine:
        """Return what a row needs of a line."""
        ...

    def identify_all(self, lines: bytes, number: int, /) -> list[InputLine]:
        """Return what rows need of lines that follow each other, the first of which has that number."""
        ...

    # --------------------------------------------------------------------------------------- requests
    def renderer(self, recipe: Recipe, /) -> Callable[[Draft], bytes]:
        """Return what writes a recipe's drafts as requests; what is the same for all is written once."""
        ...

    def from_hub(self, request: Json, /) -> Json:
        """Return a request in the hub's words in the language's own; `hub.Refused` when it has none for them."""
        ...

    def body_of(
        self,
        line: bytes,
        /,
        *,
        longer: bool = False,
        beginning: Beginning | None = None,
        files: Mapping[str, str] = ...,
    ) -> bytes:
        """Return the request of a line as it goes out: with room for a longer answer, less what a `Beginning` holds."""
        ...

    def bodies_of(self, lines: bytes, number: int, /) -> list[tuple[int, bytes]]:
        """Return number and request of lines that follow each other, as they are."""
        ...

    def body_bytes(self, line: bytes, accepted: Accepted, /) -> int:
        """Return how long `body_of` makes a line as it is, without making it."""
        ...

    # ---------------------------------------------------------------------------------------- answers
    def answer(self, result: Result, line: InputLine, /) -> Answer:
        """Return what became of a line's request."""
        ...

    def add_usage(self, total: Usage, metadata: bytes | None, /) -> None:
        """Add the tokens an answer used to a total, by the classes that have a price."""
        ...

    def said(self, row: Json, digest: str, /) -> Said:
        """Return what the answer in a row says; ids that it lacks begin with the digest."""
        ...
