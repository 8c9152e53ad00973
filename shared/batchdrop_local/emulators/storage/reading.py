"""An object's bytes on their way out: whole, a range of them, or unpacked."""

from __future__ import annotations

import re

from batchdrop_local.emulators.http import Call, RefusedError, Reply
from batchdrop_local.emulators.storage.api import Api
from batchdrop_local.emulators.storage.bodies import unpacked
from batchdrop_local.emulators.storage.resources import coded
from batchdrop_local.emulators.storage.store import Stored


def media(api: Api, call: Call, stored: Stored) -> Reply:
    """Send the bytes that the call asks for, in the form that it takes."""
    headers = {
        "Content-Type": stored.content_type,
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Hash": f"crc32c={stored.crc32c}",
        "X-Goog-Stored-Content-Encoding": stored.content_encoding or "identity",
        "X-Goog-Stored-Content-Length": str(stored.size),
    }
    if stored.content_encoding == "gzip" and "gzip" not in (
        call.headers.get("Accept-Encoding") or ""
    ):
        # cloud.google.com/storage/docs/transcoding: unpacked for a client that does not take gzip
        return Reply(unpacked(api.store.read(stored, 0, stored.size)), headers)
    start, end, status = _range(call, stored.size)
    headers |= {"Content-Length": str(end - start), **coded(stored)}
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    return Reply(api.store.read(stored, start, end), headers, status)


def _range(call: Call, size: int) -> tuple[int, int, int]:
    """Return what part of an object is asked for, [start, end), and the status that says so (RFC 9110, 14)."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("Range") or "")
    if match is None or not any(match.groups()):
        return 0, size, 200
    if not match[1]:
        return max(size - int(match[2]), 0), size, 206
    start = int(match[1])
    if start >= size:
        raise RefusedError(416, "The requested range cannot be satisfied.")
    return start, min(int(match[2] or size) + 1, size), 206
