"""What a line asks for: checked by the language it is in, then against its job and its stack.

the language   is it a request, of what kind and size, with how many tokens
the job        of the same kind as the lines before it; on a model that can draw, if it asks for images
the stack      every address it names is allowed, and every object it attaches is there
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from batchdrop.core.codes import Code
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.job import Job
from batchdrop.core.wire import id_bytes
from batchdrop.dialects.line import Accepted, Rejected
from batchdrop.ports import BatchKind, Envelope
from batchdrop.steps.attach import Looked
from batchdrop.steps.context import Context

_NONE: Final[Mapping[str, int]] = {}


class Asked(NamedTuple):
    """What an accepted line adds to the shard it goes into."""

    key: bytes
    """The user's key as JSON."""
    size: int
    """Bytes of the provider's line."""
    tokens: int
    output_bytes: int
    """Expected of its row, when the model answers with images."""
    objects: Mapping[str, int]
    """The objects it attaches and their bytes."""


class Checks:
    """Checks the lines of one job; `kind` is that of the lines accepted so far."""

    def __init__(self, context: Context[SubmitSettings], job: Job) -> None:
        """Begin where the job's cursor stands."""
        self._provider = context.provider_of(job)
        self._language = language = context.language_of(job)
        images = language.images

        self._check = language.check
        self._body_bytes = language.body_bytes
        self._model = job.model
        self._converted = job.converted
        self._drawn = images if images and images.draws(job.model) else None
        self._undrawn = images if images and images.draws_nothing(job.model) else None
        self._too_long = _too_long(context.settings.max_line_bytes)

        self.looked = Looked(context, job, job.plan.attached)
        self.kind = job.plan.batch_kind
        self._envelope = self._envelope_of(self.kind or BatchKind.GENERATE)

    def ask(self, raw: bytes | None, number: int) -> Asked | Rejected:
        """Return what a line asks for, or the first thing wrong with it; None is a line over the limit."""
        if raw is None:
            return self._too_long

        accepted = self._check(raw, self._model, converted=self._converted)
        if isinstance(accepted, Rejected):
            return accepted

        objects = self._against_job(raw, accepted) or self._objects(raw, accepted)
        if isinstance(objects, Rejected):
            return objects
        return self._measured(raw, number, accepted, objects)

    def _against_job(self, raw: bytes, accepted: Accepted) -> Rejected | None:
        """Say why a request cannot run beside the lines before it, or on the job's model."""
        if self.kind and accepted.kind != self.kind:
            code = Code.MIXED_KINDS
            return rejected(accepted.key, code, "/request", code.sentence)

        if self._undrawn and self._undrawn.asked(raw):
            return self._undrawn.no_images(accepted.key, self._model)
        return None

    def _objects(self, raw: bytes, accepted: Accepted) -> Mapping[str, int] | Rejected:
        """Return the objects a line attaches, or what is wrong with an address in it."""
        if accepted.media and self._language.may_name(raw):
            return self.looked.at(raw, accepted.key)
        return _NONE

    def _measured(
        self, raw: bytes, number: int, accepted: Accepted, objects: Mapping[str, int]
    ) -> Asked:
        """Return what a request adds to its shard; the first one says what kind the job is of."""
        if accepted.kind != self.kind:
            self.kind = accepted.kind
            self._envelope = self._envelope_of(accepted.kind)

        body = self._body_bytes(raw, accepted)
        size = self._envelope.size(id_bytes(number), body)
        output_bytes = self._drawn.row_bytes(raw) if self._drawn else 0
        return Asked(accepted.key, size, accepted.tokens, output_bytes, objects)

    def _envelope_of(self, kind: str) -> Envelope:
        return self._provider.envelope(self._model, BatchKind(kind))


def _too_long(most: int) -> Rejected:
    message = f"The line is longer than {most} bytes."
    return rejected(b"null", Code.LINE_TOO_LONG, "", message)


def rejected(key: bytes, code: Code, pointer: str, message: str) -> Rejected:
    """Refuse a line for a reason that has one way to mend it."""
    return Rejected(key, code, pointer, message, code.fix)
