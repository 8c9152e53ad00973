"""A page of a bucket's listing: objects in name order, and the folders that a delimiter makes of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator

from batchdrop_local.emulators.http import Call, Json, RefusedError
from batchdrop_local.emulators.storage.bodies import number
from batchdrop_local.emulators.storage.store import Store, Stored

PAGE = 1000
LAST = "\U0010ffff"
"""No name that begins with a folder's comes after the folder's name and this."""


def page(
    store: Store, bucket: str, call: Call, resource: Callable[[Stored], Json]
) -> Json:
    """Return the page that a call's parameters ask for (json_api/v1/objects/list)."""
    if call.query.get("softDeleted", "").lower() == "true":
        return {"kind": "storage#objects"}
    size = min(number(call, "maxResults") or PAGE, PAGE)
    items: list[Json] = []
    folders: list[str] = []
    body: Json = {"kind": "storage#objects", "items": items, "prefixes": folders}
    after = _token(call.query.get("pageToken"))
    for entry in _entries(store, bucket, call, after):
        if len(items) + len(folders) == size:
            body["nextPageToken"] = (
                base64.urlsafe_b64encode(after.encode()).decode() if after else ""
            )
            break
        if isinstance(entry, str):
            folders.append(entry)
            after = entry + LAST
        else:
            items.append(resource(entry))
            after = entry.name
    return body


def _entries(
    store: Store, bucket: str, call: Call, after: str | None
) -> Iterator[Stored | str]:
    """Yield objects and folders in name order, from behind `after`."""
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    begin, end = call.query.get("startOffset", ""), call.query.get("endOffset", "")
    pattern = _pattern(call.query["matchGlob"]) if call.query.get("matchGlob") else None
    while True:
        listed = store.list(bucket, prefix, after, PAGE)
        for stored in listed:
            after = stored.name
            if (
                after < begin
                or (end and after >= end)
                or (pattern and not pattern.fullmatch(after))
            ):
                continue
            folder, cut, _ = (
                after[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            )
            if cut:
                yield prefix + folder + cut
                after = prefix + folder + cut + LAST
                break
            yield stored
        else:
            if len(listed) < PAGE:
                return


def _token(token: str | None) -> str | None:
    if not token:
        return None
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise RefusedError(400, "Invalid value for pageToken.") from None


def _pattern(glob: str) -> re.Pattern[str]:
    """Return a glob as an expression: `*` stops at a slash, `**` does not (storage/docs/json_api, matchGlob)."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile(
        "".join(words.get(part) or re.escape(part) for part in parts), re.DOTALL
    )
