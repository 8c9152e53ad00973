"""Provider: a service that runs batches. This page is all that a new one has to write.

    facts      what differs in meaning, as data: limits, units, windows, how a batch is staged, what is known by name
    envelope   what differs in shape: the service's line around a request, and around its answer
    batches    the calls: stage -> create, or find what a lost create made -> get -> results; list, cancel, delete
    optional   files for attachments, caches of a shared beginning, a count of tokens, a synchronous call (`optional`)

The language of requests and answers is not the service's: it is a dialect's (`batchdrop.dialects`).

What a call raises says what the caller may do: TransientError (again later), CapacityError (again later, the service
is full), PermanentError (never again; its code is PROVIDER_<the service's word>). `create` and `find` return their
refusals instead, because there the difference between "not done" and "perhaps done" is money.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from batchdrop.core.result.result import Result
from batchdrop.ports.optional import Ask, BatchKind, Caches, Files, Tokens

JSONL: Final = "application/jsonl"
"""The type of a batch's input at the provider."""


# ----------------------------------------------------------------------------------------------- facts
class Staging(StrEnum):
    """Where a batch's lines lie before it is created."""

    FILE = "file"
    """In a file of the service."""
    OBJECT = "object"
    """In a work object that the service reads."""
    STREAM = "stream"
    """In a work object that `create` sends as its body."""


class Unit(StrEnum):
    """What a provider counts when it says that it is full."""

    TOKENS = "tokens"
    """Input tokens of one model, in all batches that have not ended."""
    REQUESTS = "requests"
    """Requests of all models, in all batches that have not ended."""
    BATCHES = "batches"
    """Batches that have not ended, or creates an hour."""
    BYTES = "bytes"
    """Bytes of the account's files."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a service changes in its language; it hands this to the dialect."""

    version: str = ""
    """Of the language, where a service pins one."""
    removed: frozenset[str] = frozenset()
    """Fields of a request the service does not take."""
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    """Fields it takes by another name."""
    schemes: frozenset[str] = frozenset()
    """Schemes of addresses that it reads by itself; any other object is uploaded first."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a service. Sizes are bytes, times seconds; a setting of the same meaning comes first."""

    kind: str
    """The service: the name of its folder in `batchdrop.providers`."""
    dialect: str
    """The language of its requests and answers: the name of a folder in `batchdrop.dialects`."""
    models: tuple[str, ...]
    """Regular expressions of the model names that go to this service when nothing else is said."""
    staging: Staging
    unit: Unit
    """What a model's share is counted in."""
    names_batches: bool
    """Whether a batch carries a name of ours; without one, `find` proves by the ids in its results."""
    id_pattern: str
    """A regular expression of the line ids it takes."""
    max_batch_requests: int
    max_batch_bytes: int
    max_file_bytes: int
    """Of one attachment."""
    max_batches: int
    """That have not ended, of one account."""
    max_stored_bytes: int
    """Of all files of one account."""
    file_life: float
    stuck_after: float
    """From its creation until a batch is taken for one that will never end: queue, run and 2 h."""
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    """Enqueued tokens by the beginning of a model's name; the longest that fits rules."""
    other_tokens: int = 1 << 62
    """For a model that `tokens` does not name."""
    profile: Profile = Profile()

    def tokens_of(self, model: str) -> int:
        """Return how many input tokens of a model may be enqueued."""
        known = [prefix for prefix in self.tokens if model.startswith(prefix)]
        return self.tokens[max(known, key=len)] if known else self.other_tokens

    def serves(self, model: str) -> bool:
        """Tell whether a bare model name is one of this service's."""
        return any(re.fullmatch(pattern, model) for pattern in self.models)


# -------------------------------------------------------------------------------------------- envelope
class Envelope(Protocol):
    """The line a service wants around each request of one model and kind, and what it writes around each answer."""

    def line(self, id: bytes, body: bytes) -> bytes:
        """Return the service's line for a request, newline included."""
        ...

    def size(self, id_bytes: int, body_bytes: int) -> int:
        """Return how long `line` makes it, without making it."""
        ...

    def read(self, line: bytes) -> tuple[str, Result] | None:
        """Return the id and the result of a line, or None when nobody can tell whose it is. It never raises."""
        ...


# --------------------------------------------------------------------------------------------- batches
class BatchState(StrEnum):
    """What the provider says of a batch; UNKNOWN stands for every word we do not know (P9)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"

    @property
    def terminal(self) -> bool:
        """True when the provider will not change it any more; UNKNOWN is never terminal."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        BatchState.SUCCEEDED,
        BatchState.PARTIALLY_SUCCEEDED,
        BatchState.FAILED,
        BatchState.CANCELLED,
        BatchState.EXPIRED,
    }
)


class Cause(StrEnum):
    """Why a batch failed whole, by what is to be done."""

    LINES = "lines"
    """The service names the lines it objects to: they become error rows, the rest goes again."""
    WAIT = "wait"
    """It had no room after all and ran nothing: the same file goes again later."""
    POISON = "poison"
    """Something in it, or nobody knows what: halves go again."""
    OURS = "ours"
    """A line that we made wrongly: nothing goes again, and somebody is told."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a batch failed whole: what to do, the service's word and its sentence."""

    cause: Cause
    code: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Staged:
    """Lines that lie ready for `create`: `reference` names them there until `expires_at`."""

    reference: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What is known, and stored, before a batch is created; enough to find it again."""

    name: str
    """What the batch is called where a service names batches: of one shard, the same for each attempt."""
    model: str
    kind: BatchKind
    staged: str
    """`Staged.reference`."""
    requests: int
    attempt: int = 1
    timeout_seconds: float = 60
    """After which the create call is in doubt."""
    past: frozenset[str] = frozenset()
    """Batches of the shard that ended without running: `find` never returns them."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch at the provider as last seen; `raw_state` is the provider's own word."""

    name: str
    """The service's name of it."""
    display_name: str
    """The name we gave it, "" where the service keeps none."""
    model: str
    state: BatchState
    raw_state: str
    created_at: datetime
    ended_at: datetime | None = None
    parts: tuple[str, ...] = ()
    """Names of its result files, as far as they are known."""
    failed: Failed | None = None
    requests_done: int | None = None
    """None: the service does not say."""

    @property
    def ran_nothing(self) -> bool:
        """True when it was accepted and then refused for want of room: nothing is paid, it is created again later."""
        return self.failed is not None and self.failed.cause is Cause.WAIT


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was created, and nothing will be by asking again."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Nothing was created, for now.

    `unit` is what the service has no more of; None: it cannot be reached, or does not let us in until a person acts.
    """

    unit: Unit | None
    code: str
    message: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether a batch was created cannot be told: never ask again before `find` has said so."""

    code: str


Created = Batch | Refused | Busy | Unknown


class Sight(StrEnum):
    """What a look for the batch of an intent has shown."""

    OURS = "ours"
    """These batches are ours, oldest first."""
    NONE = "none"
    """There is none; it may still appear until the quarantine is over."""
    IN_DOUBT = "in doubt"
    """These may be ours; only time can tell."""
    COULD_NOT_LOOK = "could not look"
    """Not everything was seen: this is not "none"."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look for the batch of an intent has shown, and the batches it is about."""

    sight: Sight
    batches: tuple[Batch, ...] = ()
    code: str = ""
    """Why it could not look."""


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One page of the account's batches."""

    batches: tuple[Batch, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a batch's results, to be read once; a broken transfer raises TransientError, never ends early."""

    name: str
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model can be asked in batches; `said` is False when the provider does not tell."""

    batches: frozenset[BatchKind]
    said: bool = True


class Batches(Protocol):
    """The calls every service has. `model` is the service's own name of it."""

    def account(self) -> str:
        """Return a fingerprint of the account in use; with another one, what this one made may be out of reach."""
        ...

    def model_info(self, model: str) -> ModelInfo | None:
        """Return what a model can do, or None when the provider does not have it."""
        ...

    def stage(self, chunks: Iterable[bytes], *, size: int, name: str) -> Staged:
        """Lay exactly `size` bytes ready; PermanentError SIZE_MISMATCH when the chunks have another length."""
        ...

    def create(self, intent: Intent) -> Created:
        """Send one create call, never retried. Not idempotent: only after the intent was stored. It never raises."""
        ...

    def find(self, intent: Intent, over: Callable[[], bool]) -> Found:
        """Look for what a create made whose answer was lost; stop, not having seen all, when time is `over`."""
        ...

    def get(self, name: str) -> Batch | None:
        """Return the batch, or None when the provider does not know it."""
        ...

    def list(self, page_token: str | None = None) -> BatchPage:
        """Return one page of the account's batches, of others too; a page that cannot be read whole raises."""
        ...

    def cancel(self, name: str) -> None:
        """Ask for cancellation; the state changes later. No error when it is terminal or gone."""
        ...

    def delete(self, name: str) -> None:
        """Delete the batch; no error when it is gone, or when the service cannot."""
        ...

    def results(self, batch: Batch) -> Iterator[Part]:
        """Yield the files of an ended batch's results, each to be read before the next."""
        ...


@dataclass(frozen=True, slots=True)
class Provider:
    """One configured account of a service, as the steps see it; what it does not have is None."""

    facts: Facts
    envelope: Callable[[str, BatchKind], Envelope]
    """The envelope for a model and kind."""
    batches: Batches
    files: Files | None = None
    caches: Caches | None = None
    tokens: Tokens | None = None
    ask: Ask | None = None
