"""A page of a bucket's listing: objects in name order, and the folders that a delimiter makes of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.storage.http import Body, Call, HttpError

PAGE = 1000
LAST = "\U0010ffff"
"""No name that begins with a folder's comes after the folder's name and this."""


def page(objects: DirectoryObjects, bucket: str, call: Call, resource: Callable[[ObjectInfo], Body]) -> Body:
    """Return the page that a call's parameters ask for (json_api/v1/objects/list)."""
    if call.query.get("softDeleted", "").lower() == "true":
        return {"kind": "storage#objects"}
    size = min(call.number("maxResults") or PAGE, PAGE)
    items: list[Body] = []
    folders: list[str] = []
    body: Body = {"kind": "storage#objects", "items": items, "prefixes": folders}
    after = _token(call.query.get("pageToken"))
    for entry in _entries(objects, bucket, call, after):
        if len(items) + len(folders) == size:
            body["nextPageToken"] = base64.urlsafe_b64encode(after.encode()).decode() if after else ""
            break
        if isinstance(entry, str):
            folders.append(entry)
            after = entry + LAST
        else:
            items.append(resource(entry))
            after = entry.name
    return body


def _entries(objects: DirectoryObjects, bucket: str, call: Call, after: str | None) -> Iterator[ObjectInfo | str]:
    """Yield objects and folders in name order, from behind `after`."""
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    begin, end = call.query.get("startOffset", ""), call.query.get("endOffset", "")
    pattern = _pattern(call.query["matchGlob"]) if call.query.get("matchGlob") else None
    while True:
        found = objects.list(bucket, prefix=prefix, page_token=after, page_size=PAGE)
        for info in found.objects:
            after = info.name
            if info.name < begin or (end and info.name >= end) or (pattern and not pattern.fullmatch(info.name)):
                continue
            folder, cut, _ = info.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if cut:
                yield prefix + folder + cut
                after = prefix + folder + cut + LAST
                break
            yield info
        else:
            if found.next_token is None:
                return


def _token(token: str | None) -> str | None:
    if not token:
        return None
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise HttpError(400, "Invalid value for pageToken.") from None


def _pattern(glob: str) -> re.Pattern[str]:
    """Return a glob as an expression: `*` stops at a slash, `**` does not (storage/docs/json_api, matchGlob)."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile("".join(words.get(part) or re.escape(part) for part in parts), re.DOTALL)
