"""Errors are named by what the caller must do next.

    BatchdropError
    |-- PermanentError        report it, acknowledge: no repetition can help
    |-- TransientError        let the delivery be repeated: time can heal it
    |-- UnknownOutcomeError   never repeat: reconcile first, the effect may have happened
    |-- LeaseLostError        acknowledge: another worker owns the record now
    |-- ConfigurationError    fail at start, or deliver again: a person must mend something first
    |-- CapacityError         hold the model off, wait in the queue (the provider said 429)
    `-- PreconditionError     a compare-and-set lost: re-read and apply the pure transition again
        |-- ObjectExistsError      an object of that name or another generation is there
        `-- ConflictError          a record has another version

SDK errors are translated once, in the adapter. A bad request line is data, not an exception.
"""

from __future__ import annotations

from typing import ClassVar

from batchdrop.core.codes import Code


class BatchdropError(Exception):
    """Base of every error of ours; `code` is stable, `sentence` is what a person can act on."""

    default_code: ClassVar[Code] = Code.BATCHDROP_ERROR

    def __init__(self, sentence: str | Code = "", *, code: str | None = None) -> None:
        """Keep the sentence (never content, keys or secrets) and the stable code.

        Args:
            sentence: What happened here; or a code alone, whose own sentence says all there is to say.
            code: Of a sentence that says more than the code's own.
        """
        if isinstance(sentence, Code):
            code, sentence = sentence, sentence.sentence
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.default_code


class PermanentError(BatchdropError):
    """No repetition can help: report and acknowledge."""

    default_code = Code.PERMANENT


class TransientError(BatchdropError):
    """Time can heal it: let the delivery be repeated."""

    default_code = Code.TRANSIENT


class UnknownOutcomeError(BatchdropError):
    """The effect may have happened: reconcile, never repeat."""

    default_code = Code.UNKNOWN_OUTCOME


class LeaseLostError(BatchdropError):
    """Another worker owns the record: acknowledge and stop."""

    default_code = Code.LEASE_LOST


class ConfigurationError(BatchdropError):
    """A setting is missing or contradicts another, or what only a person can mend is broken: fail until it is."""

    default_code = Code.CONFIGURATION


class CapacityError(BatchdropError):
    """The provider refused for lack of quota (429): nothing was created; hold off and queue."""

    default_code = Code.CAPACITY

    def __init__(
        self, sentence: str = "", *, retry_after_seconds: float | None = None
    ) -> None:
        """Keep how long the provider asked to wait, if it said so."""
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds


class PreconditionError(BatchdropError):
    """A compare-and-set lost: re-read, then decide again."""

    default_code = Code.PRECONDITION


class ObjectExistsError(PreconditionError):
    """The object exists (412), or may not be replaced (403): compare checksums."""

    default_code = Code.OBJECT_EXISTS


class ConflictError(PreconditionError):
    """The record has another version than the one read."""

    default_code = Code.CONFLICT
