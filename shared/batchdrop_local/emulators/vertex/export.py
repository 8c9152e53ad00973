"""What a job writes: objects of rows, each `{status, processed_time, request, response}` and what the line had besides.

    while it runs    `running_share` of the rows, in the first object
    at its end       all objects, the first written again; `late_seconds` later the last, or the rest of the only one

A row that failed has a status text with the error in it, and an empty response; the request comes back normalised:
camelCase, null members added.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Protocol, cast

import msgspec

from batchdrop_local.emulators.gemini.batches import State
from batchdrop_local.emulators.gemini.lines import joined, lines
from batchdrop_local.emulators.gemini.results import Rows
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.gemini.wire import STATUS, camel, stamp
from batchdrop_local.emulators.http import Json
from batchdrop_local.emulators.vertex.faults import Faults
from batchdrop_local.emulators.vertex.storage import Storage, parsed

HTTP_OF: Final = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503}
_REASONS: Final = {400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
_NO_RESPONSE: Final = msgspec.Raw(b"{}")
_PARTS: Final = ("fileData", "functionCall", "functionResponse", "inlineData", "text")


class Exported(Protocol):
    """What of a job decides about its rows."""

    @property
    def name(self) -> str:
        """The job's."""
        ...

    @property
    def model(self) -> str:
        """The bare id."""
        ...

    @property
    def created(self) -> float:
        """When."""
        ...

    @property
    def content(self) -> str:
        """The file that holds its input."""
        ...

    @property
    def directory(self) -> str:
        """Where its rows go."""
        ...

    @property
    def faults(self) -> Faults:
        """Frozen at its creation."""
        ...

    @property
    def requests(self) -> int:
        """How many."""
        ...


class Exporter:
    """Writes rows."""

    def __init__(self, store: Store, storage: Storage) -> None:
        """Take where inputs are kept, and where rows go."""
        self._store = store
        self._storage = storage

    def rows(self, job: Exported) -> Rows:
        """Return what answers the requests of a job."""
        return Rows(
            job.model,
            job.faults,
            fails_first=lambda digest: self._store.fails_first(digest, job.name),
            cached_tokens=lambda _name: None,
            file_refused=self._refused,
        )

    def _refused(self, uri: str) -> int:
        """Return the code of the error that an object's address leads to; addresses elsewhere are taken as read."""
        if not uri.startswith("gs://"):
            return 0
        return 0 if self._storage.exists(*parsed(uri)) else 7

    def moment(self, faults: Faults, state: State, now: float) -> str:
        """Return up to which moment of its life a job's rows must be written by now."""
        if state.ended:
            return "all" if now >= state.since + faults.late_seconds else "ended"
        running = state.word in ("RUNNING", "CANCELLING") and faults.running_share > 0
        return "running" if running else ""

    def write(self, job: Exported, state: State, moment: str) -> None:
        """Write the objects that are there from a moment on."""
        if not self._share(job, state, moment):
            return
        rows = self._made(job, state, moment)
        count = job.faults.output_objects
        each = -(-job.requests // count)
        whole = moment == "all"
        for number in range(1, count + 1):
            if moment == "running" and number > 1:
                return
            few = each // 2 if count == 1 and moment == "ended" else each
            if moment == "ended" and number == count > 1:
                return
            last = whole and number == count
            pieces = joined(rows if last else islice(rows, few))
            name = f"predictions_{number:04d}" if count > 1 else "predictions"
            bucket, path = parsed(f"{job.directory}/{name}.jsonl")
            self._storage.write(bucket, path, pieces)

    def _share(self, job: Exported, state: State, moment: str) -> float:
        """Return which share of its rows a job has by a moment of its life."""
        if moment == "running":
            return job.faults.running_share
        whole = state.word in ("SUCCEEDED", "PARTIALLY_SUCCEEDED")
        return 1.0 if whole else job.faults.answered_share

    def _made(self, job: Exported, state: State, moment: str) -> Iterator[bytes]:
        """Yield the rows a job has by a moment of its life."""
        share = self._share(job, state, moment)
        answered, at = self.rows(job), stamp(job.created)
        source = lines(self._store.content / job.content)
        if job.faults.reversed_rows:
            source = reversed(list(source))
        for raw in source:
            for answer in answered.line(raw, share):
                yield _row(raw, answer, at, echo=job.faults.echo_keys)


def _row(raw: bytes, answer: bytes, at: str, *, echo: bool) -> bytes:
    """Return the service's row for an input line and the Gemini emulator's answer to it."""
    line: Json = msgspec.json.decode(raw)
    given: dict[str, msgspec.Raw] = msgspec.json.decode(
        answer, type=dict[str, msgspec.Raw]
    )
    error = given.get("error")
    row: Json = {name: value for name, value in line.items() if name != "request"}
    if not echo:
        row.clear()
    row["status"] = "" if error is None else _status(bytes(error))
    row["processed_time"] = at
    row["request"] = _normalised(line.get("request"))
    row["response"] = given.get("response", _NO_RESPONSE)
    return msgspec.json.encode(row) + b"\n"


def _status(error: bytes) -> str:
    """Return the status text of a failed row: a reason, and the error as the API would have answered it."""
    said: Json = msgspec.json.decode(error)
    code = HTTP_OF.get(int(said["code"]), 500)
    body = {"code": code, "message": said["message"], "status": STATUS[code]}
    text = msgspec.json.encode({"error": body}).decode()
    return f"{_REASONS.get(code, 'Error')}: {text}"


def _normalised(request: Any) -> Any:
    """Return a request as it is echoed: camelCase, and the members that were not set as null."""
    if not isinstance(request, dict):
        return request
    found: Any = camel(cast("Json", request))
    for turn in cast("list[Any]", found.get("contents") or []):
        parts: Any = turn.get("parts")
        if isinstance(parts, list):
            listed = cast("list[Json]", parts)
            turn["parts"] = [dict.fromkeys(_PARTS) | part for part in listed]
    return {"generationConfig": None, "safetySettings": None, **found}
