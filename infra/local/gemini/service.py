"""What the API does, without HTTP: files, batches as long-running operations, caches, tokens, answers, models.

A batch has no thread: its state follows from the clock, its creation and the faults frozen with it.

    created --pending_seconds--> PENDING --running_seconds--> RUNNING --> end_state   (48 h: EXPIRED)
"""

# JSON of any shape passes through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false

from __future__ import annotations

import base64
import json
import secrets
import string
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from infra.local.gemini import answers
from infra.local.gemini.faults import POISON, Faults, decode, encode
from infra.local.gemini.requests import decode_request
from infra.local.gemini.results import CHUNK, Rows
from infra.local.gemini.store import Store

EXPIRY_SECONDS: Final = 48 * 3600
TERMINAL: Final = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
MODELS: Final = [
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-flash-image",
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
    "gemini-3-pro-image-preview",
    "gemini-3.1-pro-preview",
    "gemini-3.1-flash-lite",
    "gemini-3.1-flash-image",
    "gemini-3.5-flash",
    "gemini-3.6-flash",
    "gemini-3.7-flash",
    "gemini-embedding-001",
    "gemini-embedding-2",
]
STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_LETTERS: Final = string.ascii_lowercase + string.digits
Body = dict[str, Any]


class ApiError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, message: str, retry_seconds: float | None = None) -> None:
        """Keep status, message and the wait of a RetryInfo."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_seconds = retry_seconds

    def body(self) -> Body:
        """Return the error body as the service writes it."""
        details: list[Body] = []
        if self.retry_seconds is not None:
            details.append(
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{self.retry_seconds:g}s"}
            )
        name = STATUS.get(self.status, "UNKNOWN")
        error: Body = {"code": self.status, "message": self.message, "status": name}
        return {"error": error | ({"details": details} if details else {})}


class Service:
    """The API's state and operations. Thread-safe."""

    def __init__(self, folder: Path, faults: Faults, models: tuple[str, ...] = ()) -> None:
        """Open or make the folder."""
        self.store = Store(folder)
        self.faults = faults
        self.models = frozenset((*MODELS, *models))
        self.lock = threading.RLock()
        self._ahead = 0.0

    def now(self) -> float:
        """Return the emulator's clock, which `advance` moves."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self._ahead += seconds

    # ------------------------------------------------------------------------------------------- files
    def start_upload(self, wanted: Body, size: int) -> tuple[str, Body]:
        """Open an upload; return its id."""
        stored = sum(int(file["sizeBytes"]) for file in self.store.all("files") if "path" in file)
        if stored + size > self.faults.storage_bytes:
            raise ApiError(429, "You exceeded your file storage quota.", 60)
        entry = wanted.get("file") or {}
        name = str(entry.get("name") or f"files/{_letters(12)}")
        if self.store.get("files", name) is not None:
            raise ApiError(409, f"File {name} already exists.")
        return secrets.token_hex(12), {
            "name": name,
            "displayName": entry.get("displayName") or entry.get("display_name") or "",
            "mimeType": entry.get("mimeType") or entry.get("mime_type") or "",
            "size": size,
        }

    def finish_upload(self, started: Body, path: Path, sha256: str, base: str) -> Body:
        """Make an uploaded file ACTIVE; return the resource."""
        now = self.now()
        file: Body = {
            "name": started["name"],
            "displayName": started["displayName"],
            "mimeType": started["mimeType"],
            "sizeBytes": str(path.stat().st_size),
            "createTime": stamp(now),
            "updateTime": stamp(now),
            "expirationTime": stamp(now + EXPIRY_SECONDS),
            "sha256Hash": base64.b64encode(sha256.encode()).decode(),
            "uri": f"{base}/v1beta/{started['name']}",
            "state": "ACTIVE",
            "source": "UPLOADED",
            "path": str(path),
            "expires": now + EXPIRY_SECONDS,
        }
        self.store.put("files", file["name"], file)
        return _public(file)

    def file(self, name: str) -> Body:
        """Return a file resource."""
        return _public(self._file(name))

    def files(self) -> list[Body]:
        """Return all files, newest first."""
        return [_public(file) for file in self.store.all("files") if file["expires"] > self.now()]

    def delete_file(self, name: str) -> Body:
        """Delete a file."""
        file = self._file(name)
        Path(file["path"]).unlink(missing_ok=True)
        self.store.delete("files", name)
        return {}

    def _file(self, name: str) -> Body:
        if len(name.removeprefix("files/")) > 40:
            raise ApiError(400, "File ID cannot be more than 40 characters.")
        file = self.store.get("files", name)
        if file is None or file["expires"] <= self.now():
            raise ApiError(403, f"You do not have permission to access the File {name} or it may not exist.")
        return file

    def download(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of an uploaded file or of a batch's results, in pieces of about 1 MiB."""
        if name.startswith("files/batch-"):
            batch = self._batch(f"batches/{name.removeprefix('files/batch-')}")
            if not self._has_output(batch):
                raise ApiError(404, f"File {name} not found.")
            return _joined(self._rows(batch))
        return _chunks(Path(self._file(name)["path"]))

    # ----------------------------------------------------------------------------------------- batches
    def create_batch(self, model: str, kind: str, body: Body) -> Body:
        """Create a batch from a file or inline requests; return the operation."""
        self.check_model(model)
        wanted: Body = body.get("batch") or {}
        source: Body = wanted.get("inputConfig") or wanted.get("input_config") or {}
        identity = _letters(36)
        name = source.get("fileName") or source.get("file_name")
        inline = not name
        path = self._inline(identity, source) if inline else Path(self._file(str(name))["path"])
        with self.lock:
            self._admit(model, path)
            now = self.now()
            batch: Body = {
                "name": f"batches/{identity}",
                "model": model,
                "kind": kind,
                "displayName": wanted.get("displayName") or wanted.get("display_name") or "",
                "created": now,
                "visible": now + self.faults.late_create_seconds,
                "listed": now + self.faults.late_create_seconds + self.faults.list_lag_seconds,
                "path": str(path),
                "inline": inline,
                "requests": _count(path),
                "tokens": path.stat().st_size // 4,
                "poisoned": _holds(path, POISON),
                "faults": json.loads(encode(self.faults)),
                "forced": "",
                "forced_at": 0.0,
            }
            self.store.put("batches", batch["name"], batch)
        return self._operation(batch, with_output=False)

    def batch(self, name: str) -> Body:
        """Return a batch as an operation, inline results included."""
        return self._operation(self._batch(name), with_output=True)

    def batches(self) -> list[Body]:
        """Return all listed batches, newest first, without inline results."""
        now = self.now()
        return [
            self._operation(batch, with_output=False) for batch in self.store.all("batches") if batch["listed"] <= now
        ]

    def cancel_batch(self, name: str) -> Body:
        """Ask for cancellation; a terminal batch stays as it is."""
        with self.lock:
            batch = self._batch(name)
            if self._state(batch) not in TERMINAL:
                self.force(name, "CANCELLED")
        return {}

    def delete_batch(self, name: str) -> Body:
        """Delete a batch."""
        self._batch(name)
        self.store.delete("batches", name)
        return {}

    def force(self, name: str, state: str) -> None:
        """Put a batch in a state."""
        batch = self._batch(name)
        self.store.put("batches", name, batch | {"forced": state, "forced_at": self.now()})

    def counts(self) -> Body:
        """Return how many batches are in which state, and display names used more than once."""
        states: dict[str, int] = {}
        display_names: dict[str, int] = {}
        for batch in self.store.all("batches"):
            state = self._state(batch)
            states[state] = states.get(state, 0) + 1
            display_names[batch["displayName"]] = display_names.get(batch["displayName"], 0) + 1
        return {
            "batches": states,
            "requests": sum(batch["requests"] for batch in self.store.all("batches")),
            "duplicate_display_names": [name for name, count in display_names.items() if count > 1],
            "files": len(self.files()),
        }

    def _inline(self, identity: str, source: Body) -> Path:
        listed = source.get("requests") or {}
        path = self.store.content / f"inline-{identity}"
        with path.open("wb") as out:
            for item in listed.get("requests") or []:
                out.write(msgspec.json.encode({"key": item.get("metadata"), "request": item.get("request")}) + b"\n")
        return path

    def _admit(self, model: str, path: Path) -> None:
        open_batches = [batch for batch in self.store.all("batches") if self._state(batch) not in TERMINAL]
        if len(open_batches) >= self.faults.max_batches:
            raise ApiError(429, "You exceeded the limit of concurrent batch requests.", 30)
        limit = self.faults.enqueued_tokens.get(model)
        used = sum(batch["tokens"] for batch in open_batches if batch["model"] == model)
        if limit is not None and used + path.stat().st_size // 4 > limit:
            raise ApiError(429, "You exceeded the limit of enqueued tokens of this model.", 30)

    def _batch(self, name: str) -> Body:
        batch = self.store.get("batches", name)
        if batch is None or batch["visible"] > self.now():
            raise ApiError(404, f"Batch {name} not found.")
        return batch

    def _state(self, batch: Body) -> str:
        faults, age = _faults(batch), self.now() - batch["created"]
        if batch["forced"]:
            return str(batch["forced"])
        if faults.hold_state:
            return "EXPIRED" if age > EXPIRY_SECONDS and faults.hold_state == "PENDING" else faults.hold_state
        if age < faults.pending_seconds:
            return "PENDING"
        if age < faults.pending_seconds + faults.running_seconds:
            return "RUNNING"
        return "FAILED" if batch["poisoned"] else faults.end_state

    def _has_output(self, batch: Body) -> bool:
        state = self._state(batch)
        kept = state == "CANCELLED" and _faults(batch).cancelled_keep_results
        return state in ("SUCCEEDED", "PARTIALLY_SUCCEEDED") or kept

    def _rows(self, batch: Body) -> Iterator[bytes]:
        faults = _faults(batch)
        name = str(batch["name"])
        rows = Rows(
            batch["model"],
            faults,
            fails_first=lambda digest: self.store.fails_first(digest, name),
            cached_tokens=self.cached_tokens,
        )
        share = 1.0 if self._state(batch) == "SUCCEEDED" else faults.answered_share
        return rows.of(Path(batch["path"]), share)

    def _operation(self, batch: Body, *, with_output: bool) -> Body:
        state, faults = self._state(batch), _faults(batch)
        ended = state in TERMINAL
        identity = batch["name"].removeprefix("batches/")
        kind = "EmbedContentBatch" if batch["kind"] == "embed" else "GenerateContentBatch"
        end = batch["forced_at"] or batch["created"] + faults.pending_seconds + faults.running_seconds
        metadata: Body = {
            "@type": f"type.googleapis.com/google.ai.generativelanguage.v1main.{kind}",
            "name": batch["name"],
            "model": f"models/{batch['model']}",
            "displayName": batch["displayName"],
            "createTime": stamp(batch["created"]),
            "updateTime": stamp(self.now()),
            "state": f"BATCH_STATE_{state}",
            "batchStats": _stats(int(batch["requests"]), state),
        } | ({"endTime": stamp(end)} if ended else {})
        operation: Body = {"name": batch["name"], "metadata": metadata}
        if self._has_output(batch):
            output = self._output(batch, identity, with_output=with_output)
            if output:
                metadata["output"] = output
                operation["response"] = {"@type": f"{metadata['@type']}Output", **output}
        if state in ("FAILED", "CANCELLED", "EXPIRED"):
            operation["error"] = self._error(batch, state, faults)
        return operation | ({"done": True} if ended else {})

    def _output(self, batch: Body, identity: str, *, with_output: bool) -> Body:
        if not batch["inline"]:
            return {"responsesFile": f"files/batch-{identity}"}
        if not with_output:
            return {}
        items: list[Body] = []
        for row in self._rows(batch):
            item: Body = json.loads(row)
            items.append(
                {**{key: value for key, value in item.items() if key != "key"}, "metadata": item.get("key") or {}}
            )
        return {"inlinedResponses": {"inlinedResponses": items}}

    def _error(self, batch: Body, state: str, faults: Faults) -> Body:
        if state != "FAILED":
            return {"code": 1 if state == "CANCELLED" else 4, "message": f"The batch was {state.lower()}."}
        if batch["poisoned"] or faults.fail_names_line:
            line = faults.fail_names_line
            named = f" (line {line})" if line else ""
            return {"code": 3, "message": f"The input file has an invalid request{named}."}
        return {"code": faults.fail_code, "message": "The batch failed."}

    # ------------------------------------------------------------------------- models, tokens, answers
    def check_model(self, model: str) -> None:
        """Raise 404 for a model nobody knows."""
        if model not in self.models:
            raise ApiError(404, f"models/{model} is not found for API version v1beta, or is not supported.")

    def model(self, model: str) -> Body:
        """Return a model resource."""
        self.check_model(model)
        return {
            "name": f"models/{model}",
            "displayName": model,
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens", "batchGenerateContent"],
        }

    def count_tokens(self, model: str, body: bytes) -> Body:
        """Count a request's tokens, bare contents or a whole request."""
        self.check_model(model)
        wanted: Body = json.loads(body or b"{}")
        inner = wanted.get("generateContentRequest") or wanted
        text, media = answers.prompt_tokens(decode_request(json.dumps(inner)))
        return {"totalTokens": text + media, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": text}]}

    def generate(self, model: str, body: bytes) -> bytes:
        """Answer one request at once."""
        self.check_model(model)
        rows = Rows(model, self.faults, fails_first=lambda _: False, cached_tokens=self.cached_tokens)
        row: Body = json.loads(rows.line(b'{"request":%b,"key":"1"}' % body)[0])
        if "error" in row:
            raise ApiError(400 if row["error"]["code"] == 3 else 500, row["error"]["message"])
        return msgspec.json.encode(row["response"])

    def embed(self, model: str, body: bytes) -> Body:
        """Embed texts at once."""
        self.check_model(model)
        rows = Rows(model, self.faults, fails_first=lambda _: False, cached_tokens=self.cached_tokens)
        found: list[Body] = []
        for request in json.loads(body)["requests"]:
            row: Body = json.loads(rows.line(msgspec.json.encode({"request": request, "key": "1"}))[0])
            found.append(row["response"]["embedding"])
        return {"embeddings": found}

    # ------------------------------------------------------------------------------------------ caches
    def create_cache(self, body: Body) -> Body:
        """Create a cached content."""
        model = str(body.get("model", "")).removeprefix("models/")
        self.check_model(model)
        system = body.get("systemInstruction") or body.get("system_instruction")
        inner = {"contents": body.get("contents") or [], "systemInstruction": system}
        text, media = answers.prompt_tokens(decode_request(json.dumps(inner)))
        now = self.now()
        cache: Body = {
            "name": f"cachedContents/{_letters(40)}",
            "model": f"models/{model}",
            "displayName": body.get("displayName") or body.get("display_name") or "",
            "createTime": stamp(now),
            "updateTime": stamp(now),
            "usageMetadata": {"totalTokenCount": text + media},
        } | self._life(body, now)
        self.store.put("caches", cache["name"], cache)
        return _public(cache)

    def cache(self, name: str) -> Body:
        """Return a cached content."""
        cache = self.store.get("caches", name)
        if cache is None or cache["expires"] <= self.now():
            raise ApiError(404, f"CachedContent {name} not found.")
        return _public(cache)

    def caches(self) -> list[Body]:
        """Return all cached contents."""
        return [_public(cache) for cache in self.store.all("caches") if cache["expires"] > self.now()]

    def change_cache(self, name: str, body: Body) -> Body:
        """Change a cache's life."""
        self.cache(name)
        changed = (self.store.get("caches", name) or {}) | self._life(body, self.now())
        self.store.put("caches", name, changed)
        return _public(changed)

    def delete_cache(self, name: str) -> Body:
        """Delete a cached content."""
        self.cache(name)
        self.store.delete("caches", name)
        return {}

    def cached_tokens(self, name: str) -> int:
        """Return how many tokens a cache holds; 0 for none."""
        cache = self.store.get("caches", name) if name else None
        return int(cache["usageMetadata"]["totalTokenCount"]) if cache else 0

    def _life(self, body: Body, now: float) -> Body:
        if "expireTime" in body or "expire_time" in body:
            text = str(body.get("expireTime") or body.get("expire_time"))
            end = datetime.fromisoformat(text).timestamp()
        else:
            end = now + float(str(body.get("ttl", "3600s")).removesuffix("s"))
        return {"expireTime": stamp(end), "expires": end}


def stamp(seconds: float) -> str:
    """Return a time as the service writes it, nanoseconds and Z."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def _stats(requests: int, state: str) -> Body:
    """Counters are strings and zeros are left out."""
    done = requests if state in ("SUCCEEDED", "PARTIALLY_SUCCEEDED") else 0
    counts = {"requestCount": requests, "successfulRequestCount": done, "pendingRequestCount": requests - done}
    return {name: str(count) for name, count in counts.items() if count}


def _faults(batch: Body) -> Faults:
    return decode(json.dumps(batch["faults"]))


def _public(entry: Body) -> Body:
    return {name: value for name, value in entry.items() if name not in ("path", "expires")}


def _letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            yield chunk


def _joined(rows: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size >= CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _count(path: Path) -> int:
    return sum(chunk.count(b"\n") for chunk in _chunks(path)) + _unfinished(path)


def _unfinished(path: Path) -> int:
    size = path.stat().st_size
    if not size:
        return 0
    with path.open("rb") as source:
        source.seek(size - 1)
        return int(source.read(1) != b"\n")


def _holds(path: Path, needle: bytes) -> bool:
    rest = b""
    for chunk in _chunks(path):
        if needle in rest + chunk:
            return True
        rest = chunk[-len(needle) :]
    return False
