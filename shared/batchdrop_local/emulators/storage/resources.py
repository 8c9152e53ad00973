"""Objects as the JSON API describes them, in both directions (cloud.google.com/storage/docs/json_api/v1/objects)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import google_crc32c

from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.storage.http import Body, HttpError

METAGENERATION = 1
"""Descriptions are not numbered here: a condition on another number than this one fails."""


def resource(info: ObjectInfo, root: str) -> Body:
    """Return an object resource; `root` is the server's address."""
    path = f"storage/v1/b/{info.bucket}/o/{quote(info.name, safe='')}"
    created = info.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "kind": "storage#object",
        "id": f"{info.bucket}/{info.name}/{info.generation}",
        "selfLink": f"{root}/{path}",
        "mediaLink": f"{root}/download/{path}?generation={info.generation}&alt=media",
        "name": info.name,
        "bucket": info.bucket,
        "generation": str(info.generation),
        "metageneration": str(METAGENERATION),
        "etag": base64.b64encode(f"{info.generation}/{METAGENERATION}".encode()).decode(),
        "size": str(info.size),
        "crc32c": info.crc32c,
        "contentType": info.content_type,
        "timeCreated": created,
        "updated": created,
        "storageClass": "STANDARD",
        **({"contentEncoding": info.content_encoding} if info.content_encoding else {}),
        **({"metadata": dict(info.metadata)} if info.metadata else {}),  # what is empty is left out
    }


def bucket_resource(name: str) -> Body:
    """Return a bucket resource; every name is a bucket."""
    if not name:
        raise HttpError(400, "A bucket must have a name.")
    return {
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "location": "LOCAL",
        "locationType": "region",
        "metageneration": "1",
        "storageClass": "STANDARD",
    }


def described_as(info: ObjectInfo, body: Body) -> ObjectInfo:
    """Return an object with a description of its own; what the description leaves out has its default."""
    return replace(
        info,
        content_type=str(body.get("contentType") or "application/octet-stream"),
        content_encoding=str(body.get("contentEncoding") or ""),
        metadata={name: str(value) for name, value in _given(body).items() if value is not None},
    )


def changed(info: ObjectInfo, body: Body) -> ObjectInfo:
    """Return an object with a patched description: null removes a field, what is not named stays."""
    cleared = "metadata" in body and body["metadata"] is None
    metadata: Body = {} if cleared else {**info.metadata, **_given(body)}
    merged: Body = {"contentType": info.content_type, "contentEncoding": info.content_encoding, **body}
    return described_as(info, merged | {"metadata": metadata})


def _given(body: Body) -> Body:
    """Return the metadata that a description gives, by name; null stands for a name to remove."""
    given: object = body.get("metadata") or {}
    if not isinstance(given, dict):
        raise HttpError(400, "metadata must be an object.")
    return cast("Body", given)


class Sums:
    """The checksums of bytes as they come."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self._running: dict[str, Any] = {
            "crc32c": google_crc32c.Checksum(),
            "md5Hash": hashlib.md5(usedforsecurity=False),
        }

    def update(self, data: bytes) -> None:
        """Go on with the next bytes."""
        for running in self._running.values():
            running.update(data)

    def text(self, name: str) -> str:
        """Return a checksum as the API writes it."""
        return base64.b64encode(self._running[name].digest()).decode()

    def agree(self, claimed: Body) -> bool:
        """Tell whether the checksums that a description names, if any, are those of the bytes."""
        return all(claimed.get(name) in (None, self.text(name)) for name in self._running)


def take_in(path: Path, pieces: Iterator[bytes], draft: ObjectInfo) -> tuple[ObjectInfo, Sums]:
    """Write an object's bytes; return the draft with their size and checksum, and all their checksums."""
    sums, size = Sums(), 0
    try:
        with path.open("wb") as out:
            for piece in pieces:
                out.write(piece)
                sums.update(piece)
                size += len(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return replace(draft, size=size, crc32c=sums.text("crc32c")), sums


def coded(info: ObjectInfo) -> dict[str, str]:
    """Return the header that says in which form the bytes are sent."""
    return {"Content-Encoding": info.content_encoding} if info.content_encoding else {}
