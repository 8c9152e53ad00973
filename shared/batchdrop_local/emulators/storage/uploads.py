"""Uploads: whole, of two parts, or resumable (cloud.google.com/storage/docs/performing-resumable-uploads)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace

from batchdrop_local.emulators.http import Call, RefusedError, Reply
from batchdrop_local.emulators.storage.api import Api, Upload
from batchdrop_local.emulators.storage.bodies import json_body, pieces
from batchdrop_local.emulators.storage.multipart import parts

CANCELLED = 499
"""Cloud Storage's answer to a resumable upload that its client gave up."""


def receive(api: Api, call: Call, bucket: str) -> Reply:
    """Take an upload, or a chunk of one."""
    if "upload_id" in call.query:
        return _chunk(api, call, call.query["upload_id"])
    kinds: dict[str, Callable[[Api, Call, str], Reply]] = {
        "multipart": _multipart,
        "media": _media,
        "resumable": _start,
    }
    kind = call.query.get("uploadType", "media")
    if kind not in kinds:
        raise RefusedError(400, f"Invalid value for uploadType: {kind}")
    return kinds[kind](api, call, bucket)


def _media(api: Api, call: Call, bucket: str) -> Reply:
    draft = api.draft(call, bucket, {"contentType": call.headers.get("Content-Type")})
    return Reply(api.resource(api.insert(pieces(call), draft), call))


def _multipart(api: Api, call: Call, bucket: str) -> Reply:
    description, data_type, data = parts(
        call.headers.get("Content-Type") or "", pieces(call)
    )
    draft = api.draft(call, bucket, {"contentType": data_type, **description})
    return Reply(api.resource(api.insert(data, draft, description), call))


def _start(api: Api, call: Call, bucket: str) -> Reply:
    description = json_body(call)
    draft = api.draft(
        call,
        bucket,
        {"contentType": call.headers.get("X-Upload-Content-Type"), **description},
    )
    api.store.check_precondition(draft)
    identity = secrets.token_hex(12)
    upload = api.uploads[identity] = Upload(api.store.scratch(), draft)
    upload.path.touch()
    where = f"{call.base}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={identity}"
    return Reply({}, {"Location": where, "X-GUploader-UploadID": identity})


def _chunk(api: Api, call: Call, identity: str) -> Reply:
    upload = api.uploads.get(identity)
    if upload is None:
        raise RefusedError(404, "The upload is not known.")
    if call.method == "DELETE":
        upload.path.unlink(missing_ok=True)
        del api.uploads[identity]
        return Reply(b"", status=CANCELLED)
    if upload.done is None and _complete(call, upload):
        _finish(api, upload)
    if upload.done is not None:
        return Reply(api.resource(upload.done, call))
    return Reply(
        b"", {"Range": f"bytes=0-{upload.size - 1}"} if upload.size else {}, 308
    )


def _finish(api: Api, upload: Upload) -> None:
    """Make the object visible; that it is done is known before the reply is sent, or lost."""
    draft = replace(
        upload.draft,
        size=upload.size,
        crc32c=upload.sums.text("crc32c"),
        created_at=api.store.now(),
    )
    upload.done = api.publish(upload.path, draft, upload.sums)
    api.announce(upload.done, "insert")


def _complete(call: Call, upload: Upload) -> bool:
    """Append a chunk; return True when it was the last one."""
    header = call.headers.get("Content-Range")
    match = re.fullmatch(
        r"bytes (?:(\d+)-(\d+|\*)|\*)/(\d+|\*)", header or "bytes 0-*/*"
    )
    if match is None:
        raise RefusedError(400, f"Invalid Content-Range: {header}")
    begin = upload.size if match[1] is None else int(match[1])
    if begin > upload.size:
        raise RefusedError(503, "The chunk leaves a gap.")
    _append(upload, pieces(call), begin)
    return match[2] == "*" if match[3] == "*" else upload.size >= int(match[3])


def _append(upload: Upload, chunk: Iterator[bytes], begin: int) -> None:
    """Append pieces that begin at an offset; what is there already is skipped."""
    skip = upload.size - begin
    with upload.path.open("ab") as out:
        for piece in chunk:
            fresh = piece[skip:]
            skip = max(skip - len(piece), 0)
            out.write(fresh)
            out.flush()
            upload.sums.update(fresh)
            upload.size += len(fresh)
