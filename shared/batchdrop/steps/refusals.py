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
    return refusal_of(context, info, str(info.generation)) is not None


def refusal_of(
    context: Context[CommonSettings], info: ObjectInfo, generation: str | None
) -> ObjectInfo | None:
    """Return the refusal of an object, of that generation of it if one is given."""
    bucket = context.settings.output_bucket
    name = names.refusal(info.bucket, info.name)
    page = context.objects.list(bucket, prefix=name, page_size=1)
    refusal = next((listed for listed in page.objects if listed.name == name), None)
    if refusal is None or generation is None:
        return refusal
    return refusal if refusal.metadata.get(GENERATION) == generation else None
