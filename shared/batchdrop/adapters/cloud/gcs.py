"""Objects in Cloud Storage, every write with a generation precondition.

A write whose reply was lost finds its own object on the retry and gets 412; so 412, and the 403 of an account that
may create but not replace, mean "exists", and the checksum tells whose it is. (Seen with google-cloud-storage
3.17 through injected faults; cloud.google.com/storage/docs/request-preconditions.)
"""

# The Google clients are partly untyped.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import base64
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, cast

from batchdrop.adapters.reaching import reached
from batchdrop.adapters.refusing import check_object
from batchdrop.core.codes import Code
from batchdrop.core.errors import (
    BatchdropError,
    ObjectExistsError,
    PermanentError,
    TransientError,
)
from batchdrop.core.limits import MIB
from batchdrop.ports import ObjectInfo, ObjectPage

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

CHUNK: Final = 8 * MIB
TIMEOUT_SECONDS: Final = 60


class GcsObjects:
    """An Objects port on Cloud Storage. The client is made when first needed."""

    def __init__(self, project: str) -> None:
        """Open nothing yet."""
        self._project = project

    @cached_property
    def client(self) -> Client:
        """The storage client; it honours STORAGE_EMULATOR_HOST by itself."""
        from google.cloud.storage import Client

        with _translated():
            return Client(project=self._project)

    def stat(
        self, bucket: str, name: str, *, generation: int | None = None
    ) -> ObjectInfo | None:
        """Return the live object, or None; with `generation`, None also when it is no longer that one."""
        with _translated():
            blob = self.client.bucket(bucket).get_blob(name, timeout=TIMEOUT_SECONDS)
        if blob is None or generation not in (None, int(blob.generation or 0)):
            return None
        return _info(blob)

    def read(
        self,
        bucket: str,
        name: str,
        *,
        generation: int | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> Iterator[bytes]:
        """Stream the bytes [start, end) of one generation as stored, 8 MiB a request; GONE if it is absent."""
        info = self.stat(bucket, name, generation=generation)
        if info is None:
            raise _gone()
        blob = self.client.bucket(bucket).blob(name, generation=info.generation)
        stop = info.size if end is None else min(end, info.size)
        for offset in range(start, stop, CHUNK):
            end = min(offset + CHUNK, stop)
            with _translated():
                data: bytes = blob.download_as_bytes(
                    start=offset,
                    end=end - 1,
                    raw_download=True,
                    checksum=cast("str", None),
                    timeout=TIMEOUT_SECONDS,
                )
            if len(data) != end - offset:
                raise TransientError(Code.STORAGE_UNAVAILABLE)
            yield data

    def create(
        self,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> GcsWriter:
        """Open a writer whose `close` succeeds only on the given generation (0: no such object)."""
        check_object(bucket, name, metadata or {})
        blob = self.client.bucket(bucket).blob(name)
        blob.metadata = dict(metadata) if metadata else None
        return GcsWriter(self, blob, if_generation_match, content_type)

    def copy(
        self,
        source: ObjectInfo,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Copy that generation server-side, metadata kept unless given; PermanentError GONE if it is gone.

        What describes the copy is named, all of it: a body that names some replaces all
        (cloud.google.com/storage/docs/json_api/v1/objects/rewrite), and what the client sends unasked may change.
        """
        described = dict(source.metadata if metadata is None else metadata)
        check_object(bucket, name, described)
        origin = self.client.bucket(source.bucket).blob(
            source.name, generation=source.generation
        )
        target = self.client.bucket(bucket).blob(name)
        target.content_type = source.content_type or None
        target.content_encoding = source.content_encoding or None
        target.metadata = described
        token: str | None = None
        with _translated():
            while True:
                token, _, _ = target.rewrite(
                    origin,
                    token=token,
                    if_generation_match=if_generation_match,
                    timeout=TIMEOUT_SECONDS,
                )
                if token is None:
                    return _info(target)

    def list(
        self,
        bucket: str,
        *,
        prefix: str = "",
        page_token: str | None = None,
        page_size: int = 1000,
    ) -> ObjectPage:
        """List live objects in name order."""
        with _translated():
            listing: Any = self.client.list_blobs(
                bucket,
                prefix=prefix or None,
                page_token=page_token,
                page_size=page_size,
                max_results=page_size,
                timeout=TIMEOUT_SECONDS,
            )
            found = tuple(_info(blob) for blob in next(listing.pages, ()))
        return ObjectPage(found, listing.next_page_token or None)

    def delete(self, bucket: str, name: str, *, generation: int | None = None) -> bool:
        """Delete the object (only that generation, if given); False when there was nothing to delete."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        blob = self.client.bucket(bucket).blob(name)
        with _translated():
            try:
                blob.delete(if_generation_match=generation, timeout=TIMEOUT_SECONDS)
            except (NotFound, PreconditionFailed):
                return False
        return True


class GcsWriter:
    """An object being written: one request up to 8 MiB, above it a resumable upload of 8 MiB chunks."""

    def __init__(
        self, objects: GcsObjects, blob: Blob, generation: int, content_type: str
    ) -> None:
        """Send nothing yet."""
        import google_crc32c

        self._objects = objects
        self._blob = blob
        self._options: dict[str, Any] = {
            "if_generation_match": generation,
            "content_type": content_type,
            "timeout": TIMEOUT_SECONDS,
        }
        self._checksum = google_crc32c.Checksum()
        self._buffer = bytearray()
        self._size = 0
        self._resumable: Any = None
        self._exists = False
        """The object is there already: nothing more is sent, and `close` compares."""
        self._closed = False

    def write(self, data: bytes) -> None:
        """Append bytes; one chunk is held."""
        self._checksum.update(data)
        self._size += len(data)
        self._buffer += data
        if len(self._buffer) > CHUNK:
            if not self._exists:
                self._send_chunks()
            self._buffer.clear()

    def close(self) -> ObjectInfo:
        """Make the object visible whole, or raise ObjectExistsError when the precondition fails."""
        self._closed = True
        if not self._exists:
            self._send_rest()
        found = self._objects.stat(self._blob.bucket.name, str(self._blob.name))
        if found is None:
            raise TransientError(Code.OBJECT_GONE)
        if (found.size, found.crc32c) != (self._size, self._crc32c()):
            raise ObjectExistsError("the object exists with other bytes")
        return found

    def abort(self) -> None:
        """Drop what was written; a no-op after `close`."""
        if not self._closed:
            self._closed = True
            self._drop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Abort unless closed."""
        self.abort()

    def _drop(self) -> None:
        """Cancel the upload under way.

        The client's writer must end closed: its destructor finishes what is open, as an object cut off where it was
        (google-cloud-storage 3.17, fileio.BlobWriter.close).
        """
        resumable, self._resumable = self._resumable, None
        if resumable is None:
            return
        try:
            with _translated():
                resumable.terminate()
        except BatchdropError:
            resumable._buffer.close()  # noqa: SLF001 - there is no other way

    def _crc32c(self) -> str:
        return base64.b64encode(self._checksum.digest()).decode()

    def _send_chunks(self) -> None:
        with self._sending():
            if self._resumable is None:
                self._resumable = self._blob.open(
                    "wb", chunk_size=CHUNK, **self._options
                )
            self._resumable.write(bytes(self._buffer))

    def _send_rest(self) -> None:
        with self._sending():
            if self._resumable is None:
                self._blob.upload_from_string(
                    bytes(self._buffer), checksum="crc32c", **self._options
                )
            else:
                self._resumable.write(bytes(self._buffer))
                self._resumable.close()

    @contextmanager
    def _sending(self) -> Generator[None]:
        """Send, unless the object exists; that the precondition failed is said by `close`, for other bytes only."""
        try:
            with _translated():
                yield
        except ObjectExistsError:
            self._exists = True
            self._drop()


@contextmanager
def _translated() -> Generator[None]:
    """Translate what the client and its transport raise."""
    from google.api_core import exceptions
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    try:
        with reached(Code.STORAGE_UNAVAILABLE):
            yield
    except exceptions.PreconditionFailed:
        raise ObjectExistsError("the object exists in another generation") from None
    except exceptions.NotFound:
        raise _gone() from None
    except exceptions.Forbidden as error:
        if "storage.objects.delete" in str(error):
            raise ObjectExistsError(
                "the object exists and may not be replaced"
            ) from None
        raise TransientError(Code.BUCKET_FORBIDDEN) from None
    except InvalidResponse as error:
        _raise_for_status(int(error.response.status_code))
    except (exceptions.GoogleAPICallError, DataCorruption):
        raise TransientError(Code.STORAGE_UNAVAILABLE) from None


def _raise_for_status(status: int) -> None:
    if status == 412:
        raise ObjectExistsError("the object exists in another generation")
    if status == 404:
        raise _gone()
    if status == 403:
        raise ObjectExistsError("the object exists and may not be replaced")
    raise TransientError(Code.STORAGE_UNAVAILABLE)


def _info(blob: Blob) -> ObjectInfo:
    return ObjectInfo(
        bucket=blob.bucket.name,
        name=str(blob.name),
        generation=int(blob.generation or 0),
        size=int(blob.size or 0),
        crc32c=str(blob.crc32c or ""),
        created_at=blob.time_created or datetime.now(UTC),
        content_type=blob.content_type or "",
        content_encoding=blob.content_encoding or "",
        metadata=dict(blob.metadata or {}),
    )


def _gone() -> PermanentError:
    return PermanentError(Code.GONE)
