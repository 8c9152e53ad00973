"""Batches: creating, looking, cancelling, deleting.

A batch has no thread: its state follows from the clock, its creation and the faults frozen with it.

    created --pending_seconds--> PENDING --running_seconds--> RUNNING --> end_state   (48 h: EXPIRED)
                                        cancel --cancel_seconds--> CANCELLED, unless it ended before
"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from batchdrop_local.emulators.gemini.caches import Caches
from batchdrop_local.emulators.gemini.faults import POISON, Faults
from batchdrop_local.emulators.gemini.files import EXPIRY_SECONDS, Files
from batchdrop_local.emulators.gemini.lines import joined, lines
from batchdrop_local.emulators.gemini.results import Rows
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.gemini.wire import ApiError, letters

TERMINAL: Final = frozenset(
    {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"}
)
INLINE_BYTES: Final = 20 * 1024**2
"""The largest inline request (ai.google.dev/gemini-api/docs/batch-api, 2026-09-18)."""
RETENTION_SECONDS: Final = 42 * 86400
"""Results are kept for six weeks (same page)."""


class Inline(msgspec.Struct, rename="camel"):
    """The requests of an inline batch."""

    requests: list[dict[str, Any]] = []


class Input(msgspec.Struct, rename="camel"):
    """Where a batch's requests are."""

    file_name: str = ""
    requests: Inline = msgspec.field(default_factory=Inline)


class Hook(msgspec.Struct, rename="camel"):
    """Who wants to know of a batch's end."""

    uris: list[str] = []
    user_metadata: dict[str, Any] = {}


class Wanted(msgspec.Struct, rename="camel"):
    """The `batch` of a create call, also of an update."""

    input_config: Input = msgspec.field(default_factory=Input)
    display_name: str = ""
    priority: int = 0
    webhook_config: Hook = msgspec.field(default_factory=Hook)


class Create(msgspec.Struct, rename="camel"):
    """The body of a create call."""

    batch: Wanted = msgspec.field(default_factory=Wanted)


class Tally(msgspec.Struct, frozen=True):
    """What a look through the input gave; line numbers begin at 1, 0 means none."""

    requests: int = 0
    failed: int = 0
    poison_line: int = 0
    malformed_line: int = 0


class Batch(msgspec.Struct, frozen=True):
    """A stored batch; `content` is the name of the file that holds its input."""

    name: str
    model: str
    kind: str
    created: float
    content: str
    size: int
    faults: Faults
    tally: Tally
    inline: bool = False
    display_name: str = ""
    priority: int = 0
    hook: Hook = msgspec.field(default_factory=Hook)
    openai: bool = False
    cancel_asked: float = 0.0
    forced: str = ""
    forced_at: float = 0.0

    @property
    def tokens(self) -> int:
        """Roughly how many tokens are enqueued."""
        return self.size // 4

    @property
    def output(self) -> str:
        """The name of the result file: 42 characters after `files/` (wire facts, section 4.2)."""
        return f"files/batch-{self.name.removeprefix('batches/')}"


class State(msgspec.Struct, frozen=True):
    """A state and since when."""

    word: str
    since: float

    @property
    def ended(self) -> bool:
        """Whether it is final."""
        return self.word in TERMINAL


def state_of(batch: Batch, now: float) -> State:
    """Return the state at a time; a pure function, so nothing has to run for a batch to go on."""
    if batch.forced:
        return State(batch.forced, batch.forced_at)
    faults = batch.faults
    end = batch.created + faults.pending_seconds + faults.running_seconds
    last = State(_end_word(batch), end)
    if faults.hold_state or end > batch.created + EXPIRY_SECONDS:
        last = State("EXPIRED", batch.created + EXPIRY_SECONDS)
    if faults.hold_state not in ("", "PENDING", "RUNNING"):
        last = State(faults.hold_state, math.inf)
    if batch.cancel_asked and batch.cancel_asked + faults.cancel_seconds < last.since:
        last = State("CANCELLED", batch.cancel_asked + faults.cancel_seconds)
    if now >= last.since:
        return last
    if faults.hold_state:
        return State(faults.hold_state, batch.created)
    running = batch.created + faults.pending_seconds
    return (
        State("PENDING", batch.created) if now < running else State("RUNNING", running)
    )


def _end_word(batch: Batch) -> str:
    broken = batch.tally.poison_line or (
        batch.tally.malformed_line and batch.faults.malformed_fails_batch
    )
    return "FAILED" if broken else batch.faults.end_state


def has_output(batch: Batch, state: State) -> bool:
    """Tell whether there are results."""
    kept = state.word == "CANCELLED" and batch.faults.cancelled_keep_results
    return kept or state.word in ("SUCCEEDED", "PARTIALLY_SUCCEEDED")


class Batches:
    """All batches. Thread-safe."""

    def __init__(
        self,
        store: Store,
        files: Files,
        caches: Caches,
        now: Callable[[], float],
        faults: Callable[[], Faults],
    ) -> None:
        """Take what batches read from."""
        self._store = store
        self._files = files
        self._caches = caches
        self._now = now
        self._faults = faults
        self._lock = threading.Lock()
        self.answered: Counter[str] = Counter()
        self.named: Counter[str] = Counter()
        """Batches ever created, also deleted ones, by display name: what was paid for."""
        self.hooked = any(batch.hook.uris for batch in store.all(Batch))

    def create(
        self,
        model: str,
        kind: str,
        wanted: Wanted,
        *,
        converted: Iterator[bytes] | None = None,
    ) -> Batch:
        """Create a batch from a file or inline requests.

        Args:
            model: The bare id.
            kind: generate or embed.
            wanted: What was asked for.
            converted: The input's lines, translated from OpenAI's form.

        Raises:
            ApiError: 400 no or too many requests; 403 no such file; 429 a limit is reached.
        """
        identity = letters(36)
        faults, source = self._faults(), wanted.input_config
        path = self._kept(f"batch-{identity}", source, converted)
        draft = Batch(
            name=f"batches/{identity}",
            model=model,
            kind=kind,
            created=self._now(),
            content=path.name,
            size=path.stat().st_size,
            faults=faults,
            tally=Tally(),
            inline=not source.file_name,
            display_name=wanted.display_name,
            priority=wanted.priority,
            hook=wanted.webhook_config,
            openai=converted is not None,
        )
        tally = self._tally(draft, path)
        with self._lock:
            self._admit(draft)
            batch = msgspec.structs.replace(draft, tally=tally, created=self._now())
            self._store.put(batch)
            self.named[batch.display_name] += 1
            self.hooked = self.hooked or bool(batch.hook.uris)
        return batch

    def _kept(
        self, name: str, source: Input, converted: Iterator[bytes] | None
    ) -> Path:
        """Keep a batch's input under a name, whatever becomes of the file it came from."""
        path = self._store.content / name
        if source.file_name and converted is None:
            os.link(self._files.path(source.file_name), path)
        else:
            _write(converted or _inline(source.requests), path)
        return path

    def get(self, name: str) -> tuple[Batch, State]:
        """Return a batch that can be seen already, and its state.

        Raises:
            ApiError: 404.
        """
        batch, now = self._store.get(Batch, name), self._now()
        if batch is None or batch.created + batch.faults.late_create_seconds > now:
            raise ApiError(404, f"Batch {name} not found.")
        return batch, state_of(batch, now)

    def listed(self) -> list[tuple[Batch, State]]:
        """Return the batches that are listed already, newest first."""
        now = self._now()
        return [
            (batch, state_of(batch, now))
            for batch in self._store.all(Batch)
            if batch.created
            + batch.faults.late_create_seconds
            + batch.faults.list_lag_seconds
            <= now
        ]

    def every(self) -> list[tuple[Batch, State]]:
        """Return all batches, also those nobody can see yet."""
        return [
            (batch, state_of(batch, self._now())) for batch in self._store.all(Batch)
        ]

    def cancel(self, name: str) -> None:
        """Ask for cancellation; a batch that has ended stays as it is."""
        with self._lock:
            batch, state = self.get(name)
            if not (state.ended or batch.cancel_asked):
                self._store.put(
                    msgspec.structs.replace(batch, cancel_asked=self._now())
                )

    def update(self, name: str, display_name: str, priority: int) -> None:
        """Change a batch's name for people, and its priority."""
        with self._lock:
            batch, _ = self.get(name)
            changed = msgspec.structs.replace(
                batch,
                display_name=display_name or batch.display_name,
                priority=priority or batch.priority,
            )
            self._store.put(changed)

    def delete(self, name: str) -> None:
        """Delete a batch and its results."""
        batch, _ = self.get(name)
        self._store.delete(Batch, name)
        (self._store.content / batch.content).unlink(missing_ok=True)

    def force(self, name: str, word: str) -> None:
        """Put a batch in a state, for ever; an empty word lets it go on by itself."""
        with self._lock:
            batch = self._store.get(Batch, name)
            if batch is None:
                raise ApiError(404, f"Batch {name} not found.")
            self._store.put(
                msgspec.structs.replace(batch, forced=word, forced_at=self._now())
            )

    def results(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a batch's results, in pieces of about 1 MiB.

        Raises:
            ApiError: 404, there are none, or they are older than six weeks.
        """
        batch, state = self.get(name)
        if (
            not has_output(batch, state)
            or self._now() - state.since > RETENTION_SECONDS
        ):
            raise ApiError(404, f"File {batch.output} not found.")
        return self._counted(joined(self.rows(batch, state)))

    def rows(self, batch: Batch, state: State) -> Iterator[bytes]:
        """Yield the result lines of a batch that has ended."""
        share = 1.0 if state.word == "SUCCEEDED" else batch.faults.answered_share
        return self._rows(batch, state.since).of(
            self._store.content / batch.content, share
        )

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.answered["rows"] += piece.count(b"\n")
            yield piece

    def _rows(self, batch: Batch, until: float) -> Rows:
        return Rows(
            batch.model,
            batch.faults,
            fails_first=lambda digest: self._store.fails_first(digest, batch.name),
            cached_tokens=lambda name: self._caches.tokens(name, until),
            file_refused=lambda uri: self._files.refused(uri, until),
        )

    def _tally(self, batch: Batch, path: Path) -> Tally:
        """Look through the input once, so that batchStats are exact from the start."""
        rows = self._rows(batch, batch.created)
        requests = failed = poison = malformed = 0
        for number, raw in enumerate(lines(path), 1):
            verdict = rows.verdict(raw)
            requests = number
            failed += not verdict
            if verdict is None:
                malformed = malformed or number
            if not poison and POISON in raw:
                poison = number
        if not requests:
            raise ApiError(400, "The batch has no requests.")
        return Tally(requests, failed, poison, malformed)

    def _admit(self, wanted: Batch) -> None:
        unfinished = [batch for batch, state in self.every() if not state.ended]
        refused = ""
        if len(unfinished) >= wanted.faults.max_batches:
            refused = "You exceeded the limit of concurrent batch requests."
        limit = wanted.faults.enqueued_tokens.get(wanted.model)
        used = sum(batch.tokens for batch in unfinished if batch.model == wanted.model)
        if limit is not None and used + wanted.tokens > limit:
            refused = "You exceeded the limit of enqueued tokens of this model."
        if refused:
            (self._store.content / wanted.content).unlink()
            raise ApiError(429, refused, 30)


def _inline(source: Inline) -> Iterator[bytes]:
    """Yield inline requests as lines; the key is what comes back as metadata."""
    for item in source.requests:
        yield msgspec.json.encode(
            {"key": item.get("metadata"), "request": item.get("request")}
        )


def _write(source: Iterator[bytes], path: Path) -> None:
    with path.open("wb") as out:
        out.writelines(line + b"\n" for line in source)
