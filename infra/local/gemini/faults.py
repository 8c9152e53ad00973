"""Faults and timing: one validated value, set at the start or at any time through `PUT /control/faults`.

Rates choose rows by a hash of (seed, request bytes): the same request has the same fate in every run and batch.
With `heal` a row fails only in the first batch that holds it, so that a redo succeeds.

Requests can ask for a fate themselves, by a marker in their text:

    [[emulate:block]]          a success line without candidates, promptFeedback.blockReason set
    [[emulate:filter]]         a candidate stopped by SAFETY
    [[emulate:error=13]]       an error line with that google.rpc code, always
    [[emulate:error-once=13]]  the same in the first batch that holds the request, an answer in every later one
    [[emulate:missing]]        no line at all
    [[emulate:empty]]          a candidate without parts
    [[emulate:invalid]]        text that is not JSON, whatever the schema
    [[emulate:truncate=500]]   an answer of so many tokens, cut at maxOutputTokens if that is less
    [[emulate:poison]]         the whole batch ends FAILED
"""

# JSON of any shape passes through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false

from __future__ import annotations

from typing import Final

import msgspec

MARKER: Final = b"[[emulate:"
POISON: Final = b"[[emulate:poison]]"


class RowFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to rows; rates are shares of all rows, 0 to 1, and exclude one another in this order."""

    error_rate: float = 0.0
    error_code: int = 13
    blocked_rate: float = 0.0
    missing_rate: float = 0.0
    empty_rate: float = 0.0
    truncated_rate: float = 0.0
    invalid_rate: float = 0.0
    duplicate_rate: float = 0.0
    heal: bool = False
    shuffle: bool = False
    unknown_rows: int = 0
    """Lines with keys nobody sent, at the end."""

    def __post_init__(self) -> None:
        """Refuse rates outside 0 to 1."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name.endswith("_rate") and not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1")


class CallFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to calls of one kind: upload, create, get, list, cancel, delete, download, generate, … or `*`."""

    call: str
    times: int = -1
    """How many calls it hits; -1: all."""
    skip: int = 0
    """How many calls of this kind pass first."""
    status: int = 0
    """Answer this HTTP status instead of doing it; 429 carries RetryInfo."""
    retry_seconds: float = 1.0
    delay_seconds: float = 0.0
    drop: bool = False
    """Close the connection instead of doing it."""
    lose: bool = False
    """Do it, then close the connection without an answer."""
    hang_seconds: float = 0.0
    """Do it, then keep the caller waiting so long."""
    cut_after_bytes: int = -1
    """Send so much of the body, then close the connection."""


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    seed: int = 1
    pending_seconds: float = 0.0
    running_seconds: float = 0.0
    hold_state: str = ""
    """A state every batch stays in for ever, for example PENDING or a word nobody knows."""
    end_state: str = "SUCCEEDED"
    """SUCCEEDED, PARTIALLY_SUCCEEDED, FAILED, EXPIRED, CANCELLED or any other word."""
    fail_code: int = 13
    fail_names_line: int = 0
    """With FAILED: name this line of the input in the message."""
    cancelled_keep_results: bool = False
    answered_share: float = 1.0
    """How many of the rows a batch has when it ends otherwise than SUCCEEDED and keeps results."""
    late_create_seconds: float = 0.0
    """A created batch can be seen only after this time, by get and by list."""
    list_lag_seconds: float = 0.0
    """A created batch is listed only after this time."""
    page_size: int = 0
    """The largest page of a list; 0: what was asked for."""
    max_batches: int = 100
    enqueued_tokens: dict[str, int] = {}
    storage_bytes: int = 20 * 1024**3
    image_kib: int = 0
    """Pad image answers to this size."""
    rows: RowFaults = RowFaults()
    calls: tuple[CallFault, ...] = ()


decode: Final = msgspec.json.Decoder(Faults).decode
encode: Final = msgspec.json.encode
