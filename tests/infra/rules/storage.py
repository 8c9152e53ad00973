"""Buckets and the database: how long things live, where they are, and what is never destroyed."""

from __future__ import annotations

from collections.abc import Iterator

from batchdrop.core.settings import SubmitSettings, WriteSettings, load
from tests.infra.engine import Journal, Resource
from tests.infra.rules.grants import FACTS

LONGEST_DEADLINE_DAYS = 14
"""`batchdrop.core.recipe.recipe`: a deadline is at most 14 days."""


def bucket(journal: Journal, what: str) -> Resource:
    """Return a bucket by the last word of its name."""
    [found] = [entry for entry in journal.of("storage/bucket") if str(entry.inputs["name"]).endswith(f"-{what}")]
    return found


def lifetimes(journal: Journal, _: Journal) -> Iterator[str]:
    """A job may be held, then run to its deadline, then wait for its results: its work must still be there."""
    held = load(SubmitSettings).held_days
    results = load(WriteSettings).results_hours / 24
    needed = LONGEST_DEADLINE_DAYS + held + results
    ages = [
        rule["condition"]["age"]
        for rule in bucket(journal, "work").inputs.get("lifecycleRules", [])
        if rule["action"]["type"] == "Delete"
    ]
    if not ages or min(ages) < needed:
        yield f"work lives {min(ages, default=None)} days; a job may need it for {needed:g}"


def together(journal: Journal, _: Journal) -> Iterator[str]:
    """A copy between buckets is free and instant in one location and class only (Objects: rewrite, one call)."""
    one, two = bucket(journal, "input").inputs, bucket(journal, "work").inputs
    for field in ("location", "storageClass"):
        if str(one.get(field)).upper() != str(two.get(field)).upper():
            yield f"input has {field} {one.get(field)}, work has {two.get(field)}"
    if two.get("softDeletePolicy", {}).get("retentionDurationSeconds") != 0:
        yield "work keeps deleted prompts"


def protected(journal: Journal, _: Journal) -> Iterator[str]:
    """Uploads, results and the records of what was paid are never destroyed by accident; work and archives are."""
    wanted = {bucket(journal, "input").urn, bucket(journal, "output").urn, journal.of("firestore/database")[0].urn}
    for resource in journal.gcp():
        if resource.protect != (resource.urn in wanted):
            yield f"{resource.type} {resource.name} is {'' if resource.protect else 'not '}protected"
    for what in ("input", "output"):
        if bucket(journal, what).inputs.get("forceDestroy"):
            yield f"{what} would be destroyed with its content"


def regions(journal: Journal, _: Journal) -> Iterator[str]:
    """A region that one of the services lacks is refused in the middle of a deployment."""
    run, firestore = (set(FACTS["regions"][name].split()) for name in ("run", "firestore"))
    for function in journal.of("cloudfunctionsv2/function"):
        if function.inputs["location"] not in run:
            yield f"{function.name}: Cloud Run is not in {function.inputs['location']}"
    for database in journal.of("firestore/database"):
        if database.inputs["locationId"] not in firestore:
            yield f"{database.name}: Firestore is not in {database.inputs['locationId']}"
