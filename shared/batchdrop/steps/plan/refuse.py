"""Refusing: what looks like data and cannot be taken is answered where people look for its rows.

    OUTPUT/<name>.refused.json    code, sentence, cure; the generation stands in its metadata, too, so that a listing
                                  tells whether an object was answered

A refusal is written once for each generation, and taken away when the object is taken after all.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from batchdrop.core.errors import ObjectExistsError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.upload.kinds import TEXT_FILE, Form, refused_name
from batchdrop.core.value import Failure
from batchdrop.dialects import convert
from batchdrop.dialects.dialect import LineForm
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context
from batchdrop.steps.plan.recipes import nearest_recipe
from batchdrop.steps.refusals import GENERATION, is_refused, refusal_of

Receiving = Context[SubmitSettings]
SCHEMA: Final = "batchdrop.refused/1"
_ATTACHED: Final = "application/json"
_GZIP_FIX: Final = "Compress the file again, or not at all."


def taken(context: Receiving, info: ObjectInfo, form: Form) -> bool:
    """Tell whether an object of a doubtful form is an upload; what is none but looks like one is refused."""
    reason = _reason(context, info, form)
    if isinstance(reason, Failure):
        _refuse(context, info, reason)
        # A recipe that came meanwhile found no refusal to take away: so it is looked for once more.
        reason = (
            _reason(context, info, form)
            if reason.code == convert.RECIPE_MISSING.code
            else reason
        )
    if reason is True:
        _forgive(context, info)
    return reason is True


def _reason(context: Receiving, info: ObjectInfo, form: Form) -> Failure | bool:
    """Return True for an upload, False for what is passed over, or why an object is refused."""
    if form is Form.DATA:
        return refused_name(info.name) or False
    recipe = nearest_recipe(context, info.name)
    if form is Form.TEXT:
        return False if recipe is None else TEXT_FILE
    attached = isinstance(recipe, Recipe) and any(
        entry.type == _ATTACHED for entry in recipe.attachments
    )
    found = _dialect(context, info)
    if found is not LineForm.RECORDS:
        return (
            found
            if isinstance(found, Failure) and not attached
            else not isinstance(found, Failure)
        )
    if isinstance(recipe, Recipe):
        return convert.RECIPE_MISSING if not recipe.renders else not attached
    return convert.RECIPE_MISSING if recipe is None else True


def _dialect(context: Receiving, info: ObjectInfo) -> LineForm | Failure:
    """Return what a JSON file holds, from its beginning."""
    settings = context.settings
    try:
        file = convert.opened(
            info.name,
            context.objects.read(info.bucket, info.name, generation=info.generation),
            max_bytes=settings.max_upload_bytes,
            max_ratio=settings.max_gzip_ratio,
        )
    except PermanentError as error:
        if not error.code.startswith("GZIP"):
            raise
        return Failure(code=error.code, message=error.sentence, fix=_GZIP_FIX)
    return file.failure or file.dialect


def _refuse(context: Receiving, info: ObjectInfo, reason: Failure) -> None:
    """Write the refusal unless it is there."""
    if is_refused(context, info):
        return
    there = refusal_of(context, info, None)
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "bucket": info.bucket,
        "object": info.name,
        "generation": info.generation,
        "code": reason.code,
        "message": reason.message,
        "fix": reason.fix,
    }
    try:
        with context.objects.create(
            context.settings.output_bucket,
            names.refusal(info.bucket, info.name),
            if_generation_match=there.generation if there else 0,
            content_type="application/json",
            metadata={GENERATION: str(info.generation)},
        ) as writer:
            writer.write(msgspec.json.format(msgspec.json.encode(body)) + b"\n")
            writer.close()
    except ObjectExistsError:
        return
    log(
        "upload refused",
        severity="WARNING",
        generation=info.generation,
        code=reason.code,
    )


def _forgive(context: Receiving, info: ObjectInfo) -> None:
    """Take an earlier refusal of the object away."""
    there = refusal_of(context, info, None)
    if there is not None:
        context.objects.delete(there.bucket, there.name, generation=there.generation)
