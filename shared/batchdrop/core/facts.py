"""Facts: what differs between services in meaning, as data that any step may ask."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Staging(StrEnum):
    """Where a batch's lines lie before it is created."""

    FILE = "file"
    """In a file of the service (`Provider.inputs`)."""
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
    """Whether a batch carries a name of ours; without one, `find` proves by the ids in its results, and whose a batch
    is stands in a document of its own."""
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
    """Of what lies in a file of the service; infinite where it keeps none."""
    stuck_after: float
    """From its creation until a batch is taken for one that will never end: queue, run and 2 h."""
    body_rate: float = math.inf
    """Bytes a second that a `create` sends of its body at least: its time limit grows with the body."""
    proof_seconds: float = 0
    """Between two looks that both show no batch of an intent, before its create is taken for lost."""
    settle_seconds: float = 0
    """After its end, how long a batch's results may still change: it is read when two looks show the same, or then."""
    settle_apart: float = 0
    """Between those two looks."""
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    """Enqueued tokens by the beginning of a model's name; the longest that fits rules."""
    other_tokens: int = 1 << 62
    """For a model that `tokens` does not name."""

    def tokens_of(self, model: str) -> int:
        """Return how many input tokens of a model may be enqueued."""
        known = [prefix for prefix in self.tokens if model.startswith(prefix)]
        return self.tokens[max(known, key=len)] if known else self.other_tokens

    def serves(self, model: str) -> bool:
        """Tell whether a bare model name is one of this service's."""
        return any(re.fullmatch(pattern, model) for pattern in self.models)
