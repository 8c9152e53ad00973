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

from batchdrop_local.emulators.http import Json, RefusedError
from batchdrop_local.emulators.storage.store import Stored

METAGENERATION = 1
"""Descriptions are not numbered here: a condition on another number than this one fails."""


def resource(stored: Stored, root: str) -> Json:
    """Return an object resource; `root` is the server's address."""
    path = f"storage/v1/b/{stored.bucket}/o/{quote(stored.name, safe='')}"
    created = stored.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "kind": "storage#object",
        "id": f"{stored.bucket}/{stored.name}/{stored.generation}",
        "selfLink": f"{root}/{path}",
        "mediaLink": f"{root}/download/{path}?generation={stored.generation}&alt=media",
        "name": stored.name,
        "bucket": stored.bucket,
        "generation": str(stored.generation),
        "metageneration": str(METAGENERATION),
        "etag": base64.b64encode(
            f"{stored.generation}/{METAGENERATION}".encode()
        ).decode(),
        "size": str(stored.size),
        "crc32c": stored.crc32c,
        "contentType": stored.content_type,
        "timeCreated": created,
        "updated": created,
        "storageClass": "STANDARD",
        **(
            {"contentEncoding": stored.content_encoding}
            if stored.content_encoding
            else {}
        ),
        **(
            {"metadata": dict(stored.metadata)} if stored.metadata else {}
        ),  # what is empty is left out
    }


def bucket_resource(name: str) -> Json:
    """Return a bucket resource; every name is a bucket."""
    if not name:
        raise RefusedError(400, "A bucket must have a name.")
    return {
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "location": "LOCAL",
        "locationType": "region",
        "metageneration": "1",
        "storageClass": "STANDARD",
    }


def described_as(stored: Stored, body: Json) -> Stored:
    """Return an object with a description of its own; what the description leaves out has its default."""
    return replace(
        stored,
        content_type=str(body.get("contentType") or "application/octet-stream"),
        content_encoding=str(body.get("contentEncoding") or ""),
        metadata={
            name: str(value)
            for name, value in _given(body).items()
            if value is not None
        },
    )


def changed(stored: Stored, body: Json) -> Stored:
    """Return an object with a patched description: null removes a field, what is not named stays."""
    cleared = "metadata" in body and body["metadata"] is None
    metadata: Json = {} if cleared else {**stored.metadata, **_given(body)}
    merged: Json = {
        "contentType": stored.content_type,
        "contentEncoding": stored.content_encoding,
        **body,
    }
    return described_as(stored, merged | {"metadata": metadata})


def _given(body: Json) -> Json:
    """Return the metadata that a description gives, by name; null stands for a name to remove."""
    given: object = body.get("metadata") or {}
    if not isinstance(given, dict):
        raise RefusedError(400, "metadata must be an object.")
    return cast("Json", given)


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

    def agree(self, claimed: Json) -> bool:
        """Tell whether the checksums that a description names, if any, are those of the bytes."""
        return all(
            claimed.get(name) in (None, self.text(name)) for name in self._running
        )


def take_in(path: Path, pieces: Iterator[bytes], draft: Stored) -> tuple[Stored, Sums]:
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


def coded(stored: Stored) -> dict[str, str]:
    """Return the header that says in which form the bytes are sent."""
    return (
        {"Content-Encoding": stored.content_encoding} if stored.content_encoding else {}
    )
