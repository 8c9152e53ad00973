"""Images, documents and sound of other APIs as Gemini parts.

    data:image/png;base64,…     inlineData, bytes and type as given
    https://…   gs://…          fileData, the address as it stands, the type from its path's ending
    http://…    anything else   refused

The Gemini API fetches public and signed https addresses itself, at the time it runs a request, and that includes
batches (ai.google.dev/gemini-api/docs/file-input-methods, read in a stored copy 2026-11-23).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from batchdrop.core.problem import Code
from batchdrop.dialects.gemini import fields
from batchdrop.dialects.hub import Hub, checked, refuse, warn
from batchdrop.dialects.line import Caution, Json

IMAGE: Final = "image/jpeg"
DOCUMENT: Final = "application/pdf"
_UPLOADED: Final = "https://generativelanguage.googleapis.com/"
_ENDINGS: Final = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "xml": "text/xml",
    "json": "application/json",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
}
"""Ours and short: the standard library's table differs from machine to machine."""


def inline(data: str, mime: str, pointer: str) -> Json:
    """Return base64 bytes as a part, or refuse the line."""
    return _valid({"inlineData": {"mimeType": mime, "data": data}}, pointer)


def by_address(hub: Hub, address: str, pointer: str, default: str) -> Json:
    """Return what a data, https or gs address names as a part, or refuse the line.

    Args:
        hub: Takes the warnings: that the service fetches the address, that the type is a guess.
        address: The address.
        pointer: Where it stands in the user's line.
        default: The MIME type when the address does not tell.
    """
    if address.startswith("data:"):
        head, _, data = address.partition(",")
        if not head.endswith(";base64"):
            refuse(
                Code.BAD_URI,
                pointer,
                "The data address is not in base64.",
                "Write data:TYPE;base64,…",
            )
        return inline(data, head[5:].split(";")[0] or default, pointer)
    if not address.startswith(("https://", "gs://")):
        refuse(Code.BAD_URI, pointer, "The value is no data, https or gs address.")
    if address.startswith("https://") and not address.startswith(_UPLOADED):
        warn(
            hub,
            Caution.REMOTE_MEDIA,
            pointer,
            "The service fetches the address when it runs the batch.",
        )
    mime = by_name(_path(address))
    if mime is None:
        warn(
            hub,
            Caution.APPROXIMATED,
            pointer,
            f"The address does not tell the type; {default} is assumed.",
        )
    return _valid(
        {"fileData": {"fileUri": address, "mimeType": mime or default}}, pointer
    )


def by_name(name: str) -> str | None:
    """Return the MIME type a file's name tells, or None."""
    return _ENDINGS.get(name.rpartition(".")[2].lower())


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _valid(part: Json, pointer: str) -> Json:
    checked(fields.REQUEST["contents"], {"parts": [part]}, pointer, at=pointer)
    return part
