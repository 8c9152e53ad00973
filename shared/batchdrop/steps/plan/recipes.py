"""Recipes at work: the nearest `recipe.yaml` above an upload, the upload's metadata over it, frozen for the job.

    team-a/recipe.yaml
    team-a/reviews/recipe.yaml    <- applies to team-a/reviews/2026/monday.csv
                                     metadata of the upload overrides it

A recipe is checked when it is uploaded, too: a bad one is reported beside the output as `recipe.errors.json` and by a
message, and uploads under it are held, not lost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from batchdrop.core.limits import limit
from batchdrop.core.logs import log
from batchdrop.core.recipe.applied import (
    Given,
    applied,
    recipe_names,
    unusable,
    wrong_metadata,
)
from batchdrop.core.recipe.parse import RecipeProblem, merged, parse_recipe
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.messages import Uploaded, recipe_message
from batchdrop.core.upload.metadata import settings_of
from batchdrop.core.value import Failure
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.steps import work
from batchdrop.steps.context import Context, routed
from batchdrop.steps.plan.reports import delete_report, write_report
from batchdrop.steps.progress import keep
from batchdrop.store import Stored

Planning = Context[SubmitSettings]
_SCHEMA: Final = "batchdrop.recipe-errors/1"
_TOO_LARGE: Final = RecipeProblem(
    1, "", f"The recipe has more than {limit('recipe')} bytes.", "Keep data out of it."
)


@dataclass(frozen=True, slots=True)
class _Nearest:
    """The recipe that applies to an upload, or what is wrong with it; without a name there is none."""

    name: str
    recipe: Recipe | list[RecipeProblem]


# ---------------------------------------------------------------------------------------------------- of a job
def resolved(context: Planning, stored: Stored[Job]) -> Stored[Job] | Failure:
    """Freeze what applies to the job, or say what is wrong with it."""
    job = stored.value
    if job.recipe_digest:
        return stored

    nearest = _nearest(context, job.source.object)
    if isinstance(nearest.recipe, list):
        return unusable(nearest.name, nearest.recipe)

    recipe = merged(nearest.recipe, settings_of(job.metadata))
    if isinstance(recipe, list):
        return wrong_metadata(recipe[0])
    return _freeze(context, stored, nearest.name, recipe)


def _freeze(
    context: Planning, stored: Stored[Job], name: str, recipe: Recipe
) -> Stored[Job]:
    """Keep a job's recipe as a work object, and what it sets in the job."""
    job = stored.value
    frozen = names.recipe(job.job_id, job.fence)
    text = recipe.model_dump_json(exclude_defaults=True)
    work.put(context, frozen, [text.encode()])

    given = _given(context, recipe)
    settings = applied(
        job,
        recipe,
        name=name,
        work_object=frozen,
        given=given,
    )
    return keep(context, stored, lambda job: job.resolved(context.now(), settings))


def _given(context: Planning, recipe: Recipe) -> Given:
    """Return what the stack says to a recipe: who runs its model, and what it leaves open."""
    settings = context.settings
    provider, model = routed(context.providers, recipe.model or settings.model)
    return Given(
        provider=provider,
        model=model,
        dialect=context.providers[provider].facts.dialect,
        account=context.providers[provider].batches.account(),
        deadline_hours=settings.job_deadline_hours,
        policy=settings.policy,
    )


# ------------------------------------------------------------------------------------------------- of an upload
def nearest_recipe(
    context: Planning, upload: str
) -> Recipe | list[RecipeProblem] | None:
    """Return the recipe that applies to an upload, or what is wrong with it; None when there is none."""
    nearest = _nearest(context, upload)
    return nearest.recipe if nearest.name else None


def _nearest(context: Planning, upload: str) -> _Nearest:
    """Look in the upload's folder, then in each folder above."""
    for name in recipe_names(upload):
        info = context.objects.stat(context.settings.input_bucket, name)
        if info is not None:
            return _Nearest(name, _read(context, info))
    return _Nearest("", Recipe())


def _read(context: Planning, info: ObjectInfo) -> Recipe | list[RecipeProblem]:
    """Read the recipe an object holds."""
    if info.size > limit("recipe"):
        return [_TOO_LARGE]
    bucket = context.settings.input_bucket
    chunks = context.objects.read(bucket, info.name, generation=info.generation)
    return parse_recipe(b"".join(chunks))


# ------------------------------------------------------------------------------------------------ a new recipe
def report(context: Planning, upload: Uploaded) -> bool:
    """Check an uploaded recipe; write what is wrong beside the output and say so, or take the old report away.

    Returns:
        True when records can be asked about with it.
    """
    info = context.objects.stat(
        upload.bucket, upload.name, generation=upload.generation
    )
    if info is None:
        return False

    recipe = _read(context, info)
    name = names.recipe_errors(upload.bucket, upload.name)
    before = context.objects.stat(context.settings.output_bucket, name)
    if isinstance(recipe, list):
        _refuse(context, upload, recipe, name, before)
        return False

    log("recipe checked", object_generation=upload.generation)
    delete_report(context, before)
    return recipe.renders


def _refuse(
    context: Planning,
    upload: Uploaded,
    problems: list[RecipeProblem],
    name: str,
    before: ObjectInfo | None,
) -> None:
    """Write what is wrong with a recipe beside the output, and publish that it is there."""
    log("recipe is invalid", severity="WARNING", problems=len(problems))
    body: dict[str, Any] = {
        "schema": _SCHEMA,
        "recipe": upload.name,
        "generation": upload.generation,
        "problems": [asdict(problem) for problem in problems],
    }

    write_report(context, name, body, before=before)

    place = f"{context.settings.output_bucket}/{name}"
    data, attributes = recipe_message(upload, place, len(problems))
    context.topics.publish(Topic.JOBS_COMPLETED, data, attributes)
