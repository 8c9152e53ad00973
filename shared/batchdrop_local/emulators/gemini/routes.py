"""Which path and method means which call. `/v1` and `/v1beta` (and any prefix before them) are the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from batchdrop_local.emulators.gemini import control, models, openai, signing
from batchdrop_local.emulators.gemini.api import Api
from batchdrop_local.emulators.gemini.batches import (
    INLINE_BYTES,
    Create,
    State,
    has_output,
)
from batchdrop_local.emulators.gemini.caches import Wanted as WantedCache
from batchdrop_local.emulators.gemini.caches import resource as cache_resource
from batchdrop_local.emulators.gemini.files import Register, Start
from batchdrop_local.emulators.gemini.files import resource as file_resource
from batchdrop_local.emulators.gemini.operations import operation
from batchdrop_local.emulators.gemini.wire import ApiError, parse
from batchdrop_local.emulators.http import Call, Json, Reply

DEFAULT_PAGE: Final = 50
Action = Callable[[Api, Call, str], Reply]
_VERSION: Final = re.compile(r"(?:^|/)(upload/|download/)?(?:v1|v1beta|v1alpha)/(.+)$")
_EMPTY: Final = Reply({})
_PENDING: Final = State("PENDING", 0.0)


def page(api: Api, call: Call, entries: list[Json], field: str) -> Reply:
    """Return one page of a list; the token is a position. An empty page has no field, as the service does it."""
    if api.faults.list_limit >= 0:
        entries = entries[: api.faults.list_limit]
    try:
        start = int(call.query.get("pageToken") or 0)
        size = int(call.query.get("pageSize") or DEFAULT_PAGE)
    except ValueError:
        raise ApiError(400, "Invalid page token or page size.") from None
    size = min(size, api.faults.page_size or size)
    found: Json = (
        {field: entries[start : start + size]} if entries[start : start + size] else {}
    )
    return Reply(
        found
        | ({"nextPageToken": str(start + size)} if start + size < len(entries) else {})
    )


def _start(api: Api, call: Call, _: str) -> Reply:
    headers = call.headers
    size = int(headers.get("X-Goog-Upload-Header-Content-Length") or 0)
    body = parse(call.body(), Start)
    identity = api.files.start(
        body, size, str(headers.get("X-Goog-Upload-Header-Content-Type") or "")
    )
    url = f"{call.base}{call.path}?upload_id={identity}&upload_protocol=resumable"
    return Reply({}, {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"})


def _chunk(api: Api, call: Call, _: str) -> Reply:
    command = str(call.headers.get("X-Goog-Upload-Command") or "")
    identity = call.query.get("upload_id", "")
    offset = int(call.headers.get("X-Goog-Upload-Offset") or 0)
    if command == "query":
        received = api.files.receive(identity, 0, 0, call.read).offset
        return Reply(
            {},
            {
                "X-Goog-Upload-Status": "active",
                "X-Goog-Upload-Size-Received": str(received),
            },
        )
    upload = api.files.receive(identity, offset, call.length, call.read)
    if "finalize" not in command:
        return Reply({}, {"X-Goog-Upload-Status": "active"})
    return Reply(
        {"file": api.files.finish(upload, call.base)}, {"X-Goog-Upload-Status": "final"}
    )


def _download(api: Api, _: Call, name: str) -> Reply:
    if not name.startswith("files/batch-"):
        return Reply(api.files.path(name))
    batch, state = api.batches.get(f"batches/{name.removeprefix('files/batch-')}")
    if batch.openai and has_output(batch, state):
        return Reply(openai.results(api, batch))
    return Reply(api.batches.results(batch.name))


def _method(call: Call) -> str:
    """Return the method a path names behind its colon."""
    return call.path.rpartition(":")[2].partition("?")[0]


def _create(api: Api, call: Call, model: str) -> Reply:
    models.check(model, api.models, _method(call))
    if call.length > INLINE_BYTES:
        raise ApiError(
            400, f"Request payload size exceeds the limit: {INLINE_BYTES} bytes."
        )
    kind = "embed" if call.path.endswith(":asyncBatchEmbedContent") else "generate"
    batch = api.batches.create(model, kind, parse(call.body(), Create).batch)
    # The answer shows the state at birth, also when the batch is answered at once: none is done before it is known.
    return Reply(operation(batch, State("PENDING", batch.created), batch.created))


def _get(api: Api, _: Call, name: str) -> Reply:
    batch, state = api.batches.get(name)
    rows = (
        api.batches.rows(batch, state)
        if batch.inline and has_output(batch, state)
        else None
    )
    return Reply(operation(batch, state, api.now(), rows))


def _list(api: Api, call: Call, _: str) -> Reply:
    now = api.now()
    return page(
        api,
        call,
        [operation(batch, state, now) for batch, state in api.batches.listed()],
        "operations",
    )


def _cancel(api: Api, _: Call, name: str) -> Reply:
    api.batches.cancel(name)
    return _EMPTY


def _delete(api: Api, _: Call, name: str) -> Reply:
    api.batches.delete(name)
    return _EMPTY


def _update(api: Api, call: Call, name: str) -> Reply:
    wanted = parse(call.body(), Create).batch
    api.batches.update(name, wanted.display_name, wanted.priority)
    return _get(api, call, name)


def _file(api: Api, _: Call, name: str) -> Reply:
    return Reply(file_resource(api.files.get(name)))


def _delete_file(api: Api, _: Call, name: str) -> Reply:
    api.files.delete(name)
    return _EMPTY


def _files(api: Api, call: Call, _: str) -> Reply:
    return page(api, call, api.files.all(), "files")


def _register(api: Api, call: Call, _: str) -> Reply:
    return Reply({"files": api.files.register(parse(call.body(), Register).uris)})


def _count(api: Api, call: Call, model: str) -> Reply:
    models.check(model, api.models)
    return Reply(models.count(call.body()))


def _generate(api: Api, call: Call, model: str) -> Reply:
    models.check(model, api.models, _method(call))
    answer = models.generate(model, call.body(), api.faults, api.caches, api.now())
    return Reply(answer, {"x-gemini-service-tier": "standard"})


def _embed(api: Api, call: Call, model: str) -> Reply:
    models.check(model, api.models, _method(call))
    return Reply(models.embed(model, call.body(), api.faults, api.caches, api.now()))


def _model(api: Api, _: Call, model: str) -> Reply:
    models.check(model, api.models)
    return Reply(models.resource(model, api.models[model]))


def _models(api: Api, call: Call, _: str) -> Reply:
    return page(
        api,
        call,
        [models.resource(model, api.models[model]) for model in sorted(api.models)],
        "models",
    )


def _create_cache(api: Api, call: Call, _: str) -> Reply:
    wanted = parse(call.body(), WantedCache)
    model = wanted.model.removeprefix("models/")
    models.check(model, api.models)
    return Reply(api.caches.create(model, wanted))


def _caches(api: Api, call: Call, _: str) -> Reply:
    return page(api, call, api.caches.all(), "cachedContents")


def _cache(api: Api, _: Call, name: str) -> Reply:
    return Reply(cache_resource(api.caches.get(name)))


def _update_cache(api: Api, call: Call, name: str) -> Reply:
    return Reply(api.caches.update(name, parse(call.body(), WantedCache)))


def _delete_cache(api: Api, _: Call, name: str) -> Reply:
    api.caches.delete(name)
    return _EMPTY


def _webhooks(api: Api, call: Call, name: str) -> Reply:
    return Reply(api.webhooks.answer(call.method, name, call.body()))


def _openai(api: Api, call: Call, name: str) -> Reply:
    return Reply(openai.answer(api, call.method, name, call.body()))


_ROUTES: Final[list[tuple[str, re.Pattern[str], str, Action]]] = [
    (method, re.compile(pattern), kind, action)
    for method, pattern, kind, action in (
        ("GET", r"(files/[^/:]+):download", "download", _download),
        ("GET", r"(files/[^/:]+)", "files.get", _file),
        ("DELETE", r"(files/[^/:]+)", "files.delete", _delete_file),
        ("GET", r"(files)", "files.list", _files),
        ("POST", r"(files):register", "files.register", _register),
        (
            "POST",
            r"models/([^/:]+):(?:batchGenerateContent|asyncBatchEmbedContent)",
            "create",
            _create,
        ),
        ("GET", r"(batches/[^/:]+)", "get", _get),
        ("GET", r"(batches)", "list", _list),
        ("POST", r"(batches/[^/:]+):cancel", "cancel", _cancel),
        ("DELETE", r"(batches/[^/:]+)", "delete", _delete),
        (
            "PATCH",
            r"(batches/[^/:]+):update(?:Generate|Embed)ContentBatch",
            "update",
            _update,
        ),
        ("POST", r"models/([^/:]+):countTokens", "count", _count),
        (
            "POST",
            r"models/([^/:]+):(?:generateContent|embedContent)",
            "generate",
            _generate,
        ),
        ("POST", r"models/([^/:]+):batchEmbedContents", "embed", _embed),
        ("GET", r"models/([^/:]+)", "models.get", _model),
        ("GET", r"(models)", "models.list", _models),
        ("POST", r"(cachedContents)", "caches.create", _create_cache),
        ("GET", r"(cachedContents)", "caches.list", _caches),
        ("GET", r"(cachedContents/[^/:]+)", "caches.get", _cache),
        ("PATCH", r"(cachedContents/[^/:]+)", "caches.update", _update_cache),
        ("DELETE", r"(cachedContents/[^/:]+)", "caches.delete", _delete_cache),
        ("*", r"(webhooks(?:/.+)?)", "webhooks", _webhooks),
        ("*", r"openai/(batches(?:/.+)?)", "openai", _openai),
    )
]
_UPLOADS: Final[dict[bool, tuple[str, Action]]] = {
    True: ("upload.start", _start),
    False: ("upload.chunk", _chunk),
}


def route(api: Api, call: Call) -> tuple[str, Callable[[], Reply]]:
    """Return the kind of a call, and what does it."""
    if call.path.startswith("/control/"):
        return "control", lambda: Reply(control.answer(api, call))
    if call.path == "/.well-known/jwks.json":
        return "webhooks.keys", lambda: Reply(signing.jwks())
    found = _VERSION.search(call.path)
    if found and found[1] == "upload/" and found[2] == "files":
        kind, action = _UPLOADS[call.headers.get("X-Goog-Upload-Command") == "start"]
        return kind, partial(
            _checked, action, api, call, "", keyless=kind == "upload.chunk"
        )
    for method, pattern, kind, action in _ROUTES if found else ():
        match = (
            pattern.fullmatch(found[2])
            if found and method in (call.method, "*")
            else None
        )
        if match is not None:
            return kind, partial(_checked, action, api, call, match[1], keyless=False)
    return "unknown", lambda: _unknown(call)


def _checked(
    action: Action, api: Api, call: Call, name: str, *, keyless: bool
) -> Reply:
    """Refuse a call without an API key; only an upload's chunks need none (wire facts, section 3.1)."""
    if not (
        keyless
        or call.headers.get("x-goog-api-key")
        or call.headers.get("Authorization")
        or call.query.get("key")
    ):
        raise ApiError(
            403,
            "Method doesn't allow unregistered callers. Please use API Key or other form of API identity.",
        )
    return action(api, call, name)


def _unknown(call: Call) -> Reply:
    raise ApiError(404, f"There is nothing at {call.method} {call.path}.")
