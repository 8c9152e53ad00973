"""Objects in a folder: data in plain files a person can open, names and generations in one SQLite index.

    <root>/<bucket>/<name>         the bytes, never changed once visible; elsewhere when the place is taken (`places`)
    <root>/.index.sqlite           name -> generation, size, checksum, metadata, file (`object_index`)
    <root>/.writing/               objects being written; nothing in it is visible

The index row is committed after the file is in place, so a crash leaves at most a file that no name points to.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import google_crc32c

from batchdrop.adapters.local import places
from batchdrop.adapters.local.object_index import Indexed, ObjectIndex
from batchdrop.adapters.refusing import check_object
from batchdrop.core.codes import Code
from batchdrop.core.errors import ObjectExistsError, PermanentError
from batchdrop.core.limits import MIB
from batchdrop.ports import ObjectInfo, ObjectPage

ANY: Final = -1
"""In a draft: no precondition."""


class DirectoryObjects:
    """An Objects port on one folder. Buckets come into being with their first object."""

    def __init__(
        self, root: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Open or make the folder and its index; `now` dates new objects."""
        self._root = root
        self.now = now
        self._writing = root / ".writing"
        self._writing.mkdir(parents=True, exist_ok=True)
        self._index = ObjectIndex(root / ".index.sqlite")

    # ------------------------------------------------------------------------------------------------ reading
    def stat(
        self, bucket: str, name: str, *, generation: int | None = None
    ) -> ObjectInfo | None:
        """Return the live object, or None; with `generation`, None also when it is no longer that one."""
        found = self._index.find(bucket, name)
        if found is None or not found.is_of(generation):
            return None
        return found.info

    def read(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> Iterator[bytes]:
        """Stream the bytes [start, end) of one generation; PermanentError GONE if it is absent."""
        with self._opened(bucket, name, generation) as source:
            source.seek(start)
            if end is None:
                while chunk := source.read(MIB):
                    yield chunk
                return

            left = max(end - start, 0)
            while chunk := source.read(min(MIB, left)):
                left -= len(chunk)
                yield chunk

    def list(
        self,
        bucket: str,
        *,
        prefix: str = "",
        page_token: str | None = None,
        page_size: int = 1000,
    ) -> ObjectPage:
        """List live objects in name order (by UTF-8 bytes, as Cloud Storage does)."""
        most = page_size + 1  # one more than asked for shows that there is a next page
        listed = self._index.list(bucket, prefix, page_token or "", most)
        page = tuple(listed[:page_size])
        more = len(listed) > page_size
        next_token = page[-1].name if more else None
        return ObjectPage(page, next_token)

    @contextmanager
    def _opened(self, bucket: str, name: str, generation: int | None) -> Generator[Any]:
        while True:
            found = self._live(bucket, name, generation)
            try:
                source = (self._root / found.file).open("rb")
            except FileNotFoundError:
                continue  # replaced between the look-up and here

            with source:
                yield source
            return

    def _live(self, bucket: str, name: str, generation: int | None) -> Indexed:
        """Return the live object if it is the generation that is meant; PermanentError GONE if it is not."""
        found = self._index.find(bucket, name)
        if found is None or not found.is_of(generation):
            raise _gone()
        return found

    # ------------------------------------------------------------------------------------------------ writing
    def create(
        self,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> FileWriter:
        """Open a writer whose `close` succeeds only on the given generation (0: no such object)."""
        check_object(bucket, name, metadata or {})

        draft = ObjectInfo(
            bucket=bucket,
            name=name,
            generation=if_generation_match,
            size=0,
            crc32c="",
            created_at=self.now(),
            content_type=content_type,
            metadata=dict(metadata or {}),
        )
        return FileWriter(self, self._new_file(), draft)

    def copy(
        self,
        source: ObjectInfo,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Link that generation's file under another name; PermanentError GONE if it is gone."""
        found = self._live(source.bucket, source.name, source.generation)
        link = self._new_file()
        try:
            os.link(self._root / found.file, link)
        except FileNotFoundError:
            raise _gone() from None

        draft = replace(
            found.info,
            bucket=bucket,
            name=name,
            generation=if_generation_match,
            created_at=self.now(),
            metadata=found.info.metadata if metadata is None else dict(metadata),
        )
        return self.publish(link, draft)

    def publish(self, written: Path, draft: ObjectInfo) -> ObjectInfo:
        """Make a written file visible if the precondition in `draft.generation` holds; the writer's last step.

        Raises:
            ObjectExistsError: It does not hold.
            PermanentError: Cloud Storage takes no object of this name or with this metadata.
        """
        with contextlib.ExitStack() as undo:
            undo.callback(written.unlink, missing_ok=True)
            check_object(draft.bucket, draft.name, draft.metadata)
            with self._index.transaction():
                before = self._index.find(draft.bucket, draft.name)
                _must_match(draft, before)
                published = self._place(written, draft)

        if before is not None:
            places.remove(self._root, before.file)
        return published

    def _place(self, written: Path, draft: ObjectInfo) -> ObjectInfo:
        """Give a file its place, then its draft the next generation in the index."""
        generation = self._index.next_generation(self.now())
        info = replace(draft, generation=generation)
        file = places.place(
            self._root,
            written,
            info.bucket,
            info.name,
            generation,
        )
        self._index.put(info, file)
        return info

    def _new_file(self) -> Path:
        return self._writing / secrets.token_hex(8)

    # ----------------------------------------------------------------------------------------------- changing
    def delete(self, bucket: str, name: str, *, generation: int | None = None) -> bool:
        """Delete the object (only that generation, if given); False when there was nothing to delete."""
        with self._index.transaction():
            found = self._index.find(bucket, name)
            if found is None or not found.is_of(generation):
                return False
            self._index.remove(bucket, name)

        places.remove(self._root, found.file)
        return True

    def describe(self, info: ObjectInfo) -> ObjectInfo:
        """Replace the type, encoding and metadata of a live generation; PermanentError GONE if it is gone."""
        with self._index.transaction():
            described = self._index.describe(info)
        if not described:
            raise _gone()
        return info


class FileWriter:
    """An object being written: nothing is visible before `close`, nothing remains after `abort`."""

    def __init__(
        self, objects: DirectoryObjects, path: Path, draft: ObjectInfo
    ) -> None:
        """Open the file below `.writing`."""
        self._objects = objects
        self._path = path
        self._draft = draft
        self._file = path.open("xb")
        self._checksum = google_crc32c.Checksum()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self._checksum.update(data)
        self._size += len(data)

    def close(self) -> ObjectInfo:
        """Make the object visible whole, or raise ObjectExistsError when the precondition fails."""
        self._file.close()
        checksum = base64.b64encode(self._checksum.digest())
        written = replace(
            self._draft,
            size=self._size,
            crc32c=checksum.decode(),
            created_at=self._objects.now(),
        )

        try:
            return self._objects.publish(self._path, written)
        except ObjectExistsError:
            there = self._objects.stat(written.bucket, written.name)
            if there is not None and _same_bytes(there, written):
                return there
            raise

    def abort(self) -> None:
        """Drop what was written; a no-op after `close`."""
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Abort unless closed."""
        self.abort()


def _must_match(draft: ObjectInfo, before: Indexed | None) -> None:
    live = 0 if before is None else before.info.generation
    if draft.generation not in (ANY, live):
        raise ObjectExistsError("the object exists in another generation")


def _same_bytes(one: ObjectInfo, other: ObjectInfo) -> bool:
    return (one.size, one.crc32c) == (other.size, other.crc32c)


def _gone() -> PermanentError:
    return PermanentError(Code.GONE)
