"""What a recipe makes of a job: which recipe applies, what it sets, and what is said when it cannot be used.

team-a/recipe.yaml
team-a/reviews/recipe.yaml    <- applies to team-a/reviews/2026/monday.csv
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from batchdrop.core.codes import Code
from batchdrop.core.recipe.parse import RecipeProblem
from batchdrop.core.recipe.recipe import RECIPE_NAME, Recipe, digest, seconds
from batchdrop.core.result.manifest import sendable
from batchdrop.core.state.job import Job
from batchdrop.core.state.job_steps import Output, Resolved
from batchdrop.core.value import Failure


def recipe_names(upload: str) -> Iterator[str]:
    """Yield the names of the recipes that can apply to an upload, the nearest first."""
    folder = upload
    while folder:
        folder = folder.rstrip("/").rpartition("/")[0]
        folder = f"{folder}/" if folder else ""
        yield folder + RECIPE_NAME


@dataclass(frozen=True, slots=True)
class Given:
    """What a stack gives to a job whose recipe says nothing of it, and what the recipe's words mean there."""

    provider: str
    model: str
    dialect: str
    account: str
    deadline_hours: float
    policy: str


def applied(
    job: Job, recipe: Recipe, *, name: str, work_object: str, given: Given
) -> Resolved:
    """Return the job's fields that its recipe sets.

    Args:
        job: The job; labels of its upload's metadata stand in it already.
        recipe: What applies, the metadata merged in.
        name: Of the recipe; empty when there is none.
        work_object: Where the recipe is frozen.
        given: What the stack says.
    """
    labels = _labels(job, recipe.attribution)
    return Resolved(
        recipe_object=work_object,
        recipe_name=name,
        recipe_digest=digest(recipe),
        provider=given.provider,
        model=given.model,
        dialect=given.dialect,
        account=given.account,
        labels=labels,
        team=labels.get("team") or job.team,
        priority=recipe.priority,
        deadline_at=job.deadline_after(_length(recipe, given)),
        finish=recipe.finish or "missing",
        policy=recipe.policy or given.policy,
        max_rounds=recipe.redo,
        max_cost=recipe.max_cost,
        cache=recipe.cache,
        output=_output(recipe),
    )


def _labels(job: Job, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the job's own labels, then the recipe's, as many as a message can carry."""
    new = {name: value for name, value in inherited.items() if name not in job.labels}
    labels, _ = sendable(job.labels | new)
    return labels


def _length(recipe: Recipe, given: Given) -> timedelta:
    if recipe.deadline:
        return timedelta(seconds=seconds(recipe.deadline))
    return timedelta(hours=given.deadline_hours)


def _output(recipe: Recipe) -> Output:
    output = recipe.output
    return Output(
        dialect=output.dialect.value, formats=tuple(output.formats), join=output.join
    )


def unusable(name: str, problems: Sequence[RecipeProblem]) -> Failure:
    """Say what is wrong with the recipe that applies to a job: the first problem, and how many more there are."""
    first, *others = problems
    place = f"line {first.line}" + (f", {first.field}" if first.field else "")
    more = f" ({len(others)} more problems.)" if others else ""
    return Failure(
        code=Code.RECIPE_INVALID,
        message=f"The recipe {name} cannot be used: {place}: {first.message}{more}",
        fix=f"{first.fix} Upload the recipe again; the job goes on then.",
    )


def wrong_metadata(problem: RecipeProblem) -> Failure:
    """Say what is wrong with an upload's metadata."""
    return Failure(
        code=Code.METADATA_INVALID,
        message=f"Metadata {problem.field!r}: {problem.message}",
        fix=problem.fix,
    )
