"""Attaching: the objects that requests name become files of the provider, for as long as their shard needs them.

    plan     every object is looked at once: its bucket allowed, there, of a size the provider takes; else its lines are
             rejected before any money is spent
    stage    the shard's objects are uploaded, a group at a time; what is uploaded stands in work objects that the
             record names, so a message that runs out of time is followed by one that goes on
    settle   the shard's files are deleted; what a redo needs is uploaded again, so no file has to outlive its shard

An object that vanished since it was looked at stays in its line as it is, and the provider says what it makes of it.
Only buckets the stack allows are read, and of INPUT the upload's own first folder: else an uploader could read, with
the function's rights, what is not theirs. An address that is not attached goes out as it is and is looked at too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from batchdrop.core.address import SCHEME, address, own_folder
from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.logs import log
from batchdrop.core.settings import DispatchSettings
from batchdrop.core.state import names
from batchdrop.core.state.identity import with_object
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.dialects.dialect import Named
from batchdrop.dialects.line import Rejected
from batchdrop.ports import ObjectInfo
from batchdrop.steps import work
from batchdrop.steps.context import Context
from batchdrop.steps.progress import go_on_later, keep
from batchdrop.steps.shard_lines import bodies
from batchdrop.steps.stack import stack_id
from batchdrop.store import Stored

Dispatching = Context[DispatchSettings]

AT_ONCE: Final = 8
"""Uploads and deletions under way at the same time."""
GROUP: Final = 32
"""So many uploads are named in the record together; a crash repeats at most these."""
REMEMBERED: Final = 100_000
"""Objects a planning step remembers having looked at."""
STANDARD_MARGIN: Final = timedelta(hours=1)


class Looked:
    """The objects a planning step has looked at: their sizes, or why they cannot be attached."""

    def __init__(self, context: Dispatching, job: Job, checksum: str = "") -> None:
        """Begin with no object looked at, and with the checksum of those that earlier steps attached."""
        self._context = context
        self._language = context.language_of(job)
        self._upload = job.source.object
        self._most = context.provider_of(job).facts.max_file_bytes
        self._known: dict[str, ObjectInfo | tuple[Code, str]] = {}
        self.checksum = checksum

    def at(self, line: bytes, key: bytes) -> dict[str, int] | Rejected:
        """Return the sizes of the objects a line attaches, or the first thing wrong with an address in it."""
        for pointer, uri in self._language.addresses(line):
            refused = _refused(self._context, self._upload, uri)
            if refused is not None:
                return _rejected(key, pointer, uri, refused)
        objects: dict[str, ObjectInfo] = {}
        for pointer, uri, _ in self._attached(line):
            info = self._look(uri)
            if isinstance(info, tuple):
                return _rejected(key, pointer, uri, info)
            objects[uri] = info
        for uri, info in objects.items():
            self.checksum = with_object(self.checksum, uri, info.crc32c, info.size)
        return {uri: info.size for uri, info in objects.items()}

    def _attached(self, line: bytes) -> list[Named]:
        attachments = self._language.attachments
        return attachments.named_by_line(line) if attachments else []

    def _look(self, uri: str) -> ObjectInfo | tuple[Code, str]:
        if uri not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[uri] = _object(self._context, self._upload, uri, self._most)
        return self._known[uri]


def _rejected(key: bytes, pointer: str, uri: str, reason: tuple[Code, str]) -> Rejected:
    code, message = reason
    return Rejected(key, code, pointer, f"{message} ({uri})", code.fix)


def _refused(context: Dispatching, upload: str, uri: str) -> tuple[Code, str] | None:
    """Say why an upload may not name an object, whether or not there is one.

    Who may put an upload above all folders may put one into each of them, so it may name objects of each.
    """
    bucket, name = address(uri)
    if not uri.startswith(SCHEME):
        return Code.BAD_URI, "An object's address begins with gs:// and nothing else."
    if bucket not in context.settings.buckets_to_attach():
        return (
            Code.ATTACHMENT_FORBIDDEN,
            "This stack attaches no objects of that bucket.",
        )
    folder = own_folder(upload)
    own = bucket != context.settings.input_bucket or name.startswith(folder)
    if not own and context.settings.attachment_folders == "own":
        return (
            Code.ATTACHMENT_FORBIDDEN,
            f"An upload may name objects of its own folder, {folder}, only.",
        )
    return None


def _object(
    context: Dispatching, upload: str, uri: str, most: int
) -> ObjectInfo | tuple[Code, str]:
    """Return an object of at most so many bytes that can be attached, or why it cannot."""
    refused = _refused(context, upload, uri)
    if refused is not None:
        return refused
    bucket, name = address(uri)
    info = context.objects.stat(bucket, name) if name else None
    if info is None:
        return Code.ATTACHMENT_MISSING, Code.ATTACHMENT_MISSING.sentence
    if not 0 < info.size <= most:
        return Code.ATTACHMENT_SIZE, f"The object has {info.size} bytes."
    return info


# ------------------------------------------------------------------------------------------------ uploading
class File(msgspec.Struct, frozen=True):
    """An uploaded object: its address, the provider's file, and until when that lives."""

    object: str
    name: str
    uri: str
    expires_at: datetime


_decode_file = msgspec.json.Decoder(File).decode


def attach(
    context: Dispatching, stored: Stored[Shard], job: Job
) -> tuple[Stored[Shard], list[File]] | None:
    """Upload what a shard's lines name and is not there yet; None when the time is over and a message continues."""
    shard = stored.value
    if not shard.attached_bytes or context.provider_of(shard).files is None:
        return stored, []
    files = _living(context, shard)
    wanted = {
        uri: kind for uri, kind in _wanted(context, job, shard) if uri not in files
    }
    upload = partial(_upload, context, shard, job.source.object)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rest = iter(wanted.items())
        while group := list(islice(rest, GROUP)):
            if context.time_left.over():
                _go_on_later(context, stored)
                return None
            uploaded = [file for file in pool.map(upload, group) if file is not None]
            stored = _keep(context, stored, uploaded)
            files |= {file.object: file for file in uploaded}
    return stored, list(files.values())


def _living(context: Dispatching, shard: Shard) -> dict[str, File]:
    """Return the shard's files that will be there for as long as it needs them, by their objects."""
    needed = context.now() + _margin(context, shard)
    files = _files(context, shard)
    return {file.object: file for file in files if file.expires_at > needed}


def _go_on_later(context: Dispatching, stored: Stored[Shard]) -> None:
    """Continue in a new message: the time is over."""
    go_on_later(context, stored)
    shard = stored.value
    log("attaching continues", shard_id=shard.shard_id, lists=len(shard.attached))


def detach(context: Dispatching, shard: Shard) -> None:
    """Delete a shard's files at the provider."""
    files = context.provider_of(shard).files
    found = [file.name for file in _files(context, shard)]
    if files is not None and found:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(files.delete_file, found))


def uris(files: Iterable[File]) -> Mapping[str, str]:
    """Return the provider's addresses by the objects'."""
    return {file.object: file.uri for file in files}


def _margin(context: Dispatching, shard: Shard) -> timedelta:
    """How long a file must live on: until the batch has surely been read, or the answers are there."""
    if shard.route.asks:
        return STANDARD_MARGIN
    facts = context.provider_of(shard).facts
    return timedelta(
        seconds=context.settings.batch_deadline_seconds(facts, shard.model)
    )


def _files(context: Dispatching, shard: Shard) -> Iterator[File]:
    for name in shard.attached:
        yield from map(_decode_file, work.lines(context, name))


def _wanted(context: Dispatching, job: Job, shard: Shard) -> Iterator[tuple[str, str]]:
    """Yield each object of the shard's lines with the type its request gives it."""
    attachments = context.language_of(shard).attachments
    if attachments is None:
        return
    for _, body in bodies(context, job, shard):
        for found in attachments.named(body):
            yield found.uri, found.mime_type


def _upload(
    context: Dispatching, shard: Shard, upload: str, wanted: tuple[str, str]
) -> File | None:
    """Stream one object to the provider; None when it cannot be attached any more."""
    uri, kind = wanted
    provider = context.provider_of(shard)
    info = _object(context, upload, uri, provider.facts.max_file_bytes)
    if provider.files is None:
        return None
    if not isinstance(info, ObjectInfo):
        code = info[0].value
        log("object vanished", severity="WARNING", shard_id=shard.shard_id, code=code)
        return None
    chunks = context.objects.read(info.bucket, info.name, generation=info.generation)
    name = names.display_name(stack_id(context), shard.shard_id)
    kind = kind or info.content_type
    try:
        file = provider.files.upload(chunks, size=info.size, name=name, mime_type=kind)
    except PermanentError as error:
        log(
            "object not uploaded",
            severity="WARNING",
            shard_id=shard.shard_id,
            code=error.code,
        )
        return None
    life = timedelta(seconds=provider.facts.file_life)
    return File(uri, file.name, file.uri, file.expires_at or context.now() + life)


def _keep(
    context: Dispatching, stored: Stored[Shard], files: list[File]
) -> Stored[Shard]:
    """Name uploaded files in the record: progress."""
    if not files:
        return stored
    shard, now = stored.value, context.now()
    name = names.attached(shard.shard_id, shard.fence, len(shard.attached))
    work.put(context, name, (msgspec.json.encode(file) + b"\n" for file in files))
    return keep(context, stored, lambda shard: shard.with_attached(now, name))
