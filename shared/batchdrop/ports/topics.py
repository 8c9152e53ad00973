"""Topics: messages published once, delivered at least once."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Topic(StrEnum):
    """Our topics; the broker pushes all but the last to a function, users subscribe to that."""

    UPLOADS = "uploads"
    SHARDS = "shards"
    BATCHES_FINISHED = "batches-finished"
    LOOKS = "looks"
    JOBS_COMPLETED = "jobs-completed"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message the broker gave up on; `topic` is where it came from."""

    topic: Topic
    message_id: str
    published_at: datetime
    data: bytes
    attributes: Mapping[str, str]


class Topics(Protocol):
    """A broker with at-least-once push, retry and dead letters."""

    def publish(
        self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None
    ) -> str:
        """Return the message id once the broker has stored the message; TransientError otherwise."""
        ...

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """List dead letters of every topic without consuming them."""
        ...

    def replay(self) -> Generator[DeadLetter]:
        """Publish every dead letter again on its own topic and remove it; yield each when that is done.

        None is lost; one is delivered twice only if removing it fails. What was not reached stays a dead letter.
        """
        ...
