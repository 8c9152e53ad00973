"""Refusals of uploads: which object was answered with one, and where it stands (`plan.refuse` writes them)."""

from __future__ import annotations

from typing import Final

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state import names
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context

GENERATION: Final = "generation"
"""The metadata of a refusal that says which generation of the upload it answers."""


def is_refused(context: Context[CommonSettings], info: ObjectInfo) -> bool:
    """Tell from a listing whether this generation of an object was refused."""
    return answers(refusal_of(context, info), info)


def refusal_of(context: Context[CommonSettings], info: ObjectInfo) -> ObjectInfo | None:
    """Return the refusal of an object, whichever generation of it was refused."""
    bucket = context.settings.output_bucket
    name = names.refusal(info.bucket, info.name)
    page = context.objects.list(bucket, prefix=name, page_size=1)
    for report in page.objects:
        if report.name == name:
            return report
    return None


def answers(refusal: ObjectInfo | None, info: ObjectInfo) -> bool:
    """Tell whether a refusal is about this very generation."""
    if refusal is None:
        return False
    return refusal.metadata.get(GENERATION) == str(info.generation)
