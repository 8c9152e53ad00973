"""Stored values: frozen, and tolerant of fields that another version of this package wrote."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A stored value: frozen, and it keeps fields a newer version wrote (functions roll back one by one)."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="null")

    def with_(self, **changes: Any) -> Self:
        """Return a copy with those fields changed."""
        return self.model_copy(update=changes)


class Failure(Value):
    """Why something failed: a stable code and a sentence a person can act on."""

    code: str
    message: str
    fix: str = ""
