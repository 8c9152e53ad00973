"""The recipe of a job: found and frozen when it is planned, the same for every later step."""

from __future__ import annotations

from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.steps import work
from batchdrop.steps.context import Context


def frozen(context: Context[CommonSettings], job: Job) -> Recipe:
    """Return the recipe a job runs with."""
    return (
        Recipe.model_validate_json(work.get(context, job.recipe_object))
        if job.recipe_object
        else Recipe()
    )
