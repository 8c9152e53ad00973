"""Identity: what makes two uploads the same request, whatever they are called and whenever they came.

    content      sha256 over blocks of fixed size, chained: the same however many steps a planning took
    attached     the objects its lines name, as they were when planning looked at them
    team         who pays, and who may read the rows
    settings     the frozen recipe (the upload's own settings merged in), the metadata, the model at its provider

The content is what planning reads, so a file and its gzip are the same request. The name is no part of it.

    blocks  |------4 MiB------|------4 MiB------|--...
    step 1  =======================>|             stops at a line's end; whole blocks count
    step 2                    ======~~~~~~~~~~~>  reads again what of the open block was read
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec
from pydantic import Field

from batchdrop.core.limits import MIB
from batchdrop.core.value import Value

if TYPE_CHECKING:
    from hashlib import _Hash  # pyright: ignore[reportPrivateUsage]

BLOCK: Final = 4 * MIB
_VERSION: Final = "batchdrop.identity/1"
_RESERVED: Final = "goog-reserved-"
"""Names under which Google's copying tools note a file's times and owner (`gcloud storage rsync`, `cp -P`):
cloud.google.com/sdk/gcloud/reference/storage/rsync. They say nothing of what is asked.
"""
_MODULUS: Final = 2**256
WAITING: Final = 100
"""Jobs that an identity lists as waiting; those beyond look for themselves only."""


@dataclass(slots=True)
class Content:
    """A stream's checksum under way: whole blocks are in `chained`, which is all that the next step needs."""

    chained: str = ""
    end: int = 0
    """How many bytes of the stream are in `chained`."""
    _open: _Hash = field(default_factory=sha256)
    _size: int = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        view = memoryview(data)
        while view:
            part = view[: BLOCK - self._size]
            self._open.update(part)
            self._size += len(part)
            view = view[len(part) :]
            if self._size == BLOCK:
                self._close()

    def feed_from(self, place: int, data: bytes) -> None:
        """Take the stream's bytes from a place on; those that were taken before count once."""
        self.feed(data[max(self.end + self._size - place, 0) :])

    def whole(self) -> str:
        """Return the checksum of all that was fed."""
        return _hex(self.chained, self._open.hexdigest(), str(self.end + self._size))

    def _close(self) -> None:
        self.chained = _hex(self.chained, self._open.hexdigest())
        self.end += BLOCK
        self._open, self._size = sha256(), 0


def with_object(attached: str, uri: str, checksum: str, size: int) -> str:
    """Return the checksum of attached objects with one more: the same in whatever order they are met."""
    number = int(attached or "0", 16) + int(_hex(uri, checksum, str(size)), 16)
    return f"{number % _MODULUS:064x}"


def asked(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that a person or a program wrote to say something of the request."""
    return {
        name: value
        for name, value in metadata.items()
        if not name.lower().startswith(_RESERVED)
    }


def identity(
    content: str,
    attached: str,
    *,
    metadata: Mapping[str, str],
    team: str,
    recipe: str,
    model: str,
    form: str,
) -> str:
    """Return what is the same exactly for the same request.

    Args:
        content: The checksum of all lines.
        attached: The checksum of the objects they name.
        metadata: The upload's, as it was frozen.
        team: Whose it is.
        recipe: The digest of the frozen recipe.
        model: The model with its provider, `provider:model`.
        form: What the rows' form takes from the file: its dialect.
    """
    fields = {
        "version": _VERSION,
        "content": content,
        "attached": attached,
        "metadata": asked(metadata),
        "team": team,
        "recipe": recipe,
        "model": model,
        "form": form,
    }
    return sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()


def _hex(*parts: str) -> str:
    return sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class Claim(Value):
    """Which job answers a request, until when its rows are taken for the answer, and who waits for its end.

    Empty while no job has claimed the request.
    """

    schema_: str = Field(default="batchdrop.identity/1", alias="schema")
    job_id: str = ""
    until: datetime | None = None
    waiting: tuple[str, ...] = ()

    model_config = Value.model_config | {"populate_by_name": True}

    def taken_by(self, job_id: str, until: datetime) -> Claim:
        """A job answers the request from now on; those who wait go on waiting, for its end."""
        waiting = tuple(other for other in self.waiting if other != job_id)
        return self._with(job_id=job_id, until=until, waiting=waiting)

    def lives(self, now: datetime) -> bool:
        """True while the rows of the job that answered are taken for the answer."""
        return self.until is not None and now < self.until

    def lists(self, job_id: str) -> bool:
        """True when a job need not be listed as waiting: it is, or the list is full."""
        return job_id in self.waiting or len(self.waiting) >= WAITING

    def joined_by(self, job_id: str) -> Claim:
        """A job waits for the end of the one that answers."""
        return self._with(waiting=(*self.waiting, job_id))
