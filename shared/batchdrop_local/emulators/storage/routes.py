"""Which address and method means which call, and what each call does.

    GET    /storage/v1/b                               POST   /upload/storage/v1/b/B/o   media, multipart, resumable
    GET    /storage/v1/b/B/o                           POST   /storage/v1/b/B/o/O/rewriteTo/b/B/o/O
    GET    /storage/v1/b/B/o/O  (alt=media: bytes)     POST   /storage/v1/b/B/o/O/copyTo/b/B/o/O
    PATCH  /storage/v1/b/B/o/O  metadata               POST   /storage/v1/b/B/o/O/compose
    DELETE /storage/v1/b/B/o/O                         else: 404 or 405, with a sentence

Whatever a client sends, it gets an answer: a refusal is a 4xx, a fault of ours a 500 with a line in the log, never a
connection that is closed without a word, because clients repeat a call that was not answered (gcloud twelve times).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from batchdrop_local.emulators.http import Answer, Call, Json, RefusedError, Reply
from batchdrop_local.emulators.storage import listing, uploads
from batchdrop_local.emulators.storage.api import Api, precondition
from batchdrop_local.emulators.storage.bodies import json_body, number
from batchdrop_local.emulators.storage.reading import media
from batchdrop_local.emulators.storage.resources import (
    METAGENERATION,
    bucket_resource,
    changed,
    described_as,
)
from batchdrop_local.emulators.storage.store import Stored, condition_failed

MAX_SOURCES: Final = 32
"""Objects a compose call may name (cloud.google.com/storage/quotas, read 2026-11-25)."""
NAME: Final = "([^/]+)"
VERSION: Final = "(?:/storage/v1)?"
"""JavaScript leaves it out where STORAGE_EMULATOR_HOST is set (seen with 8.4.0)."""
BUCKET: Final = f"{VERSION}/b/{NAME}"
OBJECT: Final = f"{BUCKET}/o/{NAME}"
ORDINARY: Final = (404, 412)
"""A look-up that finds nothing and a lost race are no news."""


# ------------------------------------------------------------------------------------------------ buckets
def _buckets(api: Api, _: Call) -> Reply:
    return Reply(
        {
            "kind": "storage#buckets",
            "items": [bucket_resource(name) for name in api.store.buckets()],
        }
    )


def _new_bucket(_: Api, call: Call) -> Reply:
    """Make a bucket: nothing needs to be made."""
    return Reply(bucket_resource(str(json_body(call).get("name") or "")))


def _layout(_: Api, __: Call, bucket: str) -> Reply:
    """Describe how a bucket keeps names: flat."""
    return Reply(
        bucket_resource(bucket) | {"hierarchicalNamespace": {"enabled": False}}
    )


def _bucket(_: Api, __: Call, bucket: str) -> Reply:
    return Reply(bucket_resource(bucket))


def _list(api: Api, call: Call, bucket: str) -> Reply:
    return Reply(
        listing.page(api.store, bucket, call, lambda stored: api.resource(stored, call))
    )


# ------------------------------------------------------------------------------------------------ objects
def _get(api: Api, call: Call, bucket: str, name: str) -> Reply:
    """Describe an object, or send its bytes."""
    stored = _wanted(api, call, bucket, name)
    return (
        media(api, call, stored)
        if call.query.get("alt") == "media"
        else Reply(api.resource(stored, call))
    )


def _download(api: Api, call: Call, bucket: str, name: str) -> Reply:
    return media(api, call, _wanted(api, call, bucket, name))


def _delete(api: Api, call: Call, bucket: str, name: str) -> Reply:
    api.store.delete(_wanted(api, call, bucket, name))
    return Reply(b"", status=204)


def _patch(api: Api, call: Call, bucket: str, name: str) -> Reply:
    stored = _wanted(api, call, bucket, name)
    return Reply(
        api.resource(api.store.describe(changed(stored, json_body(call))), call)
    )


def _rewrite(
    api: Api, call: Call, bucket: str, name: str, to_bucket: str, to_name: str
) -> Reply:
    """Copy an object, whole at the first call."""
    copied = _copied(api, call, bucket, name, to_bucket, to_name)
    size = str(copied.size)
    body = {
        "kind": "storage#rewriteResponse",
        "done": True,
        "objectSize": size,
        "totalBytesRewritten": size,
    }
    return Reply(body | {"resource": api.resource(copied, call)})


def _copy(
    api: Api, call: Call, bucket: str, name: str, to_bucket: str, to_name: str
) -> Reply:
    return Reply(
        api.resource(_copied(api, call, bucket, name, to_bucket, to_name), call)
    )


def _copied(
    api: Api, call: Call, bucket: str, name: str, to_bucket: str, to_name: str
) -> Stored:
    """Copy an object; a body describes the copy, and nothing of the source's description is kept then."""
    source = _wanted(api, call, bucket, name, prefix="Source")
    body = json_body(call)
    draft = replace(
        source,
        bucket=to_bucket,
        name=to_name,
        generation=precondition(call),
        created_at=api.store.now(),
    )
    copied = api.store.copy(source, described_as(draft, body) if body else draft)
    api.announce(copied, "rewrite")
    return copied


def _compose(api: Api, call: Call, bucket: str, name: str) -> Reply:
    """Write one object of the bytes of others, in order."""
    body = json_body(call)
    listed: list[Json] = body.get("sourceObjects") or []
    if not 1 <= len(listed) <= MAX_SOURCES:
        raise RefusedError(
            400, f"The number of source objects must be between 1 and {MAX_SOURCES}."
        )
    sources = [_source(api, bucket, entry) for entry in listed]
    pieces = (
        piece for stored in sources for piece in api.store.read(stored, 0, stored.size)
    )
    destination: Json = body.get("destination") or {}
    draft = api.draft(call, bucket, destination | {"name": name})
    return Reply(api.resource(api.insert(pieces, draft), call))


def _source(api: Api, bucket: str, entry: Json) -> Stored:
    generation = entry.get("generation")
    return api.store.get(
        bucket, str(entry.get("name")), int(generation) if generation else None
    )


def _wanted(api: Api, call: Call, bucket: str, name: str, prefix: str = "") -> Stored:
    """Return the live object that the address names, if the call's conditions hold."""
    generation = number(call, "sourceGeneration" if prefix else "generation")
    stored = api.store.get(bucket, name, generation)
    matching = (
        number(call, f"if{prefix}GenerationMatch"),
        number(call, f"if{prefix}MetagenerationMatch"),
    )
    if matching[0] not in (None, stored.generation) or matching[1] not in (
        None,
        METAGENERATION,
    ):
        raise condition_failed()
    return stored


_ROUTES: Final[tuple[tuple[str, str, Callable[..., Reply]], ...]] = (
    (f"(?:/resumable)?/upload{BUCKET}/o", "POST PUT DELETE", uploads.receive),
    (f"{OBJECT}/rewriteTo/b/{NAME}/o/{NAME}", "POST", _rewrite),
    (f"{OBJECT}/copyTo/b/{NAME}/o/{NAME}", "POST", _copy),
    (f"{OBJECT}/compose", "POST", _compose),
    (f"/download{OBJECT}", "GET HEAD", _download),
    (OBJECT, "GET HEAD", _get),
    (OBJECT, "DELETE", _delete),
    (OBJECT, "PATCH PUT", _patch),
    (f"{BUCKET}/o", "GET", _list),
    (f"{BUCKET}/storageLayout", "GET", _layout),
    (BUCKET, "GET", _bucket),
    (f"{VERSION}/b", "GET", _buckets),
    (f"{VERSION}/b", "POST", _new_bucket),
)


def answer(api: Api, call: Call) -> Answer:
    """Do a call, or say why not.

    Raises:
        ConnectionError: The caller went away, or a test wants the reply lost.
    """
    try:
        return Answer(_routed(api, call))
    except ConnectionError:
        raise
    except RefusedError as error:
        if error.status not in ORDINARY:
            api.log(
                "storage call refused",
                severity="WARNING",
                method=call.method,
                status=error.status,
            )
        return _refused(error)
    except Exception as error:  # noqa: BLE001 - a client without an answer repeats the call
        api.log(
            "storage server fault",
            severity="ERROR",
            method=call.method,
            error=type(error).__name__,
        )
        return _refused(
            RefusedError(
                500, "The local storage server has a fault; its log has a line."
            )
        )


def _routed(api: Api, call: Call) -> Reply:
    matches = [
        (pattern, methods, act)
        for pattern, methods, act in _ROUTES
        if re.fullmatch(pattern, call.quoted_path)
    ]
    for pattern, methods, act in matches:
        match = re.fullmatch(pattern, call.quoted_path)
        if match and call.method in methods.split():
            return act(api, call, *(unquote(part) for part in match.groups()))
    if matches:
        raise RefusedError(
            405,
            f"The local storage server does not know {call.method} at this address.",
        )
    raise RefusedError(404, "The local storage server does not know this address.")


def _refused(error: RefusedError) -> Answer:
    errors = [{"message": error.message, "reason": "local"}]
    body = {"error": {"code": error.status, "message": error.message, "errors": errors}}
    return Answer(Reply(body, status=error.status))
