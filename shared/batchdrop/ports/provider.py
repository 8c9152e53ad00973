"""Provider: a service that runs batches. This page is all that a new one has to write.

    facts      what differs in meaning, as data: limits, units, windows, how a batch is staged, what is known by name
    envelope   what differs in shape: the service's line around a request, and around its answer
    batches    the calls: mark -> create, or find what a lost create made -> get -> results; list, cancel, delete
    optional   inputs (files that hold a batch's lines), files for attachments, caches of a shared beginning, a count of
               tokens, a synchronous call (`optional`)

    facts.staging    who lays the lines ready      what `create` gets
    FILE             `inputs.stage`                the reference that returned
    OBJECT           the step, once, in WORK       gs://<work bucket>/<name>, which the service reads
    STREAM           the step, once, in WORK       the same, which `create` reads by the Objects port and sends

    facts.names_batches    what `find` goes by
    true                   `intent.name`
    false                  after `intent.mark`, with `intent.requests`; ended, its first id begins with `intent.wire`

The language of requests and answers is not the service's: it is a dialect's (`batchdrop.dialects`).

What a call raises says what the caller may do: TransientError (again later), CapacityError (again later, the service
is full), PermanentError (never again; its code is PROVIDER_<the service's word>). `create` and `find` return their
refusals instead, because there the difference between "not done" and "perhaps done" is money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from batchdrop.core.facts import Facts, Unit
from batchdrop.core.provider.batch import Batch, BatchKind, Mark, ModelInfo
from batchdrop.core.result.result import Result
from batchdrop.ports.optional import Ask, Caches, Files, Inputs, Tokens

JSONL: Final = "application/jsonl"
"""The type of a batch's input at the provider."""


# -------------------------------------------------------------------------------------------- envelope
Bodies = Callable[[Sequence[bytes], Sequence[bytes]], list[bytes | None]]
"""Tells what lines hold by their two ends: for each line and the id expected in it the body, None when it is no such
line. What it returns is the body if that is one JSON value; a line it does not tell, `Envelope.read` may."""


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
@dataclass(frozen=True, slots=True)
class Intent:
    """What is known, and stored, before a batch is created; enough to find it again."""

    name: str
    """What the batch is called where a service names batches: of one shard, the same for each attempt."""
    model: str
    kind: BatchKind
    staged: str
    """`Staged.reference`, or the address of the work object."""
    requests: int
    wire: str = ""
    """What the ids of its lines begin with."""
    mark: Mark | None = None
    """What `mark` said before the intent; None: all batches may be the one, whenever they were made."""
    attempt: int = 1
    timeout_seconds: float = 60
    """After which the create call is in doubt."""
    past: frozenset[str] = frozenset()
    """Batches of the shard that ended without running: `find` never returns them."""


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
    """These may be ours; only their end can tell. Those that are known to be another shard's do not count."""
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


class Batches(Protocol):
    """The calls every service has. `model` is the service's own name of it."""

    def account(self) -> str:
        """Return a fingerprint of the account in use; with another one, what this one made may be out of reach."""
        ...

    def model_info(self, model: str) -> ModelInfo | None:
        """Return what a model can do, or None when the provider does not have it."""
        ...

    def mark(self) -> Mark | None:
        """Say where the account's batches end now, for `find`; None where a batch is found without it, with no call."""
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
    inputs: Inputs | None = None
    files: Files | None = None
    caches: Caches | None = None
    tokens: Tokens | None = None
    ask: Ask | None = None
    bodies: Bodies | None = None
    """Tells lines that come in order, many at once; None where a line's ends do not."""
