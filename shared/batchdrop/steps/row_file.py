"""Rows on their way into an object, in WORK or in OUTPUT; an object without rows is never made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from batchdrop.core.limits import MIB
from batchdrop.core.settings import CommonSettings
from batchdrop.ports import ObjectInfo, ObjectWriter
from batchdrop.steps.context import Context

BUFFER_BYTES: Final = MIB


class RowFile:
    """An object of rows, opened by its first row, written in large pieces."""

    def __init__(
        self, context: Context[CommonSettings], bucket: str, name: str
    ) -> None:
        """Open nothing yet."""
        self._context = context
        self._address = (bucket, name)
        self._writer: ObjectWriter | None = None
        self._buffer: list[bytes] = []
        self._held = 0
        self.rows = 0

    def add(self, row: bytes) -> None:
        """Append one row."""
        self._buffer.append(row)
        self._held += len(row)
        self.rows += 1
        if self._held >= BUFFER_BYTES:
            self._flush()

    def add_all(self, rows: Sequence[bytes]) -> None:
        """Append rows, some at a time."""
        self._buffer.extend(rows)
        self._held += sum(map(len, rows))
        self.rows += len(rows)
        if self._held >= BUFFER_BYTES:
            self._flush()

    def close(self) -> ObjectInfo | None:
        """Make the object visible; None when it has no rows."""
        if not self.rows:
            return None
        return self._flush().close()

    def abort(self) -> None:
        """Drop what was written."""
        if self._writer is not None:
            self._writer.abort()

    def _flush(self) -> ObjectWriter:
        if self._writer is None:
            bucket, name = self._address
            self._writer = self._context.objects.create(
                bucket, name, content_type="application/x-ndjson"
            )
        self._writer.write(b"".join(self._buffer))
        self._buffer.clear()
        self._held = 0
        return self._writer
