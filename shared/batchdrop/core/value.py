"""Stored values: frozen, and tolerant of fields that another version of this package wrote."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from batchdrop.core.codes import Code
from batchdrop.core.errors import BatchdropError


class Value(BaseModel):
    """A stored value: frozen, and it keeps fields a newer version wrote (functions roll back one by one)."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="null")

    def _with(self, **changes: object) -> Self:
        """Return a copy with those fields changed: for the named, typed transitions of this value alone.

        Raises:
            TypeError: There is no such field. (A field that a newer version wrote is kept, and never written by us.)
        """
        unknown = changes.keys() - type(self).model_fields.keys()
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no field {', '.join(sorted(unknown))}"
            )
        return self.model_copy(update=changes)


class Failure(Value):
    """Why something failed: a stable code and a sentence a person can act on."""

    code: str
    message: str
    fix: str = ""

    @classmethod
    def coded(cls, code: Code, message: str = "", *, fix: str = "") -> Self:
        """Say what the code's entry says, but for what the place knows better."""
        return cls(
            code=code.value,
            message=message or code.sentence,
            fix=fix or code.fix,
        )

    @classmethod
    def of(cls, error: BatchdropError, fix: str = "") -> Self:
        """Say what an error says, and what would mend it."""
        return cls(code=error.code, message=error.sentence, fix=fix)
