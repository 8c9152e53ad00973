"""Batches: what a provider says of one, in words that are the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from batchdrop.core.limits import limit
from batchdrop.core.value import Value


class BatchKind(StrEnum):
    """Which of the provider's methods runs the requests of a shard."""

    GENERATE = "generate"
    EMBED = "embed"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model can be asked in batches; `said` is False when the provider does not tell."""

    batches: frozenset[BatchKind]
    said: bool = True


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


def _shortened(sentence: str) -> str:
    return sentence[: limit("named_message")]


class NamedLine(Value):
    """A line that a service objects to, stored with the shard: it refused the whole batch because of it."""

    position: int
    """Among the batch's lines as they were staged, from 1."""
    code: str
    message: Annotated[str, AfterValidator(_shortened)] = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a batch failed whole: what to do, the service's word and its sentence."""

    cause: Cause
    code: str
    message: str = ""
    lines: tuple[NamedLine, ...] = ()
    """Of `Cause.LINES`: the lines that are named, as many as the provider likes to tell; at least one."""


class Mark(Value):
    """Where an account's batches ended before an intent, stored with it: what the intent made can only lie behind."""

    at: datetime
    """By the service's clock."""
    newest: str = ""
    """The name of the newest batch; it may be deleted since."""


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
    """Names of its result files, as far as they are known; with a version of each, where they can still change."""
    failed: Failed | None = None
    requests_done: int | None = None
    """None: the service does not say."""

    @property
    def ran_nothing(self) -> bool:
        """True when it was accepted and then refused for want of room: nothing is paid, it is created again later."""
        return self.failed is not None and self.failed.cause is Cause.WAIT
