"""Reports: objects that say beside the output what is wrong with an object of the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from batchdrop.core.settings import CommonSettings
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context


def write_report(
    context: Context[CommonSettings],
    name: str,
    body: Mapping[str, Any],
    *,
    before: ObjectInfo | None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a report in place of the one that was there before, if there was one.

    Raises:
        ObjectExistsError: Another worker wrote it meanwhile.
    """
    with context.objects.create(
        context.settings.output_bucket,
        name,
        if_generation_match=before.generation if before else 0,
        content_type="application/json",
        metadata=metadata,
    ) as writer:
        writer.write(msgspec.json.format(msgspec.json.encode(body)) + b"\n")
        writer.close()


def delete_report(context: Context[CommonSettings], report: ObjectInfo | None) -> None:
    """Take an earlier report away, if there is one."""
    if report is not None:
        context.objects.delete(report.bucket, report.name, generation=report.generation)
