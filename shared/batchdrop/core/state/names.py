"""Every name we make: ids, display names, work objects and output objects.

Ids are hashes of what they identify, so a redelivery, a retry or another process makes the same one, no id
carries user text, and no id is monotonic (hotspots: firebase.google.com/docs/firestore/best-practices).

    job_id    sha256(bucket/name#generation)[:32]
    shard_id  <job_id>-<index>            a shard of the plan
              sha256(parent, kind, index) a child: <job_id>-<10 hex digits>
    work      <job_id>/source  records/  plan/  rejections/  lines/  staged/  rows/  runs/  parts/
    output    <object name>/<job_id>/…   (or _/<job_id>/… when the name cannot be part of another)

A work object that a leased worker writes carries the worker's fence, and the document that pins it is changed under
the same fence: a paused worker writes beside its successor, never over it.
"""

from __future__ import annotations

import hashlib
import re

MAX_OUTPUT_PREFIX_BYTES = 900
"""An object name holds 1,024 bytes (cloud.google.com/storage/docs/objects); ours stand behind the user's."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
_CACHE = re.compile(r"^bd\.(?P<stack>[a-z0-9]+)\.(?P<job>[a-f0-9]{32})$")
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_SHARD_ID = re.compile(r"[0-9a-f]{32}-[0-9a-f]{5,10}")
_DISPLAY = re.compile(r"^bd\.(?P<stack>[a-z0-9]+)\.(?P<shard>[a-f0-9]{32}-[a-f0-9]+)$")


def job_id(bucket: str, name: str, generation: int) -> str:
    """Return the same id for every delivery of one object generation, and no other."""
    return hashlib.sha256(
        f"{bucket}/{name}#{generation}".encode("utf-8", "surrogatepass")
    ).hexdigest()[:32]


def is_job_id(text: str) -> bool:
    """Tell whether a text can be a job's id: what is none is never looked up."""
    return _JOB_ID.fullmatch(text) is not None


def is_shard_id(text: str) -> bool:
    """Tell whether a text can be a shard's id, of the plan or a child's."""
    return _SHARD_ID.fullmatch(text) is not None


def shard_id(job: str, index: int) -> str:
    """Return the id of the plan's shard number `index` (0-based)."""
    return f"{job}-{index:05d}"


def child_id(parent: str, kind: str, index: int) -> str:
    """Return the id of a shard's child: the same for the same parent, kind and index."""
    job = parent.partition("-")[0]
    digest = hashlib.sha256(f"{parent}/{kind}/{index}".encode()).hexdigest()[:10]
    return f"{job}-{digest}"


def display_name(stack_id: str, shard: str) -> str:
    """Return the name our batches carry at the provider, stable over attempts."""
    return f"bd.{stack_id}.{shard}"


def shard_of_display_name(stack_id: str, name: str) -> str | None:
    """Return the shard a batch of this stack belongs to; None for anyone else's batch."""
    match = _DISPLAY.match(name)
    return match["shard"] if match and match["stack"] == stack_id else None


def cache_name(stack_id: str, job: str) -> str:
    """Return the name a job's context caches carry at the provider."""
    return f"bd.{stack_id}.{job}"


def job_of_cache_name(stack_id: str, name: str) -> str | None:
    """Return the job a cache of this stack belongs to; None for anyone else's cache."""
    match = _CACHE.match(name)
    return match["job"] if match and match["stack"] == stack_id else None


def output_prefix(object_name: str, job: str) -> str:
    """Return the folder of a job's output, ending in a slash; never outside the documented scheme."""
    return f"_/{job}/" if _leaves(object_name) else f"{object_name}/{job}/"


def refusal(bucket: str, object_name: str) -> str:
    """Return the output object that says why an object is no upload."""
    return f"{_beside(bucket, object_name)}.refused.json"


def recipe_errors(bucket: str, recipe: str) -> str:
    """Return the output object that says what is wrong with a recipe."""
    folder, slash, _ = _beside(bucket, recipe).rpartition("/")
    return f"{folder}{slash}recipe.errors.json"


def _beside(bucket: str, object_name: str) -> str:
    """Return what a report's name begins with: the object's name, or a folder of its own if that could lead out."""
    return (
        f"_/{job_id(bucket, object_name, 0)}/report"
        if _leaves(object_name)
        else object_name
    )


def _leaves(object_name: str) -> bool:
    """Tell whether a name could lead out of its folder, or leaves no room for what stands behind it."""
    return (
        len(object_name.encode()) > MAX_OUTPUT_PREFIX_BYTES
        or _CONTROL.search(object_name) is not None
        or any(part in ("", ".", "..") for part in object_name.split("/"))
    )


def identity() -> str:
    """Output object: whose batches the stack's are."""
    return "_batchdrop/stack.json"


def source(job: str) -> str:
    """Work object: the snapshot of the upload."""
    return f"{job}/source"


def records(job: str, step: int, fence: int) -> str:
    """Work object: the lines, or the unpacked bytes, that one converting step made."""
    return f"{job}/records/{step:05d}.{fence}"


def conversion_state(job: str, step: int, fence: int) -> str:
    """Work object: where one converting step stopped."""
    return f"{job}/records/{step:05d}.{fence}.json"


def columns(job: str, fence: int) -> str:
    """Work object: the fields of a job's joined records."""
    return f"{job}/columns.{fence}.json"


def recipe(job: str, fence: int) -> str:
    """Work object: the recipe a job runs with, metadata merged in."""
    return f"{job}/recipe.{fence}.json"


def pattern(job: str, fence: int) -> str:
    """Work object: a line that begins with what the job's requests share."""
    return f"{job}/pattern.{fence}.json"


def plan_part(job: str, step: int, fence: int) -> str:
    """Work object: what one planning step cut."""
    return f"{job}/plan/{step:05d}.{fence}.jsonl"


def key_hashes(job: str, step: int, fence: int) -> str:
    """Work object: the hashes of the keys one planning step saw."""
    return f"{job}/keys/{step:05d}.{fence}"


def range_rejections(job: str, index: int, fence: int) -> str:
    """Work object: the rejections of one range."""
    return f"{job}/rejections/{index:05d}.{fence}.jsonl"


def line_list(shard: str, fence: int, what: str) -> str:
    """Work object: input lines for a shard's children."""
    return f"{shard.partition('-')[0]}/lines/{shard}.{fence}.{what}.json"


def segment(shard: str, fence: int, range_index: int, what: str) -> str:
    """Work object: a shard's rows (`what` is results or errors) of one range."""
    return (
        f"{shard.partition('-')[0]}/rows/{range_index:05d}/{shard}.{fence}.{what}.jsonl"
    )


def segment_list(shard: str, fence: int, number: int) -> str:
    """Work object: segments of a shard that its record does not hold."""
    return f"{shard.partition('-')[0]}/segments/{shard}.{fence}.{number:05d}.json"


def attached(shard: str, fence: int, index: int) -> str:
    """Work object: some of the files that a shard's objects became."""
    return f"{shard.partition('-')[0]}/attached/{shard}.{fence}.{index:05d}.jsonl"


def run(shard: str, fence: int, index: int) -> str:
    """Work object: one sorted run of results that came out of order."""
    return f"{shard.partition('-')[0]}/runs/{shard}.{fence}.{index:05d}"


def staged(shard: str, wire: str, fence: int) -> str:
    """Work object: a shard's lines, rendered for a service that takes them from there."""
    return f"{shard.partition('-')[0]}/staged/{shard}.{wire}.{fence}.jsonl"


def owner(provider: str, batch: str) -> str:
    """Return the id of the document that says whose a batch is; services choose names of any alphabet."""
    return f"{provider}.{hashlib.sha256(batch.encode()).hexdigest()[:32]}"


def answers(shard: str, fence: int, index: int) -> str:
    """Work object: one group of answers of synchronous calls."""
    return f"{shard.partition('-')[0]}/answers/{shard}.{fence}.{index:05d}"


def parts_list(job: str, step: int, fence: int) -> str:
    """Work object: the output parts that one finalizing step made."""
    return f"{job}/parts/{step:05d}.{fence}.json"


def file(line: int, number: int, round: int, extension: str) -> str:
    """Output object below the job's folder: a binary part of a line's answer, `files/0000012-1.png`."""
    again = f"-r{round}" if round else ""
    return f"files/{line:07d}-{number}{again}.{extension}"


def table(index: int, form: str) -> str:
    """Output object below the job's folder: a range as a table, `table-00000.csv`."""
    return f"table-{index:05d}.{form}"


def part(what: str, index: int) -> str:
    """Output object below the job's folder: `results-00000.jsonl`, `errors-00000.jsonl`."""
    return f"{what}-{index:05d}.jsonl"
