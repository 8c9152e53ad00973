"""Refusing: what looks like data and cannot be taken is answered where people look for its rows.

    OUTPUT/<name>.refused.json    code, sentence, cure; the generation stands in its metadata, too, so that a listing
                                  tells whether an object was answered

A refusal is written once for each generation, and taken away when the object is taken after all.
"""

from __future__ import annotations

from typing import Final

from batchdrop.core.errors import ObjectExistsError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.recipe.parse import RecipeProblem
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.upload.kinds import TEXT_FILE, Form, refused_name
from batchdrop.core.value import Failure
from batchdrop.dialects.known import convert
from batchdrop.dialects.line import LineForm
from batchdrop.ports import ObjectInfo
from batchdrop.steps.context import Context
from batchdrop.steps.plan.recipes import nearest_recipe
from batchdrop.steps.plan.reports import delete_report, write_report
from batchdrop.steps.refusals import GENERATION, answers, refusal_of

Receiving = Context[SubmitSettings]
SCHEMA: Final = "batchdrop.refused/1"
_ATTACHED: Final = "application/json"
_GZIP_FIX: Final = "Compress the file again, or not at all."


def taken(context: Receiving, info: ObjectInfo, form: Form) -> bool:
    """Tell whether an object of a doubtful form is an upload; what is none but looks like one is refused."""
    reason = _reason(context, info, form)
    if isinstance(reason, Failure):
        _refuse(context, info, reason)
        if reason.code == convert.RECIPE_MISSING.code:
            # A recipe that came meanwhile found no refusal to take away: so it is looked for once more.
            reason = _reason(context, info, form)

    if reason is not True:
        return False

    delete_report(context, refusal_of(context, info))
    return True


# ------------------------------------------------------------------------------------------------------ reasons
def _reason(context: Receiving, info: ObjectInfo, form: Form) -> Failure | bool:
    """Return True for an upload, False for what is passed over, or why an object is refused."""
    if form is Form.DATA:
        return refused_name(info.name) or False

    recipe = nearest_recipe(context, info.name)
    if form is Form.TEXT:
        return False if recipe is None else TEXT_FILE
    return _reason_of_json(recipe, _contents(context, info))


def _reason_of_json(
    recipe: Recipe | list[RecipeProblem] | None, contents: LineForm | Failure | None
) -> Failure | bool:
    """Say the same of a JSON file: requests run by themselves, records need a recipe that renders them."""
    attached = isinstance(recipe, Recipe) and recipe.attaches(_ATTACHED)
    if isinstance(contents, Failure):
        return False if attached else contents

    if contents is not LineForm.RECORDS:
        return True
    if recipe is None:
        return convert.RECIPE_MISSING
    if isinstance(recipe, list):
        return True  # a job that is held until its recipe is mended
    return not attached if recipe.renders else convert.RECIPE_MISSING


def _contents(context: Receiving, info: ObjectInfo) -> LineForm | Failure | None:
    """Return what a JSON file holds, from its beginning."""
    settings = context.settings
    chunks = context.objects.read(info.bucket, info.name, generation=info.generation)
    try:
        file = convert.opened(
            info.name,
            chunks,
            max_bytes=settings.max_upload_bytes,
            max_ratio=settings.max_gzip_ratio,
        )
    except PermanentError as error:
        if error.code.startswith("GZIP"):
            return Failure.of(error, _GZIP_FIX)
        raise

    return file.failure or file.form


# ------------------------------------------------------------------------------------------------------ refusal
def _refuse(context: Receiving, info: ObjectInfo, reason: Failure) -> None:
    """Write the refusal of this generation, unless it is there."""
    before = refusal_of(context, info)
    if answers(before, info):
        return

    body = {
        "schema": SCHEMA,
        "bucket": info.bucket,
        "object": info.name,
        "generation": info.generation,
        "code": reason.code,
        "message": reason.message,
        "fix": reason.fix,
    }
    name = names.refusal(info.bucket, info.name)
    noted = {GENERATION: str(info.generation)}

    try:
        write_report(context, name, body, before=before, metadata=noted)
    except ObjectExistsError:
        return
    log(
        "upload refused",
        severity="WARNING",
        generation=info.generation,
        code=reason.code,
    )
