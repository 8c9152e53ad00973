"""Uploads: whole, of two parts, or resumable (cloud.google.com/storage/docs/performing-resumable-uploads)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchdrop.adapters.local.directory import ANY
from batchdrop.core.errors import ObjectExistsError
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.storage.http import HttpError
from batchdrop_local.emulators.storage.multipart import parts
from batchdrop_local.emulators.storage.resources import Sums

if TYPE_CHECKING:
    from batchdrop_local.emulators.storage.server import Handler, StorageServer

CANCELLED = 499
"""Cloud Storage's answer to a resumable upload that its client gave up."""


@dataclass(slots=True)
class Upload:
    """A resumable upload under way."""

    path: Path
    draft: ObjectInfo
    size: int = 0
    sums: Sums = field(default_factory=Sums)
    done: ObjectInfo | None = None
    """The object, once the upload has ended; a repeated last chunk is answered with it."""


def receive(call: Handler, server: StorageServer, bucket: str) -> None:
    """Take an upload, or a chunk of one."""
    if "upload_id" in call.query:
        _chunk(call, server, call.query["upload_id"])
        return
    kinds: dict[str, Callable[[Handler, str], None]] = {"multipart": _multipart, "media": _media, "resumable": _start}
    kind = call.query.get("uploadType", "media")
    if kind not in kinds:
        raise HttpError(400, f"Invalid value for uploadType: {kind}")
    kinds[kind](call, bucket)


def _media(call: Handler, bucket: str) -> None:
    draft = call.draft(bucket, {"contentType": call.headers.get("Content-Type")})
    call.answer_json(call.server.resource(call.store(call.pieces(), draft)))


def _multipart(call: Handler, bucket: str) -> None:
    description, data_type, data = parts(call.headers.get("Content-Type") or "", call.pieces())
    draft = call.draft(bucket, {"contentType": data_type, **description})
    call.answer_json(call.server.resource(call.store(data, draft, description)))


def _start(call: Handler, bucket: str) -> None:
    description = call.json_body()
    draft = call.draft(bucket, {"contentType": call.headers.get("X-Upload-Content-Type"), **description})
    there = call.server.objects.stat(bucket, draft.name)
    if draft.generation not in (ANY, there.generation if there else 0):
        raise ObjectExistsError("another generation is live")
    identity = secrets.token_hex(12)
    upload = call.server.uploads[identity] = Upload(call.server.scratch(), draft)
    upload.path.touch()
    where = (
        f"http://{call.headers.get('Host')}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={identity}"
    )
    call.answer(200, b"{}", {"Location": where, "X-GUploader-UploadID": identity})


def _chunk(call: Handler, server: StorageServer, identity: str) -> None:
    upload = server.uploads.get(identity)
    if upload is None:
        raise HttpError(404, "The upload is not known.")
    if call.command == "DELETE":
        upload.path.unlink(missing_ok=True)
        del server.uploads[identity]
        call.answer(CANCELLED)
        return
    if upload.done is None and _complete(call, upload):
        now = server.objects.now()
        written = replace(upload.draft, size=upload.size, crc32c=upload.sums.text("crc32c"), created_at=now)
        upload.done = server.publish(upload.path, written, upload.sums)
        server.lose("insert")
    if upload.done is not None:
        call.answer_json(server.resource(upload.done))
        return
    call.answer(308, headers={"Range": f"bytes=0-{upload.size - 1}"} if upload.size else {})


def _complete(call: Handler, upload: Upload) -> bool:
    """Append a chunk; return True when it was the last one."""
    header = call.headers.get("Content-Range")
    match = re.fullmatch(r"bytes (?:(\d+)-(\d+|\*)|\*)/(\d+|\*)", header or "bytes 0-*/*")
    if match is None:
        raise HttpError(400, f"Invalid Content-Range: {header}")
    begin = upload.size if match[1] is None else int(match[1])
    if begin > upload.size:
        raise HttpError(503, "The chunk leaves a gap.")
    _append(upload, call.pieces(), begin)
    return match[2] == "*" if match[3] == "*" else upload.size >= int(match[3])


def _append(upload: Upload, pieces: Iterator[bytes], begin: int) -> None:
    """Append pieces that begin at an offset; what is there already is skipped."""
    skip = upload.size - begin
    with upload.path.open("ab") as out:
        for piece in pieces:
            fresh = piece[skip:]
            skip = max(skip - len(piece), 0)
            out.write(fresh)
            out.flush()
            upload.sums.update(fresh)
            upload.size += len(fresh)
