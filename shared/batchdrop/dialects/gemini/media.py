"""Binary parts of answers: found, and taken out of the response.

A response keeps its shape: in place of `data` an `inlineData` names the object (`file`) that holds the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from batchdrop.core.result.inline import Inline


def taken_out(
    response: bytes,
) -> tuple[dict[str, Any], list[tuple[dict[str, Any], Inline]]]:
    """Return a decoded response and its binary parts, each with the object in it that held the bytes.

    Thoughts' drafts are parts like others. The caller writes the bytes away and puts `file` in.
    """
    body: dict[str, Any] = msgspec.json.decode(response)
    found: list[tuple[dict[str, Any], Inline]] = []
    for part in _parts(body):
        holder: Any = part.get("inlineData") or part.get("inline_data")
        if isinstance(holder, dict) and isinstance(holder.get("data"), str):  # pyright: ignore[reportUnknownMemberType]
            blob = cast("dict[str, Any]", holder)
            mime = str(blob.get("mimeType") or blob.get("mime_type") or "")
            found.append((blob, Inline(mime, blob.pop("data"))))
    return body, found


def _parts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for candidate in cast("list[dict[str, Any]]", body.get("candidates") or []):
        content = cast("dict[str, Any]", candidate.get("content") or {})
        yield from cast("list[dict[str, Any]]", content.get("parts") or [])
