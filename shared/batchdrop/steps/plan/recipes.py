"""Recipes at work: the nearest `recipe.yaml` above an upload, the upload's metadata over it, frozen for the job.

    team-a/recipe.yaml
    team-a/reviews/recipe.yaml    <- applies to team-a/reviews/2026/monday.csv
                                     metadata of the upload overrides it

A recipe is checked when it is uploaded, too: a bad one is reported beside the output as `recipe.errors.json` and by a
message, and uploads under it are held, not lost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from batchdrop.core.logs import log
from batchdrop.core.recipe.recipe import (
    RECIPE_NAME,
    Recipe,
    RecipeProblem,
    digest,
    merged,
    parse_recipe,
    seconds,
)
from batchdrop.core.recipe.yaml import MAX_BYTES
from batchdrop.core.result.manifest import sendable
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.core.state.job_steps import Output, Resolved
from batchdrop.core.state.messages import Uploaded, recipe_message
from batchdrop.core.value import Failure
from batchdrop.ports import Topic
from batchdrop.steps import work
from batchdrop.steps.context import Context, routed
from batchdrop.steps.progress import keep
from batchdrop.store import Stored

INVALID: Final = "RECIPE_INVALID"
Planning = Context[SubmitSettings]


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    recipe: Recipe | list[RecipeProblem]


def resolved(context: Planning, stored: Stored[Job]) -> Stored[Job] | Failure:
    """Freeze what applies to the job, or say what is wrong with it."""
    job = stored.value
    if job.recipe_digest:
        return stored
    found = _nearest(context, job.source.object)
    if isinstance(found.recipe, list):
        return _invalid(found.name, found.recipe)
    own = {
        name: value
        for name, value in job.metadata.items()
        if not name.startswith("label-")
    }
    recipe = merged(found.recipe, own)
    if isinstance(recipe, list):
        first = recipe[0]
        return Failure(
            code="METADATA_INVALID",
            message=f"Metadata {first.field!r}: {first.message}",
            fix=first.fix,
        )
    name = names.recipe(job.job_id, job.fence)
    work.put(context, name, [recipe.model_dump_json(exclude_defaults=True).encode()])
    settings = _resolved(context, job, recipe, name, found.name)
    return keep(context, stored, lambda job: job.resolved(context.now(), settings))


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
    found = _read(context, upload.name, info.generation, info.size)
    target = names.recipe_errors(upload.bucket, upload.name)
    bucket = context.settings.output_bucket
    there = context.objects.stat(bucket, target)
    if not isinstance(found, list):
        log("recipe checked", object_generation=upload.generation)
        if there is not None:
            context.objects.delete(bucket, target, generation=there.generation)
        return found.renders
    log("recipe is invalid", severity="WARNING", problems=len(found))
    body: dict[str, Any] = {
        "schema": "batchdrop.recipe-errors/1",
        "recipe": upload.name,
        "generation": upload.generation,
        "problems": [asdict(problem) for problem in found],
    }
    generation = there.generation if there else 0
    with context.objects.create(
        bucket, target, if_generation_match=generation, content_type="application/json"
    ) as writer:
        writer.write(msgspec.json.format(msgspec.json.encode(body)) + b"\n")
        writer.close()
    data, attributes = recipe_message(upload, f"{bucket}/{target}", len(found))
    context.topics.publish(Topic.JOBS_COMPLETED, data, attributes)
    return False


def nearest_recipe(
    context: Planning, upload: str
) -> Recipe | list[RecipeProblem] | None:
    """Return the recipe that applies to an upload, or what is wrong with it; None when there is none."""
    found = _nearest(context, upload)
    return found.recipe if found.name else None


def _nearest(context: Planning, upload: str) -> _Found:
    """Look in the upload's folder, then in each folder above."""
    bucket = context.settings.input_bucket
    folder = upload
    while folder:
        folder = folder.rstrip("/").rpartition("/")[0]
        folder = f"{folder}/" if folder else ""
        info = context.objects.stat(bucket, folder + RECIPE_NAME)
        if info is not None:
            return _Found(
                info.name, _read(context, info.name, info.generation, info.size)
            )
    return _Found("", Recipe())


def _read(
    context: Planning, name: str, generation: int, size: int
) -> Recipe | list[RecipeProblem]:
    if size > MAX_BYTES:
        return [
            RecipeProblem(
                1,
                "",
                f"The recipe has more than {MAX_BYTES} bytes.",
                "Keep data out of it.",
            )
        ]
    chunks = context.objects.read(
        context.settings.input_bucket, name, generation=generation
    )
    return parse_recipe(b"".join(chunks))


def _invalid(name: str, problems: list[RecipeProblem]) -> Failure:
    first = problems[0]
    place = f"line {first.line}" + (f", {first.field}" if first.field else "")
    more = f" ({len(problems) - 1} more problems.)" if len(problems) > 1 else ""
    message = f"The recipe {name} cannot be used: {place}: {first.message}{more}"
    return Failure(
        code=INVALID,
        message=message,
        fix=f"{first.fix} Upload the recipe again; the job goes on then.",
    )


def _resolved(
    context: Planning, job: Job, recipe: Recipe, work_object: str, name: str
) -> Resolved:
    """Return the job's fields that its recipe sets; labels of the upload's metadata stand in the job already."""
    inherited = {
        name: value
        for name, value in recipe.attribution.items()
        if name not in job.labels
    }
    labels, _ = sendable(job.labels | inherited)
    length = timedelta(seconds=seconds(recipe.deadline)) if recipe.deadline else None
    default = timedelta(hours=context.settings.job_deadline_hours)
    output = recipe.output
    provider, model = routed(context.providers, recipe.model or context.settings.model)
    return Resolved(
        recipe_object=work_object,
        recipe_name=name,
        recipe_digest=digest(recipe),
        provider=provider,
        model=model,
        account=context.providers[provider].batches.account(),
        labels=labels,
        team=labels.get("team") or job.team,
        priority=recipe.priority,
        deadline_at=job.created_at
        + (length or default)
        + timedelta(seconds=job.held_seconds),
        finish=recipe.finish or "missing",
        policy=recipe.policy or context.settings.policy,
        max_rounds=recipe.redo,
        max_cost=recipe.max_cost,
        cache=recipe.cache,
        output=Output(
            dialect=output.dialect.value,
            formats=tuple(output.formats),
            join=output.join,
        ),
    )
