"""Faults and timing: one validated value, set at the start or at any time through `PUT /control/faults`.

A batch keeps the faults in force when it was created. Rates choose rows by a hash of (seed, key, request bytes): the
same line has the same fate in every run and every batch. With `heal`, a row fails only in the first batch that
holds the request, so that a redo succeeds.

Requests can ask for a fate themselves, by a marker in their text:

    [[emulate:block]]           a success line without candidates, promptFeedback.blockReason set
    [[emulate:filter]]          a candidate stopped by SAFETY, without content
    [[emulate:error=13]]        an error line with that google.rpc code, always
    [[emulate:error-once=13]]   the same in the first batch that holds the request, an answer in every later one
    [[emulate:missing]]         no line at all
    [[emulate:missing-once]]    no line in the first batch that holds the request
    [[emulate:empty]]           a candidate without parts
    [[emulate:invalid]]         text that is not JSON, whatever the schema
    [[emulate:duplicate]]       the line twice
    [[emulate:truncate=500]]    an answer of so many tokens, cut at maxOutputTokens if that is less
    [[emulate:poison]]          the whole batch ends FAILED
"""

from __future__ import annotations

from typing import Final

import msgspec

MARKER: Final = b"[[emulate:"
POISON: Final = b"[[emulate:poison]]"


class RowFaults(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What happens to rows; rates are shares of all rows, 0 to 1, and exclude one another in this order."""

    error_rate: float = 0.0
    error_codes: tuple[int, ...] = (13,)
    """google.rpc codes; each failing row takes one of them, by its hash."""
    error_details: bool = False
    """Errors carry structured `details`, which make the SDKs refuse a whole inline job."""
    blocked_rate: float = 0.0
    missing_rate: float = 0.0
    empty_rate: float = 0.0
    truncated_rate: float = 0.0
    """Cut with MAX_TOKENS unless maxOutputTokens is at least `truncated_tokens`."""
    truncated_tokens: int = 4096
    invalid_rate: float = 0.0
    """JSON was wanted, and prose comes."""
    duplicate_rate: float = 0.0
    """The line comes twice; apart from the other rates."""
    implicit_cache_rate: float = 0.0
    """Three quarters of the prompt's tokens count as cached; apart from the other rates."""
    heal: bool = False
    shuffle: bool = False
    unknown_rows: int = 0
    """Lines with keys nobody sent, at the end."""

    def __post_init__(self) -> None:
        """Refuse rates outside 0 to 1 and sums above 1."""
        exclusive = 0.0
        for name in self.__struct_fields__:
            if not name.endswith("_rate"):
                continue
            rate: float = getattr(self, name)
            if not 0 <= rate <= 1:
                raise ValueError(f"{name} must be between 0 and 1")
            exclusive += (
                0 if name in ("duplicate_rate", "implicit_cache_rate") else rate
            )
        if exclusive > 1 + 1e-9:
            raise ValueError(
                "the rates that exclude one another are more than 1 in all"
            )


class CallFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What happens to calls of one kind; the first fault that matches a call hits it.

    Kinds: upload.start, upload.chunk, files.get, files.list, files.delete, files.register, download, create, get,
    list, cancel, delete, update, count, generate, embed, models.get, models.list, caches.create, caches.get,
    caches.list, caches.update, caches.delete, webhooks.*, openai.*. `upload` means all of upload.*, `*` means all.
    """

    call: str
    times: int = -1
    """How many calls it hits; -1: all."""
    skip: int = 0
    """How many calls of this kind pass first."""
    rate: float = 1.0
    """Which share of the calls it hits, by a hash of (seed, the call's number)."""
    status: int = 0
    """Answer this HTTP status instead of doing it; 429 carries RetryInfo."""
    retry_seconds: float = 1.0
    delay_seconds: float = 0.0
    """Wait before doing anything: latency."""
    drop: bool = False
    """Close the connection instead of doing it."""
    lose: bool = False
    """Do it, then close the connection without an answer."""
    hang_seconds: float = 0.0
    """Do it, then keep the caller waiting so long, then close the connection."""
    cut_after_bytes: int = -1
    """Send so much of the answer's body, then close the connection."""

    def __post_init__(self) -> None:
        """Refuse a rate outside 0 to 1 and a status that is a success."""
        if not 0 <= self.rate <= 1:
            raise ValueError("rate must be between 0 and 1")
        if self.status and not 300 <= self.status <= 599:
            raise ValueError("status must be between 300 and 599")


class Faults(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Everything that can be set. All zero: a batch is answered as soon as it is created."""

    seed: int = 1
    pending_seconds: float = 0.0
    running_seconds: float = 0.0
    cancel_seconds: float = 0.0
    """From the cancel call until the batch is CANCELLED; it may end otherwise before."""
    hold_state: str = ""
    """A state every batch stays in, for example PENDING or a word nobody knows.

    PENDING and RUNNING are held until the batch expires after 48 hours, any other word for ever.
    """
    end_state: str = "SUCCEEDED"
    """SUCCEEDED, PARTIALLY_SUCCEEDED, FAILED, EXPIRED, CANCELLED or any other word."""
    fail_code: int = 13
    fail_message: str = "Internal error encountered."
    poison_names_line: bool = False
    """The error of a batch that failed by a poisonous or malformed line names the line."""
    malformed_fails_batch: bool = False
    """A line that cannot be read makes the whole batch FAILED; else it becomes an error line with code 3."""
    cancelled_keep_results: bool = False
    answered_share: float = 1.0
    """The share of rows that are answered in a batch which ends otherwise than SUCCEEDED and keeps results."""
    late_create_seconds: float = 0.0
    """A created batch can be seen only after this time, by get and by list."""
    list_lag_seconds: float = 0.0
    """A created batch is listed only after this time."""
    list_limit: int = -1
    """Lists end silently after so many entries; -1: never."""
    page_size: int = 0
    """The largest page of a list; 0: what was asked for."""
    max_batches: int = 100
    """Concurrent batches; one more is refused with 429 (documented: 100)."""
    enqueued_tokens: dict[str, int] = {}
    """The largest number of tokens in unfinished batches, by model; one more is refused with 429."""
    file_bytes: int = 2 * 1024**3
    """The largest file (documented: 2 GB)."""
    storage_bytes: int = 20 * 1024**3
    """All files together (documented: 20 GB)."""
    image_kib: int = 0
    """Pad image answers to this size."""
    rows: RowFaults = RowFaults()
    calls: tuple[CallFault, ...] = ()

    def __post_init__(self) -> None:
        """Refuse negative times and a share outside 0 to 1."""
        for name in self.__struct_fields__:
            if name.endswith("_seconds") and getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if not 0 <= self.answered_share <= 1:
            raise ValueError("answered_share must be between 0 and 1")


decode: Final = msgspec.json.Decoder(Faults).decode
encode: Final = msgspec.json.encode
