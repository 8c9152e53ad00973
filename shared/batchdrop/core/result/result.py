"""A result out of its envelope: what a provider's folder hands to the dialect of its bodies."""

from __future__ import annotations

from typing import Final

import msgspec

ABSENT: Final = msgspec.Raw(b"null")
"""A body that is not there, or null; a Raw field cannot be optional otherwise (msgspec 0.22)."""


class Fault(msgspec.Struct, frozen=True, gc=False):
    """Why a request has no answer; `passing` when another try may have one."""

    code: str
    message: str = ""
    passing: bool = False


class Result(msgspec.Struct, frozen=True, gc=False):
    """One result out of its envelope: a body in the provider's language, a fault, both, or neither."""

    body: msgspec.Raw = ABSENT
    fault: Fault | None = None
